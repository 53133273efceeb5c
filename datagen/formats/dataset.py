"""What every format is read into and written from: one row a query, in the shape of the table train."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datagen.errors import InputError, first_line, some_of
from datagen.sources.columns import hash_documents, hash_texts

DOCUMENT = pl.Struct([pl.Field("doc_id", pl.String), pl.Field("text", pl.String), pl.Field("score", pl.Float64)])
ROWS = pl.Schema(
    [
        ("query_id", pl.String()),
        ("query", pl.String()),
        ("instruction", pl.String()),
        ("positives", pl.List(DOCUMENT)),
        ("negatives", pl.List(DOCUMENT)),
    ]
)
log = logging.getLogger(__name__)

SIDES = ("positives", "negatives")


@dataclass(frozen=True)
class Dataset:
    """Training data of any format.

    `rows` has the columns of `ROWS`, one row for each `query_id`; lists are never null, a document stands once in a
    list, and `score` and `instruction` are null where the format has none. `format` is one of `FORMATS`, and `path`
    what was read.
    """

    rows: pl.DataFrame
    format: str
    path: Path


def build_rows(queries: pl.DataFrame, positives: pl.DataFrame, negatives: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of `ROWS`, in the order of the queries; ids that are missing are made from the texts.

    Args:
        queries: `query`, and `query_id` and `instruction` where the format has them.
        positives: one row a document: `row` (place of its query), `text`, and `doc_id`, `title`, `score` where the
            format has them; what has no text is left out. A score that is not finite is null.
        negatives: the same.
    """
    rows = _fill(queries, ("query_id", "instruction")).with_columns(pl.col("query").cast(pl.String).fill_null(""))
    if rows["query_id"].null_count():
        made = hash_texts("q-", rows["query"])
        rows = rows.with_columns(pl.coalesce("query_id", made.alias("made")).alias("query_id"))
    rows = rows.with_row_index("row")
    for side, documents in zip(SIDES, (positives, negatives), strict=True):
        rows = rows.join(_as_lists(documents, side), on="row", how="left", maintain_order="left")
    return rows.with_columns(pl.col(SIDES).fill_null([])).select(ROWS.names()).cast(ROWS)


def explode_lists(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """One row for each item of some lists that go together, with the `row` it stood in.

    Args:
        frame: holds the lists; a single value counts as a list of one.
        columns: for each column of the result the list that it is made from.

    Raises:
        InputError: the lists of a row differ in length.
    """
    lists = [_as_list(frame, source).alias(name) for name, source in columns.items()]
    chosen = frame.select(lists).with_row_index("row")
    lengths = [pl.col(name).list.len() for name in columns]
    unequal = chosen.filter(pl.any_horizontal(length.ne_missing(lengths[0]) for length in lengths))
    if len(unequal):
        raise InputError(
            f"row {unequal['row'][0] + 1:,}: the lists {', '.join(map(repr, columns.values()))} differ in length "
            f"({len(unequal):,} such rows): give one score for each text"
        )
    try:
        return chosen.filter(lengths[0] > 0).explode(list(columns))
    except pl.exceptions.PolarsError as exc:
        raise InputError(f"the lists {list(columns.values())} do not go together: {first_line(exc)}") from exc


def explode_objects(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row for each object of some lists: the `row` it stood in, and its fields; all lists may be empty."""
    objects = explode_lists(frame, {column: column})
    return objects.unnest(column) if isinstance(objects.schema[column], pl.Struct) else objects.select("row")


def add_texts(documents: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """The documents with the texts (and titles) that the corpus has for their ids; of those it lacks, null.

    Args:
        documents: `row`, `doc_id`, and `score` where there is one.
        corpus: `doc_id`, `text`, and `title` where there is one.
    """
    known = corpus.with_columns(pl.col("doc_id").cast(pl.String)).unique("doc_id", keep="first", maintain_order=True)
    named = _fill(documents, ("doc_id",))
    joined = named.join(known, on="doc_id", how="left", maintain_order="left")
    missing = joined.filter(pl.col("text").is_null())
    if len(missing):
        log.warning("%d documents are not in the corpus and left out: %s", len(missing), some_of(missing["doc_id"], 3))
    return joined


def no_documents() -> pl.DataFrame:
    """Documents of no query."""
    return pl.DataFrame(schema={"row": pl.UInt32, "text": pl.String})


def merge_queries(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each query id, in the order of the first; lists one after the other, each document once."""
    first = pl.element().struct.field("doc_id").is_first_distinct()
    if rows["query_id"].n_unique() < len(rows):
        firsts = [pl.col(name).first() for name in ("query", "instruction")]
        lists = [pl.col(side).list.explode(empty_as_null=False) for side in SIDES]
        rows = rows.group_by("query_id", maintain_order=True).agg(*firsts, *lists).select(ROWS.names())
    return rows.with_columns(pl.col(side).list.eval(pl.element().filter(first)) for side in SIDES)


def _fill(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    missing = [pl.lit(None, pl.String).alias(name) for name in names if name not in frame.columns]
    return frame.with_columns(missing).with_columns(pl.col(name).cast(pl.String) for name in names)


def _as_list(frame: pl.DataFrame, column: str) -> pl.Expr:
    is_list = isinstance(frame.schema[column], pl.List | pl.Array)
    return pl.col(column) if is_list else pl.concat_list(pl.col(column))


def _as_lists(documents: pl.DataFrame, name: str) -> pl.DataFrame:
    """The documents of each row as one list of `DOCUMENT`."""
    rows = _fill(documents, ("doc_id", "title", "text"))
    score = pl.col("score").cast(pl.Float64, strict=False) if "score" in rows.columns else pl.lit(None, pl.Float64)
    rows = rows.filter(pl.col("text").is_not_null()).with_columns(
        pl.col("row").cast(pl.UInt32), score=pl.when(score.is_finite()).then(score)
    )
    titled = pl.when(pl.col("title").fill_null("") != "").then(pl.col("title") + " " + pl.col("text"))
    rows = rows.with_columns(made=_made_ids(rows), text=titled.otherwise("text"))
    rows = rows.with_columns(pl.coalesce("doc_id", "made").alias("doc_id"))
    return rows.group_by("row", maintain_order=True).agg(pl.struct("doc_id", "text", "score").alias(name))


def _made_ids(documents: pl.DataFrame) -> pl.Series:
    """An id from title and text for each document that has none; null for the others."""
    lacking = documents.filter(pl.col("doc_id").is_null()).select("title", "text").unique(maintain_order=True)
    made = lacking.with_columns(made=hash_documents(lacking["title"], lacking["text"]))
    return documents.join(made, on=["title", "text"], how="left", nulls_equal=True, maintain_order="left")["made"]
