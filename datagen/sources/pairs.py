"""A table of pairs, a query and its positive a row, taken apart into corpus, queries and pairs."""

from __future__ import annotations

import logging

import polars as pl

from datagen.errors import InputError, first_line, some_of
from datagen.settings.input import InputConfig
from datagen.sources.columns import (
    TITLE,
    as_id,
    as_relevance,
    as_text,
    fill_queries,
    find_column,
    hash_documents,
    hash_texts,
    require_column,
)
from datagen.sources.locate import Source
from datagen.tables import CORPUS, PAIRS

log = logging.getLogger(__name__)

ANCHOR = ("anchor", "query", "question", "sentence1", "sentence_1", "prompt")
POSITIVE = (
    *("positive", "positives", "pos", "passage", "document", "answer", "response", "text", "context"),
    *("sentence2", "sentence_2", "content", "body"),
)
_QUERY_ID = ("query_id", "qid", "question_id")
_DOC_ID = ("doc_id", "docid", "document_id", "passage_id", "corpus_id", "positive_id", "pid")
_RELEVANCE = ("relevance",)
# Columns that other tools use for a relevance as well as for a class or a similarity: never guessed.
_UNSURE = ("label", "score")


def shape_pairs(
    frame: pl.DataFrame, source: Source, corpus: pl.DataFrame | None, config: InputConfig
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Corpus, queries and pairs, with the columns of `tables.py`.

    A list of positives (or of anchors) counts as so many rows. Equal anchors are one query. Ids that are not given
    are made from the text. A positive whose text (or title, one space, text) is in the corpus takes that id; the
    others are added after it.

    Raises:
        InputError: a column that was named is not there, or holds no texts.
    """
    rows = _rows(frame, source, config)
    rows = _take_corpus_ids(rows, corpus)
    documents = rows.filter("is_new").select("doc_id", "title", "text").unique(maintain_order=True)
    nulls = [pl.lit(None, pl.String).alias(name) for name in ("language", "meta")]
    added = documents.with_columns(pl.lit(source.name).alias("origin"), *nulls).select(CORPUS.names)
    queries = rows.select("query_id", "query").unique(maintain_order=True)
    pairs = rows.with_columns(pl.lit(source.name).alias("source")).select(PAIRS.names)
    whole = added if corpus is None else pl.concat([corpus, added])
    return whole, fill_queries(queries, source), pairs


def _rows(frame: pl.DataFrame, source: Source, config: InputConfig) -> pl.DataFrame:
    """One row a pair: query_id, query, doc_id, title, text, relevance."""
    anchor, positive = _choose_columns(frame, source, config)
    title = find_column(frame.drop(anchor, positive), TITLE)
    chosen = {"query": anchor, "text": positive, "title": title}
    chosen |= {"query_id": find_column(frame, _QUERY_ID), "doc_id": find_column(frame, _DOC_ID)}
    chosen["relevance"] = find_column(frame, _RELEVANCE)
    _tell(frame, source, chosen)
    rows = frame.select(pl.col(column).alias(name) for name, column in chosen.items() if column is not None)
    rows = _explode(_explode(rows, "query", "query_id", source), "text", "doc_id", source)
    return _with_ids(rows, source)


def _choose_columns(frame: pl.DataFrame, source: Source, config: InputConfig) -> tuple[str, str]:
    anchor, positive = config.anchor_column, config.positive_column
    for option, column in (("--anchor-column", anchor), ("--positive-column", positive)):
        if column is not None and column not in frame.columns:
            raise InputError(
                f"{source.name!r} has no column {column!r} ({option}): it has {some_of(frame.columns, 20)}"
            )
    if anchor is None:
        anchor = _guess(frame.drop(positive or []), ANCHOR, "the query", "--anchor-column", source)
    if positive is None:
        positive = _guess(frame.drop(anchor), POSITIVE, "the positive", "--positive-column", source)
    if anchor == positive:
        raise InputError(f"{source.name!r}: the query and the positive are both column {anchor!r}: name two columns")
    return anchor, positive


def _guess(frame: pl.DataFrame, aliases: tuple[str, ...], what: str, option: str, source: Source) -> str:
    try:
        return require_column(frame, aliases, what, source)
    except InputError as exc:
        raise InputError(f"{exc}, or name it with {option}") from None


def _tell(frame: pl.DataFrame, source: Source, chosen: dict[str, str | None]) -> None:
    log.info("%s: queries from column %r, positives from %r", source.name, chosen["query"], chosen["text"])
    unused = [column for column in frame.columns if column not in chosen.values()]
    if unused:
        log.info("%s: columns that are not used: %s", source.name, ", ".join(unused))
    unsure = find_column(frame.select(unused), _UNSURE)
    if unsure and chosen["relevance"] is None:
        log.warning(
            "%s: column %r is not read, every row counts as a positive; name it 'relevance' if rows of 0 are none",
            source.name,
            unsure,
        )


def _explode(rows: pl.DataFrame, column: str, id_column: str, source: Source) -> pl.DataFrame:
    """One row a list item; an empty list gives one row without text. Ids go along where they are lists too."""
    lists = [name for name in (column, id_column) if isinstance(rows.schema.get(name), pl.List | pl.Array)]
    if column not in lists:
        return rows
    if id_column in rows.columns and id_column not in lists:
        log.info("%s: ids in %r are not used, as there are several texts a row", source.name, id_column)
        rows = rows.drop(id_column)
    for name in lists:
        if rows.schema[name].inner.is_nested():  # type: ignore[attr-defined]  # lists have one, data types do not
            raise InputError(
                f"{source.name!r}: the column of the {name} holds {rows.schema[name]}, not lists of texts: "
                "give a list of texts in each row, or one text"
            )
    # Empty lists become null, because polars versions differ in what they make of them.
    as_lists = [pl.col(name).cast(pl.List(pl.String), strict=False) for name in lists]
    rows = rows.with_columns(as_lists).with_columns(
        pl.when(pl.col(name).list.len() > 0).then(name).alias(name) for name in lists
    )
    try:
        return rows.explode(lists)
    except pl.exceptions.PolarsError as exc:
        raise InputError(
            f"{source.name!r}: a row has not as many ids as texts in its lists {lists}: {first_line(exc)}"
        ) from exc


def _with_ids(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    queries = as_text(rows, "query", source).str.strip_chars()
    texts = as_text(rows, "text", source).str.strip_chars()
    empty = pl.repeat("", len(rows), eager=True)
    titles = as_text(rows, "title", source).str.strip_chars() if "title" in rows.columns else empty
    relevance = rows["relevance"] if "relevance" in rows.columns else pl.repeat(1.0, len(rows), eager=True)
    given = {name: as_id(rows, name, source) if name in rows.columns else empty for name in ("query_id", "doc_id")}
    frame = pl.DataFrame({"query": queries, "text": texts, "title": titles, **given})
    made = frame.with_columns(
        hash_texts("q-", queries).alias("made_query_id"), hash_documents(titles, texts).alias("made_doc_id")
    )
    return made.select(
        pl.when(pl.col("query_id") == "").then("made_query_id").otherwise("query_id").alias("query_id"),
        "query",
        pl.when(pl.col("doc_id") == "").then("made_doc_id").otherwise("doc_id").alias("doc_id"),
        pl.when(pl.col("title") != "").then("title").alias("title"),
        "text",
        as_relevance(relevance, source).alias("relevance"),
    )


def _take_corpus_ids(rows: pl.DataFrame, corpus: pl.DataFrame | None) -> pl.DataFrame:
    """The rows with the ids that the corpus has for their texts; `is_new` where it has none."""
    if corpus is None:
        return rows.with_columns(pl.lit(value=True).alias("is_new"))
    text, title = pl.col("text").str.strip_chars(), pl.col("title").str.strip_chars()
    by_text = corpus.select(text, pl.col("doc_id").alias("known_id"))
    by_both = corpus.select((title + " " + text).alias("text"), pl.col("doc_id").alias("known_id")).drop_nulls()
    known = pl.concat([by_text, by_both]).filter(pl.col("text") != "")
    given = known.with_columns(pl.col("known_id").alias("doc_id"), pl.lit(value=True).alias("is_given"))
    rows = rows.join(known.unique("text", keep="first", maintain_order=True), "text", "left", maintain_order="left")
    rows = rows.join(
        given.unique(["text", "doc_id"]), ["text", "doc_id"], "left", maintain_order="left", suffix="_given"
    )
    return rows.with_columns(
        pl.when(pl.col("is_given")).then("doc_id").otherwise(pl.coalesce("known_id", "doc_id")).alias("doc_id"),
        pl.col("known_id").is_null().alias("is_new"),
    )
