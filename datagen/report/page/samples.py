"""Queries of a run to look at, each with its positives and candidates: the borderline ones first."""

from __future__ import annotations

from typing import Any

import polars as pl

from datagen.report.ledger import IS_NEGATIVE, IS_POSITIVE
from datagen.report.page.scores import OUTCOME
from datagen.runs import Run

BORDERLINE, OTHERS = 150, 100
"""Queries whose decisions were closest, and further ones drawn by the hash of their id."""
DOUBTED = 4
"""Refused candidates shown of a query: those that came nearest to being negatives."""
LONGEST = 500
"""Characters shown of a text."""
_ORDER = {"positive": 0, "negative": 1, "ignored": 2, "spare": 3}
_SCORES = ("teacher_score", "reranker_score", "p_false_negative")


def choose_samples(run: Run) -> list[dict[str, Any]]:  # Any: JSON values
    """Queries as the page shows them, closest decisions first; none before negatives are chosen.

    A decision is the closer, the less the teacher's scores of a query's worst positive and best negative differ, in
    units of its spread of scores; where the ledger has P(false negative), the higher the worst one of its negatives.
    """
    ledger = run.scan("candidates")
    ids = _choose_queries(ledger)
    if ids.is_empty():
        return []
    rows = _rows(ledger, ids)
    texts = run.scan("corpus").select("doc_id", "title", "text").join(rows.lazy(), on="doc_id", how="semi").collect()
    queries = run.scan("queries").select("query_id", "query", "slots", "generator")
    asked = ids.join(queries.collect(), on="query_id", how="left", maintain_order="left")
    shown = rows.join(texts, on="doc_id", how="left", maintain_order="left").with_columns(
        pl.col("text").str.slice(0, LONGEST)
        + pl.when(pl.col("text").str.len_chars() > LONGEST).then(pl.lit("…")).otherwise(pl.lit(""))
    )
    parts = {key[0]: part.drop("query_id").to_dicts() for key, part in shown.group_by("query_id", maintain_order=True)}
    return [{**query, "rows": [_short(row) for row in parts.get(query["query_id"], [])]} for query in asked.to_dicts()]


def _choose_queries(ledger: pl.LazyFrame) -> pl.DataFrame:
    """query_id of the queries to show, the borderline ones first."""
    gap = pl.col("teacher_score").filter(IS_POSITIVE).min() - pl.col("teacher_score").filter(IS_NEGATIVE).max()
    doubt = pl.col("p_false_negative").filter(IS_NEGATIVE).max()
    measured = (
        ledger.group_by("query_id").agg(gap=gap, doubt=doubt, chosen=IS_NEGATIVE.any()).filter("chosen").collect()
    )
    ordered = measured.sort("doubt", "gap", "query_id", descending=[True, False, False], nulls_last=True)
    first = ordered.head(BORDERLINE)
    rest = ordered.slice(BORDERLINE).sort(pl.col("query_id").hash(1), "query_id").head(OTHERS)
    return pl.concat([first, rest]).select("query_id")


def _rows(ledger: pl.LazyFrame, ids: pl.DataFrame) -> pl.DataFrame:
    """Positives, negatives and the best of the refused candidates of these queries."""
    kept = ledger.join(ids.lazy(), on="query_id", how="semi").with_columns(outcome=OUTCOME)
    refused = pl.col("outcome").is_in(["ignored", "spare"])
    places = pl.struct("outcome", "rank").rank("ordinal").over("query_id", "outcome")
    order = pl.col("outcome").replace_strict(
        {"positive": 0, "negative": 1, "ignored": 2, "spare": 3}, return_dtype=pl.Int8
    )
    rows = kept.filter(~refused | (places <= DOUBTED)).with_columns(order=order)
    columns = ["query_id", "doc_id", "outcome", "reason", "tier", "source", "rank", *_SCORES]
    return rows.sort("query_id", "order", "rank", "doc_id").select(columns).collect()


def _short(row: dict[str, Any]) -> dict[str, Any]:  # Any: JSON values
    """A row with its scores rounded, and nothing that is null."""
    rounded = {name: round(row[name], 4) for name in _SCORES if row[name] is not None}
    return {name: value for name, value in {**row, **rounded}.items() if value is not None}
