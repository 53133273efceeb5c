"""Rows of a run that a person asks for: `datagen inspect`. Queries with their candidates, filtered, with texts."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from datagen.errors import ConfigError, InputError
from datagen.runs import Run

SCORES = ("teacher_score", "reranker_score", "lexical_score", "p_false_negative")


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted; all that is given must hold."""

    query: str | None = None
    """A query_id."""
    decision: str | None = None
    reason: str | None = None
    text: str | None = None
    """Words that the query or the passage holds, in any case."""
    slots: tuple[tuple[str, str], ...] = ()
    """Slots of the query, each with its value."""
    score: str = "teacher_score"
    low: float | None = None
    """Least score."""
    high: float | None = None
    """Highest score."""


def inspect(run: Run, wanted: Filter, limit: int = 20) -> pl.DataFrame:
    """Rows of the ledger with their texts, query by query in its order, best rank first, at most `limit`.

    Returns:
        query_id, query, slots, doc_id, title, text, source, rank, the four scores, decision, reason, tier.

    Raises:
        ConfigError: a score has another name than those of `SCORES`.
        InputError: the run has no such reason, decision or query; the message lists those it has.
        RunFolderError: the run has no ledger yet.
    """
    if wanted.score not in SCORES:
        raise ConfigError(f"score {wanted.score!r} is none of the ledger: choose among {', '.join(SCORES)}")
    ledger = run.scan("candidates")
    queries = run.scan("queries").select("query_id", "query", "slots").with_row_index("number")
    corpus = run.scan("corpus").select("doc_id", "title", "text")
    rows = _of_ledger(ledger, wanted).join(_of_queries(queries, wanted), on="query_id")
    joined = rows.join(corpus, on="doc_id").filter(_has_text(wanted))
    ordered = joined.sort("number", "rank", "doc_id").head(limit)
    found = ordered.select(
        "query_id", "query", "slots", "doc_id", "title", "text", "source", "rank", *SCORES, "decision", "reason", "tier"
    ).collect()
    if found.is_empty():
        _explain_nothing(ledger, wanted)
    return found


def _of_ledger(ledger: pl.LazyFrame, wanted: Filter) -> pl.LazyFrame:
    for name, value in (("query_id", wanted.query), ("decision", wanted.decision), ("reason", wanted.reason)):
        ledger = ledger if value is None else ledger.filter(pl.col(name) == value)
    score = pl.col(wanted.score)
    ledger = ledger if wanted.low is None else ledger.filter(score >= wanted.low)
    return ledger if wanted.high is None else ledger.filter(score <= wanted.high)


def _of_queries(queries: pl.LazyFrame, wanted: Filter) -> pl.LazyFrame:
    for name, value in wanted.slots:
        queries = queries.filter(pl.col("slots").str.json_path_match(f"$.{name}") == value)
    return queries


def _has_text(wanted: Filter) -> pl.Expr:
    if wanted.text is None:
        return pl.lit(value=True)
    words = wanted.text.lower()
    held = (pl.col(name).str.to_lowercase().str.contains(words, literal=True) for name in ("query", "text"))
    return pl.any_horizontal(held)


def _explain_nothing(ledger: pl.LazyFrame, wanted: Filter) -> None:
    """Say which value no row has at all; nothing where only the combination matches none."""
    for name, value in (("decision", wanted.decision), ("reason", wanted.reason)):
        known = ledger.select(pl.col(name).unique().sort()).collect()[name].to_list()
        if value is not None and value not in known:
            raise InputError(f"no row has the {name} {value!r}: the ledger has {', '.join(known)}")
    if wanted.query is not None and ledger.filter(pl.col("query_id") == wanted.query).limit(1).collect().is_empty():
        raise InputError(f"the ledger has no query {wanted.query!r}: give a query_id of `queries`")
