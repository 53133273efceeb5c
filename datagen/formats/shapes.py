"""Parts that the tables of formats are put together from: expressions and gathers over whole frames."""

from __future__ import annotations

import numpy as np
import polars as pl

from datagen.errors import InputError
from datagen.formats.catalog import Facts
from datagen.formats.dataset import SIDES
from datagen.selection.arrays import Int64


def fields_of(side: str, field: str) -> pl.Expr:
    """One field of each document of a list, as a list."""
    return pl.col(side).list.eval(pl.element().struct.field(field))


def flatten(rows: pl.DataFrame, side: str) -> pl.DataFrame:
    """The documents of all lists of a side, one after the other: `row` and the fields of a document."""
    lists = rows[side]
    flat = lists.explode(empty_as_null=False) if len(lists) else lists.list.first()
    return flat.struct.unnest().insert_column(0, pl.Series("row", flatten_owners(rows, side)))


def with_all_documents(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with one list `documents` of positives, then negatives, and a list `labels` of 1 and 0 beside it."""
    labels = [pl.col(side).list.eval(pl.lit(label, pl.Int8)) for side, label in zip(SIDES, (1, 0), strict=True)]
    return rows.with_columns(documents=pl.concat_list(SIDES), labels=pl.concat_list(labels))


def triples_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Each positive with each negative of its query, as places: `row`, and in what `flatten` gives, the two documents.

    Returns:
        Columns `row`, `positive` and `negative`, int64.
    """
    of_positive = flatten_owners(rows, "positives")
    sizes = rows["negatives"].list.len().to_numpy().astype(np.int64)
    each = sizes[of_positive]
    positive = np.repeat(np.arange(len(of_positive)), each)
    first = (np.cumsum(sizes) - sizes)[of_positive]
    negative = np.arange(len(positive)) + np.repeat(first - (np.cumsum(each) - each), each)
    return pl.DataFrame({"row": of_positive[positive], "positive": positive, "negative": negative})


def flatten_owners(rows: pl.DataFrame, side: str) -> Int64:
    """The row of each document of all lists of a side, one after the other."""
    return np.repeat(np.arange(len(rows)), rows[side].list.len().to_numpy())


def number_documents(documents: pl.DataFrame, facts: Facts) -> pl.Series:
    """The place of each document in the table of documents, by its `doc_id`."""
    if facts.numbers is None:
        raise ValueError("the format is not one of places")
    return facts.numbers.find(documents["doc_id"])


def shape_beir_corpus(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """The documents as BEIR has them: `_id`, `title` and `text`."""
    return documents.select(pl.col("doc_id").alias("_id"), pl.col("title").fill_null(""), text="body")


def shape_beir_queries(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """The queries as BEIR has them: `_id` and `text`."""
    return rows.select(pl.col("query_id").alias("_id"), text="query")


def shape_ids(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """Which document stands at which place."""
    return documents.select("number", "doc_id")


def on_one_line(text: pl.Expr) -> pl.Expr:
    """A text without tabs and line ends, for formats of one line a text."""
    return text.str.replace_all(r"[\t\r\n]+", " ")


def check_ids(ids: pl.Series) -> pl.Series:
    """Ids for files whose cells are separated by blanks.

    Raises:
        InputError: one holds a blank.
    """
    bad = ids.filter(ids.str.contains(r"\s"))
    if len(bad):
        raise InputError(f"the id {bad[0]!r} holds a blank, which separates cells in this format: rename it")
    return ids
