"""What the judges of an earlier run said, as labels to calibrate another run with."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from datagen import shards
from datagen.tables import PAIRS

_PAIR = ["query_id", "doc_id"]


def holds_judgements(folder: Path) -> bool:
    """Whether a folder is that of a run with judgements."""
    return any((folder / "judgements").glob("*.parquet"))


def read_judgements(run: Path) -> pl.DataFrame:
    """The candidates of a run that were judged, with the columns of `tables.PAIRS`; relevance is 1 or 0.

    Without those that the judges disagree on or gave no valid answer about. They were not drawn at random: they lie
    where an answer changed most, near the cut, so that what is calibrated with them errs towards caution.
    """
    label = pl.col("label")
    told = shards.scan(run / "judgements").group_by(_PAIR).agg(label.min(), high=label.max(), gaps=label.null_count())
    settled = told.filter(pl.col("gaps") == 0, pl.col("label") == pl.col("high")).sort(_PAIR)
    return (
        settled.select(*_PAIR, relevance=label.cast(pl.Float32), source=pl.lit("judge")).select(PAIRS.names).collect()
    )
