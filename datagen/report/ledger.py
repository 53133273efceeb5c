"""What the ledger says in numbers: reasons, negatives per query, score and rank quantiles."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from datagen import shards
from datagen.run_folder import Counts
from datagen.tables import DECISION_NEGATIVE, DECISION_POSITIVE

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


IS_NEGATIVE = pl.col("decision") == DECISION_NEGATIVE
IS_POSITIVE = (pl.col("decision") == DECISION_POSITIVE) | (pl.col("reason") == "known_positive")
"""Rows of the ledger that become negatives and positives of a training row."""


def count_ledger(folder: Path, n_queries: int, wanted: int) -> Counts:
    """Counts of a ledger.

    Args:
        folder: the parts of `candidates`.
        n_queries: queries that were mined for, those without any candidate included.
        wanted: negatives wanted for each query.
    """
    ledger = shards.scan(folder)
    reasons = ledger.group_by("reason").len().sort("reason").collect()
    negatives = ledger.filter(IS_NEGATIVE)
    per_query = negatives.group_by("query_id").len().collect()["len"]
    full = int((per_query >= wanted).sum())
    return {
        "queries": n_queries,
        **_count_sources(ledger),
        "candidates": int(reasons["len"].sum()),
        "negatives": int(per_query.sum()),
        "queries_with_all_negatives": full,
        "queries_short": len(per_query) - full,
        "queries_without_negatives": n_queries - len(per_query),
        "reasons": dict(zip(reasons["reason"], reasons["len"], strict=True)),
        "rank_of_negatives": quantiles(negatives, "rank"),
        "teacher_score_of_negatives": quantiles(negatives, "teacher_score"),
        "teacher_score_of_positives": quantiles(ledger.filter(IS_POSITIVE), "teacher_score"),
    }


def _count_sources(ledger: pl.LazyFrame) -> Counts:
    """Candidates that each source found, negatives that each counts as its own, agreement; nothing for one source."""
    rows = ledger.filter(pl.col("sources").is_not_null())
    found = rows.select(pl.col("sources").list.eval(pl.element().struct.field("source")).alias("source")).explode(
        "source"
    )
    candidates = _by_source(found)
    if not candidates:
        return {}
    negatives = rows.filter(IS_NEGATIVE)
    agreement = quantiles(negatives.filter(pl.col("agreement").is_not_null()), "agreement")
    return {
        "candidates_by_source": candidates,
        "negatives_by_source": _by_source(negatives.select("source")),
        **({"agreement_of_negatives": agreement} if agreement else {}),
    }


def _by_source(rows: pl.LazyFrame) -> dict[str, int]:
    counted = rows.group_by("source").len().sort("len", "source", descending=[True, False]).collect()
    return dict(counted.iter_rows())


def short_queries(ledger: pl.LazyFrame, queries: pl.DataFrame, wanted: int) -> pl.DataFrame:
    """The queries with fewer negatives than wanted, in their order, and what became of their candidates.

    Returns:
        query_id, negatives, candidates, reason (the one that took most of the other candidates; `no_candidates`
        where there are none) and by_reason (a list of reason and rows).
    """
    decided = ledger.group_by("query_id", "reason").agg(rows=pl.len(), negatives=IS_NEGATIVE.sum())
    ordered = decided.sort("query_id", "rows", "reason", descending=[False, True, False])
    against = pl.col("reason").filter(~pl.col("reason").is_in(["selected", "known_positive"]))
    per_query = ordered.group_by("query_id", maintain_order=True).agg(
        pl.col("negatives").sum(),
        candidates=pl.col("rows").sum(),
        by_reason=pl.struct("reason", "rows"),
        reason=against.first(),
    )
    joined = queries.lazy().select("query_id").join(per_query, on="query_id", how="left", maintain_order="left")
    filled = joined.with_columns(
        pl.col("negatives", "candidates").fill_null(0), pl.col("reason").fill_null("no_candidates")
    )
    return filled.filter(pl.col("negatives") < wanted).collect()


def quantiles(rows: pl.LazyFrame, column: str) -> dict[str, float]:
    """The quantiles of a column that a report shows, by name such as "50%"; none where there are no rows."""
    values = rows.select([pl.col(column).quantile(q, "nearest").alias(f"{q:.0%}") for q in QUANTILES]).collect()
    return {name: round(float(value), 4) for name, value in values.row(0, named=True).items() if value is not None}
