"""Tables of a format on disk: streamed into shards, each whole or absent."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from datagen.formats.catalog import Table
from datagen.storage import replacing


class _Shard(Protocol):
    """One open file."""

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write what stands at the end."""


class TableWriter:
    """Writes the rows of one table into files of at most so many rows."""

    def __init__(self, folder: Path, table: Table, split: str, rows_per_shard: int) -> None:
        """Name what is written; files come with the rows."""
        self._folder, self._table, self._split = folder, table, split
        self._rows_per_shard = rows_per_shard if "{number" in table.path else 2**62
        self._stack = ExitStack()
        self._shard: _Shard | None = None
        self._in_shard = 0
        self.files = 0
        self.rows = 0

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows, in a new file where the last one is full."""
        while len(frame) or not self.files:
            if self._shard is None or self._in_shard == self._rows_per_shard:
                self._open()
            part = frame.head(self._rows_per_shard - self._in_shard)
            if self._shard is not None:
                self._shard.write(part)
            self._in_shard += len(part)
            self.rows += len(part)
            frame = frame.slice(len(part))

    def __enter__(self) -> Self:
        """Nothing happens yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the last file its name, or none when the block was left by an error."""
        if error is None:
            self._close()
        self._stack.__exit__(kind, error, trace)

    def _close(self) -> None:
        if self._shard is not None:
            self._shard.close()
        self._stack.close()
        self._shard = None

    def _open(self) -> None:
        self._close()
        suffix = "" if self._split == "train" else f"-{self._split}"
        path = self._folder / self._table.path.format(split=self._split, suffix=suffix, number=self.files)
        temporary = self._stack.enter_context(replacing(path))
        self._shard = _open_shard(path, temporary, self._table, self._stack)
        self._in_shard = 0
        self.files += 1


def _open_shard(path: Path, temporary: Path, table: Table, stack: ExitStack) -> _Shard:
    if path.suffix == ".parquet":
        return _ParquetShard(temporary, stack)
    file: IO[bytes] = stack.enter_context(temporary.open("wb"))
    if path.suffix == ".gz":
        # No name and no time in the header: the same rows are the same bytes.
        file = cast("IO[bytes]", stack.enter_context(gzip.GzipFile("", "wb", 3, file, mtime=0)))
    if table.separator:
        return _CellShard(file, table.separator, header=table.header)
    return _JsonShard(file, table.around) if path.suffix == ".json" else _LineShard(file)


class _ParquetShard:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._writer: pq.ParquetWriter | None = None

    def write(self, frame: pl.DataFrame) -> None:
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in arrow.schema])
            self._writer = self._stack.enter_context(pq.ParquetWriter(self._path, schema, compression="zstd"))
        self._writer.write_table(arrow.cast(self._writer.schema))

    def close(self) -> None:
        """The stack closes the file."""


class _LineShard:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_ndjson(self._file)

    def close(self) -> None:
        """Nothing stands at the end."""


class _JsonShard:
    """One JSON object, with the rows as a list in it."""

    def __init__(self, file: IO[bytes], around: tuple[str, str]) -> None:
        self._file, self._end, self._separator = file, around[1], b""
        file.write(around[0].encode() + b"\n")

    def write(self, frame: pl.DataFrame) -> None:
        if len(frame):
            lines = frame.write_ndjson().rstrip("\n").encode()
            self._file.write(self._separator + lines.replace(b"\n", b",\n"))
            self._separator = b",\n"

    def close(self) -> None:
        self._file.write(b"\n" + self._end.encode() + b"\n")


class _CellShard:
    """Cells with a separator between; texts must hold none, and are not quoted."""

    def __init__(self, file: IO[bytes], separator: str, *, header: bool) -> None:
        self._file, self._separator, self._header = file, separator, header

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_csv(self._file, separator=self._separator, include_header=self._header, quote_style="never")
        self._header = False

    def close(self) -> None:
        """Nothing stands at the end."""


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with 32-bit offsets, which every reader of parquet and Arrow knows."""
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", _plain(kind.value_type)))
    return kind
