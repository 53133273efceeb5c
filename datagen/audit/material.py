"""The rows of a data set taken apart, for all analyses of an audit: queries, different passages, and their uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import polars as pl

from datagen.documents import text_groups
from datagen.selection.arrays import Int64
from datagen.selection.closure import Pairs

Role: TypeAlias = Literal["query", "positive", "negative"]

POSITIVE: Role = "positive"
NEGATIVE: Role = "negative"
LISTS: dict[Role, str] = {POSITIVE: "positives", NEGATIVE: "negatives"}
"""Role of a use and the column of a row that holds it."""


@dataclass(frozen=True)
class Material:
    """A data set by numbers: row i of `queries` is query i, row i of `passages` is passage i."""

    queries: pl.DataFrame
    """query_id and query, one a row of the data set, in its order; a row may repeat another's query."""
    passages: pl.DataFrame
    """doc_id and text of each different text, in the order of first use; the id is that of the first use."""
    uses: pl.DataFrame
    """row, query_id, role, place (from 0, in the list of its role), doc_id and passage: ordered by row and place,
    positives before negatives."""

    @cached_property
    def groups(self) -> tuple[Int64, Int64]:
        """Text groups of the passages and of the queries, from one numbering; see `documents.text_groups`."""
        return text_groups([self.passages["text"]], self.queries["query"])

    def used_as(self, role: Role) -> pl.DataFrame:
        """The uses of one role."""
        return self.uses.filter(pl.col("role") == role)

    def pairs(self, role: Role) -> Pairs:
        """Row and passage of each use of one role."""
        return pairs_of(self.used_as(role))


def take_apart(rows: pl.DataFrame) -> Material:
    """The queries, passages and uses of a data set.

    Texts are told apart by 64 bits of a hash, as in `documents.text_groups`.

    Args:
        rows: query_id, query, and the lists `positives` and `negatives` of structs with doc_id and text.
    """
    uses = pl.concat([_unfold(rows, role) for role in LISTS]).with_columns(_text=pl.col("text").hash())
    passages = uses.unique("_text", keep="first", maintain_order=True)
    numbers = passages.select("_text", passage=pl.int_range(pl.len(), dtype=pl.Int64))
    numbered = uses.drop("text").join(numbers, on="_text", how="left", maintain_order="left").drop("_text")
    order = numbered.sort("row", maintain_order=True)  # the positives of all rows came first
    return Material(rows.select("query_id", "query"), passages.select("doc_id", "text"), order)


def pairs_of(uses: pl.DataFrame) -> Pairs:
    """Row and passage of some uses."""
    return uses["row"].to_numpy(), uses["passage"].to_numpy()


def _unfold(rows: pl.DataFrame, role: Role) -> pl.DataFrame:
    numbered = rows.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), "query_id", use=LISTS[role])
    some = numbered.filter(pl.col("use").list.len() > 0).explode("use")
    return some.select(
        "row",
        "query_id",
        role=pl.lit(role),
        place=pl.int_range(pl.len(), dtype=pl.Int64).over("row"),
        doc_id=pl.col("use").struct.field("doc_id"),
        text=pl.col("use").struct.field("text"),
    )
