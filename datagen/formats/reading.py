"""Training data of any format becomes a `Dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.errors import InputError, some_of, unknown_choice
from datagen.formats import (
    beir,
    contrastors,
    flag_embedding,
    nemo,
    numbered,
    own,
    pylate,
    sentence_transformers,
    tevatron,
)
from datagen.formats.catalog import Format
from datagen.formats.dataset import ROWS, Dataset, merge_queries
from datagen.formats.files import look_at

_FAMILIES = (own, flag_embedding, tevatron, pylate, nemo, contrastors, beir, numbered, sentence_transformers)

FORMATS: dict[str, Format] = {form.name: form for family in _FAMILIES for form in family.FORMATS}
"""All formats, in the order in which a data set is compared with them."""


def read_dataset(path: Path, format: str | None = None) -> Dataset:  # the option of that name
    """All rows of a data set, one a query id.

    Args:
        path: a file, or a folder of them.
        format: one of `FORMATS`; told from the files when None.

    Raises:
        InputError: nothing is there, its format cannot be told, or it cannot be read.
        ConfigError: there is no such format.
    """
    chosen = find_format(format) if format else detect_format(path)
    frames = list(_iterate(path, chosen))
    return Dataset(merge_queries(pl.concat(frames)), chosen.name, path)


def iterate_dataset(path: Path, format: str | None = None) -> Iterator[pl.DataFrame]:
    """The rows of a data set, in frames of `ROWS`, some at a time where the format allows.

    A query stands as often as in the files: triplets are not put together into lists, as `read_dataset` does.

    Raises:
        InputError: nothing is there, its format cannot be told, or it cannot be read.
        ConfigError: there is no such format.
    """
    return _iterate(path, find_format(format) if format else detect_format(path))


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FORMATS:
        raise unknown_choice("format", name, FORMATS)
    return FORMATS[name]


def detect_format(path: Path) -> Format:
    """The format of what a path holds, told from names of files and columns.

    Raises:
        InputError: nothing is there, or it is of no known format.
    """
    look = look_at(path)
    found = next((form for form in FORMATS.values() if form.matches(look)), None)
    if found is None:
        inside = some_of(look.first.columns, 20) or some_of(sorted(look.names), 20)
        raise InputError(
            f"the format of {str(path)!r} cannot be told, it has {inside}: name one of {', '.join(FORMATS)}"
        )
    return found


def _iterate(path: Path, chosen: Format) -> Iterator[pl.DataFrame]:
    empty = True
    for frame in chosen.read(path):
        empty = False
        yield frame.cast(ROWS)
    if empty:
        raise InputError(f"{str(path)!r} holds no rows of the format {chosen.name}: check its files")
