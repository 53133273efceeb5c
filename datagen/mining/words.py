"""The words of texts as weighted vectors (TF-IDF), on disk: what two texts share in wording, whatever the teacher says.

Between the texts and the learned margin (`mining.evidence`). Words are numbers, hashed into 2^20 columns, so that no
vocabulary is held; the words of a text are written once and read from a memory map.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.backends.protocols import Int64
from datagen.mining.near_texts import hash_shingles
from datagen.progress import Progress
from datagen.selection.arrays import places_of
from datagen.selection.sparse import SparseRows
from datagen.storage import guard_disk, make_folder, remove_folder, rename_folder
from datagen.store import hash_texts

Array: TypeAlias = npt.NDArray[Any]  # Any: the type of numbers that a file holds

_VERSION = "words-1"
_BITS = 20
_LETTERS = 4000
"""Letters of a text that are looked at: teachers read no more of it."""
_PART = 4096
"""Texts whose words are in memory at once while they are counted."""
_MOST = 255
"""A word that stands more often in a text counts as so often."""


class WordVectors:
    """The TF-IDF vectors of numbered texts, of unit length, read as they are needed."""

    def __init__(self, starts: Int64, columns: Array, counts: Array, weights: npt.NDArray[np.float32]) -> None:
        """Take the words of each text, how often they stand there, and the weight of each column."""
        self._starts, self._columns, self._counts, self._weights = starts, columns, counts, weights

    def take(self, numbers: Int64) -> SparseRows:
        """The vectors of these texts."""
        places = places_of(self._starts, numbers)
        sizes = self._starts[numbers + 1] - self._starts[numbers]
        columns = self._columns[places].astype(np.int64)
        values = (1 + np.log(self._counts[places].astype(np.float32))) * self._weights[columns]
        rows = np.repeat(np.arange(len(numbers)), sizes)
        length = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(numbers)))
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return SparseRows(starts, columns, (values / np.maximum(length, 1e-9)[rows]).astype(np.float32))


def open_words(
    cache: Path, slices: Callable[[], Iterable[pl.Series]], n_documents: int, progress: Progress
) -> WordVectors:
    """The word vectors of some texts, numbered in their order; counted and kept where the cache lacks them.

    The weight of a word is 1 + ln((1 + n) / (1 + df)) over the documents, as in scikit-learn's `TfidfVectorizer`.

    Args:
        cache: the folder of vectors and scores.
        slices: gives the texts, some at a time; called again where they are to be counted.
        n_documents: how many of the texts, the first ones, are the documents.
        progress: shows the work.

    Raises:
        StorageError: the disk refused.
    """
    content, n_texts = hashlib.sha256(str(n_documents).encode()), 0
    for texts in slices():
        content.update(hash_texts(texts).tobytes())
        n_texts += len(texts)
    folder = cache / "words" / _VERSION / content.hexdigest()[:32]
    if not folder.exists():
        with progress.step("count words", n_texts, "texts") as advance:
            _build(slices(), n_documents, folder, advance)
    sizes, frequency = (np.load(folder / f"{name}.npy") for name in ("sizes", "frequency"))
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    columns, counts = (_mapped(folder / name, kind) for name, kind in (("columns", np.uint32), ("counts", np.uint8)))
    weights = 1 + np.log((1 + n_documents) / (1 + frequency.astype(np.float64)))
    return WordVectors(starts, columns, counts, weights.astype(np.float32))


def count_words(texts: pl.Series) -> tuple[Int64, Array, Array]:
    """The words of some texts: how many different ones each has, (n,), their columns, and how often each stands.

    Words are runs of letters and digits in lower case; in scripts without spaces a letter is a word.
    """
    plain = texts.str.slice(0, _LETTERS).str.replace_all(r"[\p{P}\p{S}]+", " ")
    hashes, starts = hash_shingles(plain, 1)
    text = np.repeat(np.arange(len(texts)), np.diff(starts).astype(np.int64)).astype(np.uint64)
    pairs, counts = np.unique(text << np.uint64(_BITS) | hashes >> np.uint64(64 - _BITS), return_counts=True)
    sizes = np.bincount((pairs >> np.uint64(_BITS)).astype(np.int64), minlength=len(texts))
    columns = (pairs & np.uint64((1 << _BITS) - 1)).astype(np.uint32)
    return sizes, columns, np.minimum(counts, _MOST).astype(np.uint8)


def _build(slices: Iterable[pl.Series], n_documents: int, folder: Path, advance: Callable[[int], None]) -> None:
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    remove_folder(unfinished)
    make_folder(unfinished)
    sizes: list[Array] = []
    frequency, seen = np.zeros(1 << _BITS, np.int64), 0
    with (
        guard_disk(folder),
        (unfinished / "columns").open("wb") as of_columns,
        (unfinished / "counts").open("wb") as rest,
    ):
        for part in (texts[i : i + _PART] for texts in slices for i in range(0, len(texts), _PART)):
            size, columns, counts = count_words(part)
            of_columns.write(columns.tobytes())
            rest.write(counts.tobytes())
            in_documents = int(size[: max(0, n_documents - seen)].sum())
            frequency += np.bincount(columns[:in_documents], minlength=1 << _BITS)
            sizes.append(size.astype(np.uint16))
            seen += len(part)
            advance(len(part))
        np.save(unfinished / "sizes.npy", np.concatenate([np.empty(0, np.uint16), *sizes]))
        np.save(unfinished / "frequency.npy", frequency.astype(np.uint32))
    rename_folder(unfinished, folder)


def _mapped(path: Path, kind: npt.DTypeLike) -> Array:
    """A file of numbers as an array that is read as it is needed; an empty one cannot be mapped."""
    return np.memmap(path, kind, "r") if path.stat().st_size else np.empty(0, kind)
