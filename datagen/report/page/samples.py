"""Queries of a run to look at, each with its positives and candidates: the borderline ones first."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from datagen.report.ledger import IS_NEGATIVE, IS_POSITIVE
from datagen.report.page.diversity import BOOKKEEPING
from datagen.report.page.scores import OUTCOME
from datagen.runs import Run

BORDERLINE, OTHERS = 300, 300
"""Queries whose decisions were closest, and further ones drawn by the hash of their id."""
MOST_SHOWN = {"positive": 10, "negative": 20, "ignored": 4, "spare": 4}
"""Candidates shown of a query, at most, by outcome: those that came nearest to being (or not being) negatives."""
MOST_ROWS = 9_000
"""Candidates on a page, at most: where queries have many, fewer queries are shown."""
MOST_BYTES = 5_000_000
"""Of the documents on a page, before they are packed, as far as `MOST_ROWS` allows."""
LONGEST = 500
"""Characters shown of a text."""
_SCORES = ("teacher_score", "reranker_score", "p_false_negative")


def choose_samples(run: Run, share: int = 1) -> dict[str, Any]:  # Any: JSON values
    """Queries as the page shows them, closest decisions first; none before negatives are chosen.

    A decision is the closer, the less the teacher's scores of a query's worst positive and best negative differ, in
    units of its spread of scores; where the ledger has P(false negative), the higher the worst one of its negatives.

    Args:
        run: whose queries.
        share: how many runs share the page.

    Returns:
        total (queries that have negatives), queries (each with its rows) and documents (doc_id, title and text, of
        which `document` of a row is the number).
    """
    ledger = run.scan("candidates")
    measured = _measure(ledger)
    if measured.is_empty():
        return {"total": 0, "queries": [], "documents": []}
    rows = _rows(ledger, _choose_queries(measured, BORDERLINE, OTHERS))
    documents = _documents(run, rows)
    ids = _choose_queries(measured, *_affordable(rows, documents, share))
    rows = rows.join(ids, on="query_id", how="semi", maintain_order="left")
    documents = documents.join(rows, on="doc_id", how="semi", maintain_order="left")
    numbered = rows.join(documents.select("doc_id").with_row_index("document"), on="doc_id", maintain_order="left")
    parts = numbered.drop("doc_id").partition_by("query_id", as_dict=True, include_key=False, maintain_order=True)
    asked = ids.join(run.scan("queries").collect(), on="query_id", how="left", maintain_order="left")
    shown = asked.select("query_id", _cut("query"), "slots", "generator").to_dicts()
    return {
        "total": len(measured),
        "queries": [
            {**_plain(query), "rows": [_short(row) for row in parts[query["query_id"],].to_dicts()]} for query in shown
        ],
        "documents": [_full(document) for document in documents.to_dicts()],
    }


def _measure(ledger: pl.LazyFrame) -> pl.DataFrame:
    """query_id of the queries with negatives, the borderline ones first."""
    gap = pl.col("teacher_score").filter(IS_POSITIVE).min() - pl.col("teacher_score").filter(IS_NEGATIVE).max()
    doubt = pl.col("p_false_negative").filter(IS_NEGATIVE).max()
    measured = ledger.group_by("query_id").agg(gap=gap, doubt=doubt, chosen=IS_NEGATIVE.any()).filter("chosen")
    ordered = measured.sort("doubt", "gap", "query_id", descending=[True, False, False], nulls_last=True)
    return ordered.select("query_id").collect()


def _choose_queries(measured: pl.DataFrame, borderline: int, others: int) -> pl.DataFrame:
    rest = measured.slice(borderline).sort(pl.col("query_id").hash(1), "query_id").head(others)
    return pl.concat([measured.head(borderline), rest])


def _affordable(rows: pl.DataFrame, documents: pl.DataFrame, share: int) -> tuple[int, int]:
    """How many queries of both kinds there is room for."""
    size = documents["text"].str.len_bytes().sum()
    room = min(MOST_ROWS / len(rows), MOST_BYTES / max(1, size)) / share
    return max(1, int(min(1.0, room) * BORDERLINE)), int(min(1.0, room) * OTHERS)


def _rows(ledger: pl.LazyFrame, ids: pl.DataFrame) -> pl.DataFrame:
    """The candidates of these queries that are shown; `of` is how many there are of that outcome."""
    kept = ledger.join(ids.lazy(), on="query_id", how="semi").with_columns(outcome=OUTCOME)
    places = pl.struct("rank", "doc_id").rank("ordinal").over("query_id", "outcome")
    most = pl.col("outcome").replace_strict(MOST_SHOWN, return_dtype=pl.Int64)
    order = pl.col("outcome").replace_strict({name: i for i, name in enumerate(MOST_SHOWN)}, return_dtype=pl.Int8)
    placed = kept.with_columns(place=places, of=pl.len().over("query_id", "outcome"), order=order)
    columns = ["query_id", "doc_id", "outcome", "of", "reason", "tier", "source", "rank", *_SCORES]
    return placed.filter(pl.col("place") <= most).sort("query_id", "order", "rank", "doc_id").select(columns).collect()


def _documents(run: Run, rows: pl.DataFrame) -> pl.DataFrame:
    """doc_id, title and text, cut, of the documents in these rows, each once."""
    ids = rows.select(pl.col("doc_id").unique(maintain_order=True))
    texts = run.scan("corpus").select("doc_id", "title", "text").join(ids.lazy(), on="doc_id", how="semi").collect()
    return ids.join(texts, on="doc_id", how="left", maintain_order="left").with_columns(_cut("title"), _cut("text"))


def _cut(name: str) -> pl.Expr:
    text = pl.col(name)
    rest = pl.when(text.str.len_chars() > LONGEST).then(pl.lit("…")).otherwise(pl.lit(""))
    return text.str.slice(0, LONGEST) + rest


def _plain(query: dict[str, Any]) -> dict[str, Any]:  # Any: JSON values
    """A query with what was drawn for it, and nothing that is null."""
    slots = json.loads(query["slots"] or "{}")
    drawn = {name: value for name, value in slots.items() if name not in BOOKKEEPING and value is not None}
    return _full({**query, "slots": drawn or None})


def _short(row: dict[str, Any]) -> dict[str, Any]:  # Any: JSON values
    """A row with its scores rounded, and nothing that is null."""
    return _full({**row, **{name: round(row[name], 4) for name in _SCORES if row[name] is not None}})


def _full(values: dict[str, Any]) -> dict[str, Any]:  # Any: JSON values
    return {name: value for name, value in values.items() if value is not None}
