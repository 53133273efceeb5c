"""A table that was found becomes one frame, with the columns as the user named them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import InputError, first_line
from datagen.sources import hub
from datagen.sources.delimited import read_csv, read_tsv
from datagen.sources.json_lines import iterate_json_lines, read_json, read_json_lines
from datagen.sources.locate import ALLOWED, Format, Source

_TEXT_READERS: dict[Format, Callable[[Path], pl.DataFrame]] = {
    "jsonl": read_json_lines,
    "json": read_json,
    "csv": read_csv,
    "tsv": read_tsv,
}


def read_frame(source: Source, split: str) -> pl.DataFrame:
    """All rows in the order of the files.

    Raises:
        InputError: a file cannot be read, or there are no rows.
        BackendMissingError: a dataset was named and `datasets` is not installed.
    """
    frame = _read(source, split)
    if frame.is_empty():
        raise InputError(f"{source.name!r} holds no rows, only columns {frame.columns}: give at least one row")
    return frame


def iterate_frames(source: Source, split: str) -> Iterator[pl.DataFrame]:
    """All rows in the order of the files, some at a time where the format allows; what each frame lacks is not there.

    JSON lines, parquet and datasets are read in slices; csv, tsv and JSON arrays are one frame.

    Raises:
        InputError: a file cannot be read, or there are no rows.
        BackendMissingError: a dataset was named and `datasets` is not installed.
    """
    rows = 0
    for frame in _iterate(source, split):
        rows += len(frame)
        yield frame
    if not rows:
        read_frame(source, split)  # says what is wrong


def _iterate(source: Source, split: str) -> Iterator[pl.DataFrame]:
    if source.format == "hub":
        return hub.iterate_hub(source.place, split)
    if source.format == "dataset":
        return hub.iterate_folder(source.place)
    if source.format == "parquet":
        return _iterate_parquet(source.files)
    if source.format == "jsonl":
        return iterate_json_lines(source.files[0])
    return iter([_read(source, split)])


def _iterate_parquet(files: Sequence[Path]) -> Iterator[pl.DataFrame]:
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=hub.ROWS):
                    yield pl.DataFrame(pl.from_arrow(batch))
        except (OSError, pa.ArrowException) as exc:
            raise _unreadable(path, exc) from exc


def _read(source: Source, split: str) -> pl.DataFrame:
    if source.format == "hub":
        return hub.read_hub(source.place, split)
    if source.format == "dataset":
        return hub.read_folder(source.place)
    if source.format == "parquet":
        return _read_parquet(source)
    if source.format == "plain":
        raise InputError(f"{source.name!r} can only be read as relevance judgements: give {ALLOWED}")
    return _TEXT_READERS[source.format](source.files[0])


def _read_parquet(source: Source) -> pl.DataFrame:
    frames = [_read_parquet_file(path) for path in source.files]
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as exc:
        raise InputError(f"the parquet files of {source.name!r} do not fit together: {first_line(exc)}") from exc


def _read_parquet_file(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: Exception) -> InputError:
    return InputError(f"cannot read {str(path)!r} as parquet: {first_line(exc)}; write or copy the file again")
