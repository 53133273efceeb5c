"""The user's columns become the columns of `tables.py`, found by their usual names."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

import polars as pl

from datagen.errors import InputError, some_of
from datagen.sources.locate import Source
from datagen.tables import CORPUS, PAIRS, QUERIES

log = logging.getLogger(__name__)

# Case counts for nothing, and `-` is the same as `_`. The first that is there is taken.
DOC_ID = ("_id", "id", "doc_id", "docid", "document_id", "passage_id", "corpus_id", "pid")
QUERY_ID = ("_id", "id", "query_id", "qid", "question_id")
DOC_TEXT = ("text", "passage", "document", "content", "contents", "body", "positive")
QUERY_TEXT = ("text", "query", "question", "anchor")
RELEVANCE = ("score", "relevance", "label")
TITLE = ("title",)

_SEPARATOR = "\x1f"


def shape_corpus(frame: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The documents with the columns of `tables.CORPUS`; extra columns as one JSON object in `meta`.

    The corpus of a run keeps its columns `origin` and `meta`.

    Raises:
        InputError: there is no column with the text, or it holds no texts.
    """
    if frame.columns == CORPUS.names:
        return frame
    text = require_column(frame, DOC_TEXT, "the text", source)
    names = {key: find_column(frame, aliases) for key, aliases in (("id", DOC_ID), ("title", TITLE))}
    language = find_column(frame, ("language",))
    texts, titles = as_text(frame, text, source), _optional_text(frame, names["title"], source)
    used = {text, language, *names.values()}
    return pl.DataFrame(
        {
            "doc_id": _ids(frame, names["id"], hash_documents(titles, texts), source),
            "title": titles,
            "text": texts,
            "language": _optional_text(frame, language, source),
            "origin": pl.repeat(source.name, len(frame), dtype=pl.String, eager=True),
            "meta": _meta(frame, [column for column in frame.columns if column not in used], source),
        }
    ).select(CORPUS.names)


