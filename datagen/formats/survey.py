"""What must be known of all rows before the first is written: one pass over ids and queries, without the texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen.cleaning import comparable
from datagen.formats.content import Content
from datagen.formats.dataset import SIDES
from datagen.selection.arrays import Int64, UInt64, connect
from datagen.tables import PASSAGE_MARK

_MOST_WAITING = 4_000_000
_CUT_OUT = rf"{PASSAGE_MARK}\d+$"


@dataclass(frozen=True)
class Survey:
    """What was seen of all rows.

    `groups` has for each query the number of its document group; `named` are the hashes of the ids of all documents
    in a list, ascending. Both are None where they were not asked for.
    """

    queries: int
    most_negatives: int
    instructed: bool
    groups: Int64 | None
    named: UInt64 | None


def survey_content(content: Content, *, grouped: bool, named: bool) -> Survey:
    """Look at all rows.

    Args:
        content: what is exported.
        grouped: whether document groups are wanted.
        named: whether the documents that rows name are wanted.
    """
    queries, most, instructed, row_keys, ids = 0, 0, False, [], _Ids()
    for frame in content.keys():  # noqa: SIM118  # a table, not a mapping
        most = max(most, _most(frame))
        instructed = instructed or frame["instruction"].null_count() < len(frame)
        if grouped:
            row_keys.append(_group_keys(frame, queries))
        if named:
            seen = pl.concat([frame[side].explode() for side in SIDES]).drop_nulls()
            ids.add(seen.hash().to_numpy())
        queries += len(frame)
    groups = _connect_rows(pl.concat(row_keys), queries) if grouped and row_keys else None
    return Survey(queries, most, instructed, groups, ids.merge() if named else None)


class _Ids:
    """Distinct numbers out of many, put together now and then so that repeated ones take no room."""

    def __init__(self) -> None:
        self._parts: list[UInt64] = []
        self._room = _MOST_WAITING

    def add(self, numbers: UInt64) -> None:
        self._parts.append(numbers)
        if sum(map(len, self._parts)) > self._room:
            self._room = 2 * len(self.merge()) + _MOST_WAITING

    def merge(self) -> UInt64:
        """All that was added, ascending, each once."""
        self._parts = [np.unique(np.concatenate([np.empty(0, np.uint64), *self._parts]))]
        return self._parts[0]


def _most(frame: pl.DataFrame) -> int:
    return int(frame.select(pl.col("negatives").list.len().max().fill_null(0)).item())


def _group_keys(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """For each row the hashes of what it must share its split with: its query, and the documents of its positives."""
    rows = frame.with_row_index("row", offset=first)
    query = rows.select("row", key=comparable(pl.col("query")).hash(1))
    whole = pl.col("positives").str.replace(_CUT_OUT, "")
    positives = rows.select("row", "positives").explode("positives").drop_nulls().select("row", key=whole.hash(2))
    return pl.concat([query, positives])


def _connect_rows(keys: pl.DataFrame, rows: int) -> Int64:
    numbers = keys["key"].rank("dense").cast(pl.Int64).to_numpy() - 1
    size = int(numbers.max()) + 1 if len(numbers) else 0
    return connect(keys["row"].cast(pl.Int64).to_numpy(), numbers + rows, rows + size)[:rows]
