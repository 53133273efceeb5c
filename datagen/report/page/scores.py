"""How the scores of a ledger are spread, and what other cuts of P(false negative) would give."""

from __future__ import annotations

import polars as pl

from datagen.report.ledger import IS_NEGATIVE, IS_POSITIVE

BINS = 40
CUTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Highest P(false negative) of the points of a curve."""
QUERIES_OF_CURVE = 5_000
"""Queries that a curve is made from, at most: those with the smallest hash of their id."""

OUTCOME = (
    pl.when(IS_POSITIVE)
    .then(pl.lit("positive"))
    .when(IS_NEGATIVE)
    .then(pl.lit("negative"))
    .when(pl.col("reason") == "surplus")
    .then(pl.lit("spare"))
    .otherwise(pl.lit("ignored"))
)
"""What becomes of a candidate."""
_ELIGIBLE = pl.col("reason").is_in(["selected", "surplus", "margin"])
"""Rows that another cut could take in or put out."""


def count_bins(ledger: pl.LazyFrame, column: str) -> pl.DataFrame:
    """How the scores of each outcome are spread.

    Returns:
        outcome, low, high (the edges of a bin) and share (of the outcome's scores in the bin), ordered; no rows where
        no score is there.
    """
    scored = ledger.filter(pl.col(column).is_not_null())
    edges = scored.select(low=pl.col(column).min(), high=pl.col(column).max()).collect()
    low, high = edges.row(0)
    if low is None:
        return pl.DataFrame(schema={"outcome": pl.String, "low": pl.Float64, "high": pl.Float64, "share": pl.Float64})
    width = (high - low) / BINS or 1.0
    spot = ((pl.col(column).cast(pl.Float64) - low) / width).floor().clip(0, BINS - 1).cast(pl.Int32)
    counted = scored.group_by(outcome=OUTCOME, bin=spot).agg(n=pl.len()).collect()
    shares = counted.with_columns(share=pl.col("n") / pl.col("n").sum().over("outcome"))
    placed = shares.with_columns(low=low + pl.col("bin") * width)
    return (
        placed.with_columns(high=pl.col("low") + width).select("outcome", "low", "high", "share").sort("outcome", "low")
    )


def trace_cuts(ledger: pl.LazyFrame, wanted: int) -> pl.DataFrame:
    """What the negatives would be under other cuts of P(false negative), as far as the ledger goes.

    Args:
        ledger: the candidates.
        wanted: negatives of a query.

    Returns:
        cut, leak (mean P(false negative) of the negatives: what the model expects, not what was judged), log2_rank
        (their mean, smaller is harder) and full (share of the queries with all negatives); no rows where the ledger has
        no P(false negative).
    """
    rows = ledger.filter(pl.col("p_false_negative").is_not_null(), _ELIGIBLE)
    some = rows.select(pl.col("query_id").unique()).sort(pl.col("query_id").hash(1)).head(QUERIES_OF_CURVE)
    held = rows.join(some, on="query_id", how="semi").select("query_id", "rank", "p_false_negative").collect()
    if held.is_empty():
        return pl.DataFrame()
    n_queries = held["query_id"].n_unique()
    ordered = held.sort("query_id", "rank")
    return pl.concat([_at_cut(ordered, cut, wanted, n_queries) for cut in CUTS])


def _at_cut(ordered: pl.DataFrame, cut: float, wanted: int, n_queries: int) -> pl.DataFrame:
    below = ordered.filter(pl.col("p_false_negative") <= cut)
    taken = below.filter(pl.int_range(pl.len()).over("query_id") < wanted)
    full = taken.group_by("query_id").len().filter(pl.col("len") >= wanted).height
    return taken.select(
        cut=pl.lit(cut),
        leak=pl.col("p_false_negative").cast(pl.Float64).mean(),
        log2_rank=pl.col("rank").clip(1).cast(pl.Float64).log(2).mean(),
        full=pl.lit(full / n_queries),
    ).drop_nulls()