def shape_queries(frame: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The queries with the columns of `tables.QUERIES`; extra columns are left out.

    Raises:
        InputError: there is no column with the query, or it holds no texts.
    """
    texts = as_text(frame, require_column(frame, QUERY_TEXT, "the query", source), source)
    ids = _ids(frame, find_column(frame, QUERY_ID), hash_texts("q-", texts), source)
    optional = {
        name: _optional_text(frame, find_column(frame, (name,)), source) for name in ("instruction", "language")
    }
    return fill_queries(pl.DataFrame({"query_id": ids, "query": texts, **optional}), source)


def fill_queries(queries: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Queries with all columns of `tables.QUERIES`, null where they were not there."""
    missing = [name for name in QUERIES.names if name not in queries.columns and name != "origin"]
    nulls = [pl.lit(None, pl.String).alias(name) for name in missing]
    return queries.with_columns(pl.lit(source.name).alias("origin"), *nulls).select(QUERIES.names)


def no_queries() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Queries and pairs without rows."""
    queries = pl.DataFrame(schema=dict.fromkeys(QUERIES.names, pl.String))
    return queries, pl.DataFrame(schema=dict.fromkeys(PAIRS.names, pl.String) | {"relevance": pl.Float32})


def shape_nothing() -> pl.DataFrame:
    """A corpus without rows."""
    return pl.DataFrame(schema=dict.fromkeys(CORPUS.names, pl.String))


def find_column(frame: pl.DataFrame, aliases: Sequence[str]) -> str | None:
    """The column with the first of these names that is there."""
    by_name = {name.lower().replace("-", "_").replace(" ", "_"): name for name in reversed(frame.columns)}
    return next((by_name[alias] for alias in aliases if alias in by_name), None)


def require_column(frame: pl.DataFrame, aliases: Sequence[str], what: str, source: Source) -> str:
    """The column with the first of these names that is there.

    Raises:
        InputError: none is there.
    """
    column = find_column(frame, aliases)
    if column is None:
        raise InputError(
            f"{source.name!r} has no column for {what}: it has {some_of(frame.columns, 20)}; "
            f"rename one to {' or '.join(map(repr, aliases[:3]))}"
        )
    return column


def as_text(frame: pl.DataFrame, column: str, source: Source) -> pl.Series:
    """A column as texts, empty where it is null.

    Raises:
        InputError: it holds lists, objects or bytes.
    """
    kind = frame.schema[column]
    if kind.is_nested() or kind in (pl.Binary, pl.Object):
        raise InputError(f"column {column!r} of {source.name!r} holds {kind}, not texts: give one text a row")
    return frame[column].cast(pl.String).fill_null("")


def as_id(frame: pl.DataFrame, column: str, source: Source) -> pl.Series:
    """A column as ids, empty where it is null; 3.0 becomes `3` (a column of whole numbers with a gap)."""
    values = frame[column]
    if values.dtype.is_float() and (values.drop_nulls() % 1 == 0).all():
        return values.cast(pl.Int64).cast(pl.String).fill_null("")
    return as_text(frame, column, source)


def as_relevance(values: pl.Series, source: Source, numbers: pl.Series | None = None) -> pl.Series:
    """Relevance as float32; NaN where there is none.

    Args:
        values: numbers, or texts that hold numbers.
        source: named in messages.
        numbers: line of each value; counted from 1 when None.

    Raises:
        InputError: a text is not a number; the message names the first and its line.
    """
    if values.dtype != pl.String:
        return values.cast(pl.Float32).fill_null(float("nan"))
    texts = values.str.strip_chars().fill_null("")
    parsed = texts.cast(pl.Float64, strict=False)
    bad = (parsed.is_null() & (texts != "")).arg_true()
    if len(bad):
        row = bad[0] + 1 if numbers is None else numbers[bad[0]]
        raise InputError(
            f"{source.name!r}, row {row:,}: relevance {texts[bad[0]]!r} is not a number ({len(bad):,} such rows); "
            "give numbers, above 0 for relevant"
        )
    return parsed.cast(pl.Float32).fill_null(float("nan"))


def hash_texts(prefix: str, texts: pl.Series) -> pl.Series:
    """An id for each text: the prefix and 16 hex digits of its BLAKE2b hash."""
    hashes = [prefix + hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in texts]
    return pl.Series(hashes, dtype=pl.String)


def hash_documents(titles: pl.Series, texts: pl.Series) -> pl.Series:
    """An id for each document, from its title, if any, and its text."""
    frame = pl.DataFrame({"title": titles, "text": texts})
    with_title = pl.col("title") + _SEPARATOR + pl.col("text")
    has_title = pl.col("title").fill_null("") != ""
    return hash_texts("d-", frame.select(pl.when(has_title).then(with_title).otherwise("text"))["title"])


def _optional_text(frame: pl.DataFrame, column: str | None, source: Source) -> pl.Series:
    if column is None:
        return pl.repeat(None, len(frame), dtype=pl.String, eager=True)
    texts = as_text(frame, column, source).to_frame("text")
    return texts.select(pl.when(pl.col("text") != "").then("text"))["text"]


def _ids(frame: pl.DataFrame, column: str | None, made: pl.Series, source: Source) -> pl.Series:
    if column is None:
        return made
    both = pl.DataFrame({"given": as_id(frame, column, source), "made": made})
    missing = int((both["given"] == "").sum())
    if missing:
        log.warning("%s: %d rows have no %r: their ids are made from their texts", source.name, missing, column)
    return both.select(pl.when(pl.col("given") == "").then("made").otherwise("given").alias("id"))["id"]


def _meta(frame: pl.DataFrame, columns: Sequence[str], source: Source) -> pl.Series:
    # Bytes (images, audio) have no JSON form.
    kinds = {name: str(frame.schema[name]) for name in columns}
    bytes_like = [name for name, kind in kinds.items() if "Binary" in kind or "Object" in kind]
    if bytes_like:
        log.info("%s: columns %s hold bytes and are left out", source.name, ", ".join(bytes_like))
    kept = [name for name in columns if name not in bytes_like]
    if not kept:
        return pl.repeat(None, len(frame), dtype=pl.String, eager=True)
    return frame.select(pl.struct(kept).struct.json_encode().alias("meta"))["meta"]
