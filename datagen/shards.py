"""The only code that writes parquet: tables of `tables.py`, in parts, each whole or absent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datagen.errors import InputError
from datagen.storage import make_folder, replacing
from datagen.tables import SCHEMAS

Table: TypeAlias = pa.Table | pl.DataFrame

ROW_GROUP = 64_000


def part_name(number: int, prefix: str = "part") -> str:
    """File name of a part; names sort in the order of the numbers."""
    return f"{prefix}-{number:05d}.parquet"


def write_part(path: Path, name: str, table: Table) -> None:
    """Write one part of a table.

    Args:
        path: the file to create or replace.
        name: which schema of `tables.SCHEMAS` it must have; missing nullable columns are filled with nulls.
        table: the rows, in their final order.

    Raises:
        StorageError: the disk refused; no file is left under `path`.
        ValueError: a score is not finite, or a required column is missing or holds nulls: a bug, not bad data.
    """
    arrow = conform(table, SCHEMAS[name])
    with replacing(path) as temporary, pq.ParquetWriter(temporary, arrow.schema, compression="zstd") as writer:
        if len(arrow):  # a row group without rows cannot be read by `datasets`
            writer.write_table(arrow, row_group_size=ROW_GROUP)


def write_parts(folder: Path, name: str, tables: Iterable[Table], prefix: str = "part") -> int:
    """Write each table as one part of a folder, an empty part when there is none; the number of rows."""
    make_folder(folder)
    rows, number = 0, 0
    for number, table in enumerate(tables, start=1):
        write_part(folder / part_name(number - 1, prefix), name, table)
        rows += len(table)
    if number == 0:
        write_part(folder / part_name(0, prefix), name, SCHEMAS[name].empty_table())
    return rows


def slices(frame: pl.DataFrame, rows: int) -> Iterator[pl.DataFrame]:
    """Consecutive slices of a frame, each of at most so many rows."""
    return frame.iter_slices(rows)


def iterate(folder: Path, columns: list[str], rows: int) -> Iterator[pl.DataFrame]:
    """All parts of a table in part order, as frames of at most so many rows: one in memory at a time."""
    for file in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=rows, columns=columns):
                yield pl.DataFrame(pl.from_arrow(batch))


def scan(folder: Path) -> pl.LazyFrame:
    """All parts of a table, in part order, read when collected."""
    return pl.scan_parquet(sorted(folder.glob("*.parquet")), glob=False)


def count_rows(folder: Path) -> int:
    """How many rows a table has; no column of it is read."""
    return int(scan(folder).select(pl.len()).collect().item())


def read(folder: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """All parts of a table in memory, in part order.

    Raises:
        InputError: a part is missing or is not readable parquet.
    """
    files = sorted(folder.glob("*.parquet"))
    try:
        return pl.read_parquet(files, columns=columns, glob=False)
    except (OSError, pl.exceptions.PolarsError) as exc:
        raise InputError(f"cannot read the parquet files of {folder}: {exc}") from exc


def conform(table: Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly this schema, checked for nulls and non-finite scores."""
    arrow = table.to_arrow() if isinstance(table, pl.DataFrame) else table
    columns = [_column(arrow, field) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(arrow: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in arrow.column_names:
        if not field.nullable:
            raise ValueError(f"column {field.name!r} is required but missing")
        return pa.chunked_array([pa.nulls(len(arrow), field.type)])
    column = arrow[field.name].cast(field.type)
    if not field.nullable and column.null_count:
        raise ValueError(f"column {field.name!r} must not hold nulls, but {column.null_count} rows do")
    if pa.types.is_floating(field.type) and pc.all(pc.is_finite(column)).as_py() not in (True, None):
        raise ValueError(f"column {field.name!r} must hold finite numbers only")
    return column
