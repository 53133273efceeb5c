"""Parts that the tables of formats are put together from: expressions and gathers over whole frames."""

from __future__ import annotations

import numpy as np
import polars as pl

from datagen.formats.catalog import Facts
from datagen.formats.dataset import SIDES


def fields_of(side: str, field: str) -> pl.Expr:
    """One field of each document of a list, as a list."""
    return pl.col(side).list.eval(pl.element().struct.field(field))


def flatten(rows: pl.DataFrame, side: str) -> pl.DataFrame:
    """The documents of all lists of a side, one after the other: `row` and the fields of a document."""
    lists = rows[side]
    flat = lists.explode(empty_as_null=False) if len(lists) else lists.list.first()
    owner = np.repeat(np.arange(len(rows)), lists.list.len().to_numpy())
    return flat.struct.unnest().insert_column(0, pl.Series("row", owner, pl.UInt32))


def with_all_documents(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with one list `documents` of positives, then negatives, and a list `labels` of 1 and 0 beside it."""
    labels = [pl.col(side).list.eval(pl.lit(label, pl.Int8)) for side, label in zip(SIDES, (1, 0), strict=True)]
    return rows.with_columns(documents=pl.concat_list(SIDES), labels=pl.concat_list(labels))


def pairs_of(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each positive of each query: `row` and the fields of the positive."""
    return flatten(rows, "positives")


def corpus_lines(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """The documents as BEIR has them: `_id`, `title` and `text`."""
    return documents.select(_id="doc_id", title=pl.col("title").fill_null(""), text="body")
