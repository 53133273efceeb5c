"""Hugging Face datasets: folders made by `save_to_disk`, and ids on the hub. The only file that needs `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from datagen.errors import BackendMissingError, InputError, first_line
from datagen.sources.locate import choose_split

if TYPE_CHECKING:
    import datasets

ROWS = 65_536
"""Rows of a dataset that are in memory at once."""


def read_folder(folder: str) -> pl.DataFrame:
    """All rows of a folder that `Dataset.save_to_disk` made.

    Raises:
        InputError: the folder is damaged.
        BackendMissingError: `datasets` is not installed.
    """
    return _to_frame(_load_folder(folder))


def _load_folder(folder: str) -> datasets.Dataset:
    try:
        from datasets import load_from_disk
    except ImportError as exc:
        raise BackendMissingError(f"the dataset folder {folder!r}", extra="hub") from exc
    try:
        return load_from_disk(folder)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InputError(f"cannot read the dataset folder {folder!r}: {exc}; save it again with save_to_disk") from exc


def iterate_folder(folder: str) -> Iterator[pl.DataFrame]:
    """The rows of `read_folder`, some at a time."""
    yield from _iterate(_load_folder(folder))


def iterate_hub(name: str, split: str) -> Iterator[pl.DataFrame]:
    """The rows of `read_hub`, some at a time."""
    yield from _iterate(_load(name, split))


def read_hub(name: str, split: str) -> pl.DataFrame:
    """All rows of one split of a dataset id, written `owner/name` or `owner/name:configuration`.

    Raises:
        InputError: the hub was not reachable, or has no such dataset, configuration or split.
        BackendMissingError: `datasets` is not installed.
    """
    return _to_frame(_load(name, split))


def cached_files(name: str, split: str) -> tuple[Path, ...]:
    """The local files that hold one split of a dataset id, fetched if they are not there yet."""
    return tuple(Path(file["filename"]) for file in _load(name, split).cache_files)


def _load(name: str, split: str) -> datasets.Dataset:
    try:
        import datasets
    except ImportError as exc:
        raise BackendMissingError(f"the dataset id {name!r} (no file or folder has that name)", extra="hub") from exc
    path, _, configuration = name.partition(":")
    try:
        loaded = datasets.load_dataset(path, configuration or None)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as exc:
        raise InputError(
            f"{name!r} is no file or folder here, and as a dataset id it could not be loaded: the hub was not "
            f"reachable or does not know it ({first_line(exc)}); give the path of a local file or folder"
        ) from exc
    return loaded[choose_split(list(loaded), split, name)]


def _iterate(dataset: datasets.Dataset) -> Iterator[pl.DataFrame]:
    for begin in range(0, len(dataset), ROWS):
        yield _to_frame(dataset.select(range(begin, min(begin + ROWS, len(dataset)))))


def _to_frame(dataset: datasets.Dataset) -> pl.DataFrame:
    return pl.DataFrame(dataset.to_polars())
