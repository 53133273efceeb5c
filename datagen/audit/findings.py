"""What an analysis hands on: one row for each use, or whole row of the data set, that has a fault."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from datagen.selection.arrays import Bool, Float32, Float64, Int64

FINDINGS: Mapping[str, pl.DataType] = {
    "row": pl.Int64(),
    "query_id": pl.String(),
    "role": pl.String(),
    "place": pl.Int64(),
    "doc_id": pl.String(),
    "fault": pl.String(),
    "score": pl.Float64(),
    "detail": pl.String(),
}
"""`row` counts the rows of the data set from 0; role `query` means the row as a whole, and then place and doc_id are
null; `place` counts a row's positives or negatives from 0; what `score` says depends on the fault, null for none."""

FALSE_NEGATIVE = "false_negative"
POSITIVE_TEXT = "positive_text"
SIBLING_POSITIVE = "sibling_positive"
QUERY_TEXT = "query_text"
NEAR_TEXT = "near_text"
KNOWN_POSITIVE = "known_positive"
RERANKER = "reranker"
EMPTY_TEXT = "empty_text"
REPEATED_ROW = "repeated_row"
REPEATED_PASSAGE = "repeated_passage"
ROUND_TRIP = "round_trip"
HUB = "hub"
TEST_QUERY = "test_query"
NEAR_TEST_QUERY = "near_test_query"
TEST_PASSAGE = "test_passage"

CERTAIN = (
    FALSE_NEGATIVE,
    POSITIVE_TEXT,
    SIBLING_POSITIVE,
    QUERY_TEXT,
    NEAR_TEXT,
    KNOWN_POSITIVE,
    RERANKER,
    EMPTY_TEXT,
    REPEATED_ROW,
    REPEATED_PASSAGE,
    TEST_QUERY,
)
"""Faults that a repair removes unless told otherwise."""
FAULTS = (*CERTAIN, NEAR_TEST_QUERY, TEST_PASSAGE, ROUND_TRIP, HUB)
"""All faults."""


def no_findings() -> pl.DataFrame:
    """A frame of findings without rows."""
    return pl.DataFrame(schema=FINDINGS)


def report_uses(
    uses: pl.DataFrame, fault: str, scores: Float64 | Float32 | Int64 | None = None, detail: pl.Expr | str = ""
) -> pl.DataFrame:
    """Findings on some uses.

    Args:
        uses: rows of `Material.uses`.
        fault: what is wrong with them.
        scores: how much, (n_uses,).
        detail: more on it, a text or an expression over the uses.
    """
    return _shape(uses, fault, scores, detail)


def report_rows(
    queries: pl.DataFrame,
    flags: Bool,
    fault: str,
    scores: Float64 | Float32 | Int64 | None = None,
    detail: pl.Series | str = "",
) -> pl.DataFrame:
    """Findings on whole rows of a data set.

    Args:
        queries: `Material.queries`.
        flags: which rows, (n_rows,).
        fault: what is wrong with them.
        scores: how much, (n_flagged,).
        detail: more on it, a text or one text for each of them, (n_flagged,).
    """
    chosen = queries.with_row_index("row").filter(pl.Series(flags))
    return _shape(chosen.with_columns(role=pl.lit("query")), fault, scores, detail)


def _shape(
    frame: pl.DataFrame,
    fault: str,
    scores: Float64 | Float32 | Int64 | None,
    detail: pl.Expr | pl.Series | str,
) -> pl.DataFrame:
    columns = frame.select(
        *(name for name in ("row", "query_id", "role", "place", "doc_id") if name in frame.columns),
        fault=pl.lit(fault),
        score=pl.lit(None) if scores is None else pl.Series(scores),
        detail=pl.lit(detail) if isinstance(detail, str) else detail,
    )
    missing = [pl.lit(None).alias(name) for name in FINDINGS if name not in columns.columns]
    return columns.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in FINDINGS.items())
