"""What the table `judgements` says: grades by candidate, labels to calibrate with, and how far two judges agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from datagen import shards
from datagen.errors import InputError
from datagen.judging.questions import N_GRADES, OK
from datagen.selection.agreement import Kappa, measure_kappa
from datagen.selection.arrays import Bool, Float64

_PAIR = ["query_id", "doc_id"]


def judged_labels(run: Path) -> pl.DataFrame:
    """The candidates of a run that were judged: query_id, doc_id, label (1 relevant, 0 not).

    Without those that the judges disagree on or gave no valid answer about. They were not drawn at random: they lie
    where an answer changed most, near the cut.

    Raises:
        InputError: the run has no judgements.
    """
    folder = run / "judgements"
    if not any(folder.glob("*.parquet")):
        raise InputError(f"{run} holds no judgements: mine it with a --judge and a --judge-budget first")
    label = pl.col("label")
    per_pair = shards.scan(folder).group_by(_PAIR).agg(label.min(), high=label.max(), gaps=label.null_count())
    settled = per_pair.filter(pl.col("gaps") == 0, pl.col("label") == pl.col("high"))
    return settled.select(*_PAIR, pl.col("label").cast(pl.Int64)).sort(_PAIR).collect()


def grade_rows(ledger: pl.DataFrame, judgements: pl.DataFrame, judges: Sequence[str]) -> tuple[Float64, Bool]:
    """The grades of each row of a ledger, NaN where there is none, and whether each judge was asked, (n, n_judges)."""
    joined = ledger.select(_PAIR)
    for number, judge in enumerate(judges):
        of_judge = judgements.filter(pl.col("judge") == judge)
        columns = {f"grade_{number}": pl.col("grade").cast(pl.Float64), f"asked_{number}": pl.lit(value=True)}
        joined = joined.join(of_judge.select(*_PAIR, **columns), on=_PAIR, how="left", maintain_order="left")
    grades = joined.select(pl.col("^grade_.*$").fill_null(float("nan"))).to_numpy()
    asked = joined.select(pl.col("^asked_.*$").fill_null(value=False)).to_numpy()
    return grades, asked


def compare_judges(judgements: pl.DataFrame, judges: Sequence[str], seed: int) -> Kappa | None:
    """How far two judges agree over what both gave valid answers to; None for one judge."""
    if len(judges) < 2:
        return None
    one, other = (judgements.filter(pl.col("judge") == judge, pl.col("status") == OK) for judge in judges)
    both = one.select(*_PAIR, one="grade").join(other.select(*_PAIR, other="grade"), on=_PAIR)
    grades = both.sort(_PAIR).select(pl.col("one", "other").cast(pl.Int64))
    return measure_kappa(grades["one"].to_numpy(), grades["other"].to_numpy(), N_GRADES, seed)
