"""Rows of an export in the order of their batches, however many there are: cut into rows, numbered, sorted on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from datagen import storage
from datagen.formats.catalog import Unit
from datagen.formats.options import BatchOptions
from datagen.formats.shapes import fields_of
from datagen.selection.arrays import Int64

BATCH = "batch"
"""The column with the number of each row's batch, from 0 in each split."""
ANSWERS = "answers"
"""A column beside those of `ROWS`: the ids of all positives of the query, of which the row has one."""

_ROWS_IN_FILE = 8192
_MOST_FILES = 200


class Batcher(Protocol):
    """Who says which rows stand in one batch."""

    @property
    def options(self) -> BatchOptions:
        """How large a batch is, and what its rows have in common."""
        ...

    def number(self, parts: Iterator[tuple[int, pl.DataFrame]]) -> tuple[Int64, Int64]:
        """The split and the batch of each row, both (n_rows,), batches counted from 0 in each split.

        Args:
            parts: the number of a split and some rows of it, of `ROWS` and `ANSWERS`, as `cut_into_units` gives them.
        """
        ...


def cut_into_units(rows: pl.DataFrame, unit: Unit) -> pl.DataFrame:
    """Rows that have one positive each (and one negative where that is the unit), and `ANSWERS`."""
    rows = rows.with_columns(fields_of("positives", "doc_id").alias(ANSWERS))
    for side in ("positives", "negatives")[: 1 if unit == "positive" else 2]:
        rows = rows.explode(side).with_columns(pl.concat_list(side))
    return rows


def keep_rows(parts: Iterator[tuple[int, pl.DataFrame]], file: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    """The same parts, each written to a file as it goes by."""
    with ExitStack() as stack:
        stack.enter_context(storage.guard_disk(file))
        writer: pa.ipc.RecordBatchFileWriter | None = None
        for split, rows in parts:
            writer = _write(rows, file, writer, stack)
            yield split, rows


def sort_by_batch(kept: Path, splits: Int64, batches: Int64) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows that were kept, split by split and batch by batch, with the column `BATCH`.

    Args:
        kept: the file; sorted parts of it lie beside it meanwhile.
        splits: the split of each row, (n_rows,).
        batches: the number of its batch in the split, (n_rows,).
    """
    order = np.lexsort((batches, splits))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    for file in _spread(kept, batches, places):
        rows = pl.concat(_read(file)).sort("place")
        file.unlink()
        of_split = splits[order[rows["place"].to_numpy()]]
        for split in np.unique(of_split).tolist():
            yield split, rows.filter(pl.Series(of_split == split)).drop("place")


def without_batches(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without the column `BATCH`, which trains nothing."""
    has_numbers = BATCH in rows.columns and rows.schema[BATCH].is_integer()
    return rows.drop(BATCH) if has_numbers else rows


def _spread(kept: Path, batches: Int64, places: Int64) -> list[Path]:
    """Files in the order of places, each with the rows of so many places, as they were kept."""
    size = max(_ROWS_IN_FILE, -(-len(places) // _MOST_FILES))
    files = [kept.with_name(f"{number}.arrow") for number in range(-(-len(places) // size))]
    writers: list[pa.ipc.RecordBatchFileWriter | None] = [None] * len(files)
    begin = 0
    with ExitStack() as stack:
        stack.enter_context(storage.guard_disk(kept))
        for rows in _read(kept) if files else ():
            own = slice(begin, begin + len(rows))
            begin += len(rows)
            numbered = rows.with_columns(pl.Series(BATCH, batches[own]), pl.Series("place", places[own]))
            for number in np.unique(places[own] // size).tolist():
                some = numbered.filter(pl.Series(places[own] // size == number))
                writers[number] = _write(some, files[number], writers[number], stack)
    return files


def _write(
    rows: pl.DataFrame, file: Path, writer: pa.ipc.RecordBatchFileWriter | None, stack: ExitStack
) -> pa.ipc.RecordBatchFileWriter:
    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    if writer is None:
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        writer = stack.enter_context(pa.ipc.new_file(file, table.schema, options=options))
    writer.write_table(table)
    return writer


def _read(file: Path) -> Iterator[pl.DataFrame]:
    with pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches):
            yield pl.DataFrame(reader.get_batch(number))
