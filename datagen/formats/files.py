"""The files of a data set: found in folders, read as frames, some rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datagen.errors import InputError
from datagen.sources.frames import iterate_frames
from datagen.sources.locate import Source, locate

_SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".json.gz", ".ndjson", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
_HELPERS = ("counts.json", "offsets.json.gz", "dataset_info.json", "dataset_dict.json", "state.json", "corpus.jsonl")
_FIRST_ROWS = 100


@dataclass(frozen=True)
class Look:
    """The first of a data set, enough to tell its format.

    `names` are the files and folders in it (none when it is a file). `first` holds the first rows of its first table,
    no rows and no columns when that is none.
    """

    path: Path
    names: frozenset[str]
    first: pl.DataFrame

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the first table."""
        return frozenset(self.first.columns)


def look_at(path: Path) -> Look:
    """The first of what a path holds.

    Raises:
        InputError: nothing is there, or its first table cannot be read.
    """
    if not path.exists():
        raise InputError(f"{str(path)!r} does not exist: name a file or a folder of training data")
    names = frozenset(item.name for item in path.iterdir()) if path.is_dir() else frozenset()
    tables = find_tables(path)
    first = (
        next(iterate_table(tables[:1])).head(_FIRST_ROWS) if tables and not _is_values(tables[0]) else pl.DataFrame()
    )
    return Look(path, names, first)


def find_tables(path: Path, stem: str = "") -> list[Path]:
    """The tables that a path names: itself, or those in the folder whose names begin so, in the order of their names.

    Files that describe others (`counts.json`) are left out.
    """
    if path.is_file():
        return [path]
    files = [file for file in sorted(path.glob("*")) if file.is_file() and file.name.endswith(_SUFFIXES)]
    return [file for file in files if file.name.startswith(stem) and file.name not in _HELPERS]


def iterate_table(files: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """The rows of some files, some at a time where the format allows.

    Raises:
        InputError: a file cannot be read or holds no rows.
    """
    for file in files:
        yield from iterate_frames(_source(file), "train")


def read_table(files: Sequence[Path], what: str, where: Path) -> pl.DataFrame:
    """All rows of some files; a column that one of them lacks is null there.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    if not files:
        raise InputError(f"{str(where)!r} holds no {what}")
    return pl.concat(iterate_table(files), how="diagonal_relaxed")


def _source(file: Path) -> Source:
    return locate(str(file), "train")


def _is_values(file: Path) -> bool:
    """Whether a JSON file holds lists or a single object, which is no table."""
    if not file.name.endswith((".json", ".jsonl")):
        return False
    with file.open(encoding="utf-8-sig") as lines:
        line = next((line for line in lines if line.strip()), "")
    try:
        return not isinstance(json.loads(line), dict)
    except ValueError:
        return True
