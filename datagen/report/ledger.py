"""What the ledger says in numbers: reasons, negatives per query, score and rank quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from datagen import shards
from datagen.run_folder import Counts
from datagen.selection.choice import Tier
from datagen.selection.hubs import measure_hubs
from datagen.tables import DECISION_NEGATIVE, DECISION_POSITIVE

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_USED = 10
"""Documents shown of those that serve most often as negatives."""

IS_NEGATIVE = pl.col("decision") == DECISION_NEGATIVE
IS_POSITIVE = (pl.col("decision") == DECISION_POSITIVE) | (pl.col("reason") == "known_positive")
"""Rows of the ledger that become negatives and positives of a training row."""


def count_candidates(folder: Path, n_queries: int) -> Counts:
    """Counts of a ledger before negatives are chosen.

    Args:
        folder: the parts of `candidates`.
        n_queries: queries that were mined for, those without any candidate included.
    """
    ledger = shards.scan(folder)
    eligible = ledger.filter(pl.col("reason") == "surplus").select(pl.len(), pl.col("query_id").n_unique()).collect()
    reasons = _reasons(ledger)
    return {
        "queries": n_queries,
        "candidates": sum(reasons.values()),
        "eligible": int(eligible[0, 0]),
        "queries_without_eligible": n_queries - int(eligible[0, 1]),
        "reasons": reasons,
        "teacher_score_of_positives": quantiles(ledger.filter(IS_POSITIVE), "teacher_score"),
    }


def count_ledger(folder: Path, n_queries: int, needs: Sequence[int], n_documents: int) -> Counts:
    """Counts of a ledger with its negatives.

    Args:
        folder: the parts of `candidates`.
        n_queries: queries that were mined for, those without any candidate included.
        needs: negatives wanted for each query, in all or of each tier.
        n_documents: documents of the corpus.
    """
    ledger = shards.scan(folder)
    reasons = _reasons(ledger)
    negatives = ledger.filter(IS_NEGATIVE)
    of_tier = {tier.label: (pl.col("tier") == tier.label).sum() for tier in Tier}
    per_query = negatives.group_by("query_id").agg(pl.len(), **of_tier).collect()
    full = int((per_query["len"] >= sum(needs)).sum())
    asked = dict(zip(of_tier, needs, strict=True)) if len(needs) == len(of_tier) else {}
    return {
        "queries": n_queries,
        **_count_sources(ledger),
        "candidates": sum(reasons.values()),
        "negatives": int(per_query["len"].sum()),
        "queries_with_all_negatives": full,
        "queries_short": len(per_query) - full,
        "queries_without_negatives": n_queries - len(per_query),
        "reasons": reasons,
        "tiers": {name: int(per_query[name].sum()) for name in of_tier},
        "queries_short_of_tier": {
            name: n_queries - int((per_query[name] >= need).sum()) for name, need in asked.items() if need
        },
        "hubs": count_hubs(negatives, n_documents),
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


def count_hubs(negatives: pl.LazyFrame, n_documents: int) -> Counts:
    """How unevenly the documents of a corpus serve as negatives, and those that serve most often."""
    uses = negatives.group_by("doc_id").len().sort("len", "doc_id", descending=[True, False]).collect()
    gini, top = measure_hubs(uses["len"].cast(pl.Int64).to_numpy(), n_documents)
    return {
        "documents": n_documents,
        "documents_used": len(uses),
        "gini": round(gini, 4),
        "share_of_top_1_percent": round(top, 4),
        "most_used": [{"doc_id": doc_id, "queries": n} for doc_id, n in uses.head(MOST_USED).iter_rows()],
    }


def _reasons(ledger: pl.LazyFrame) -> dict[str, int]:
    return dict(ledger.group_by("reason").len().sort("reason").collect().iter_rows())


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
