"""How the scores of a ledger are spread, and what other cuts of P(false negative) would give."""

from __future__ import annotations

import polars as pl

from datagen.report.ledger import IS_NEGATIVE, IS_POSITIVE

BINS = 40
LEAST = 1e-4
"""Where a logarithmic axis begins; what is less counts as this."""
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


def count_bins(rows: pl.LazyFrame, column: str, *, log: bool = False) -> pl.DataFrame:
    """How the numbers of a column are spread over each outcome.

    Args:
        rows: with the column, and `outcome`.
        column: numbers, or nulls, which are left out.
        log: bins of equal width on a logarithmic axis that begins at `LEAST`.

    Returns:
        outcome, low, high (the edges of a bin) and share (of the outcome's numbers in the bin): all bins of each
        outcome that has numbers, in order.
    """
    number = pl.col(column).cast(pl.Float64)
    if log:
        number = number.clip(LEAST).log10()
    placed = rows.filter(pl.col(column).is_not_null())
    low, high = placed.select(number.min().alias("low"), number.max().alias("high")).collect().row(0)
    if low is None:
        return pl.DataFrame(schema={"outcome": pl.String, "low": pl.Float64, "high": pl.Float64, "share": pl.Float64})
    width = (high - low) / BINS or 1.0
    spot = ((number - low) / width).floor().clip(0, BINS - 1).cast(pl.Int64)
    counted = placed.group_by("outcome", bin=spot).agg(n=pl.len()).collect()
    grid = counted.select("outcome").unique().join(pl.select(bin=pl.int_range(BINS)), how="cross")
    full = grid.join(counted, on=["outcome", "bin"], how="left").sort("outcome", "bin")
    edges = (low + pl.col("bin") * width, low + (pl.col("bin") + 1) * width)
    return full.select(
        "outcome",
        low=10.0 ** edges[0] if log else edges[0],
        high=10.0 ** edges[1] if log else edges[1],
        share=(pl.col("n").fill_null(0) / pl.col("n").sum()).over("outcome"),
    )


def trace_cuts(ledger: pl.LazyFrame, wanted: int, own: float | None = None) -> pl.DataFrame:
    """What the negatives would be under other cuts of P(false negative), as far as the ledger goes.

    Args:
        ledger: the candidates.
        wanted: negatives of a query.
        own: the run's own cut, a further point.

    Returns:
        cut, leak (mean P(false negative) of the negatives: what the model expects, not what was judged), log2_rank
        (their mean, smaller is harder), full (share of the queries with all negatives) and own; no rows where the
        ledger has no P(false negative).
    """
    rows = ledger.filter(pl.col("p_false_negative").is_not_null(), _ELIGIBLE)
    some = rows.select(pl.col("query_id").unique()).sort(pl.col("query_id").hash(1)).head(QUERIES_OF_CURVE)
    held = rows.join(some, on="query_id", how="semi").select("query_id", "rank", "p_false_negative").collect()
    if held.is_empty():
        return pl.DataFrame()
    n_queries = held["query_id"].n_unique()
    ordered = held.sort("query_id", "rank")
    cuts = sorted({*CUTS, *([] if own is None else [own])})
    points = pl.concat([_at_cut(ordered, cut, wanted, n_queries) for cut in cuts])
    return points.with_columns(own=pl.col("cut") == (-1.0 if own is None else own))


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
