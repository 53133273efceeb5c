"""What the table `judgements` says: grades by candidate, and how far two judges agree."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from datagen.judging.questions import N_GRADES, OK
from datagen.selection.agreement import Kappa, measure_kappa
from datagen.selection.arrays import Bool, Float64

_PAIR = ["query_id", "doc_id"]


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
