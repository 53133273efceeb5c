"""Search in two steps for teachers whose vectors may be cut (Matryoshka representation learning, arXiv 2205.13147).

The first step searches the first numbers of each vector alone, with whatever index the run uses; the second scores
what that found with all numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from datagen.backends.exact import best_of_each, exact_scores
from datagen.backends.protocols import Float32, Int64, SearchIndex, Telling, VectorSource
from datagen.config import fingerprint

OVERFETCH = 4
"""Documents that the first step gives for each one wanted."""

_DOCUMENTS = 32_768
"""Documents whose whole vectors are held at once in the second step."""


class PrefixVectors:
    """The first numbers of the vectors of a source, brought back to unit length."""

    def __init__(self, documents: VectorSource, dims: int) -> None:
        """Take the whole vectors and how many numbers to keep."""
        self._documents = documents
        self._dims = dims

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self._documents)

    @property
    def dim(self) -> int:
        """Length of a cut vector."""
        return self._dims

    @property
    def identity(self) -> str:
        """Hash of the whole vectors' identity and where they are cut."""
        return fingerprint(self._documents.identity, self._dims)

    def take(self, numbers: Int64) -> Float32:
        """Cut vectors of these documents, float32 (n, dim)."""
        return cut(self._documents.take(numbers), self._dims)

    def blocks(self, rows: int) -> Iterator[tuple[Int64, Float32]]:
        """All documents once, in the order in which they lie on disk: numbers (n,) and cut vectors (n, dim)."""
        for numbers, vectors in self._documents.blocks(rows):
            yield numbers, cut(vectors, self._dims)


class PrefixIndex:
    """An index over cut vectors, and the whole ones that its results are scored with."""

    def __init__(self, first: SearchIndex, documents: VectorSource, dims: int) -> None:
        """Take an index that is filled with `PrefixVectors(documents, dims)`."""
        self._first = first
        self._documents = documents
        self._dims = dims

    @property
    def facts(self) -> Mapping[str, int | float | str]:
        """What the index of the first step says, and the numbers that it searches."""
        told = self._first.facts if isinstance(self._first, Telling) else {}
        return {**told, "dims": self._dims}

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        """Scores and positions of the k best of 4 k by cut vectors, both (n, k), best first, ties by position."""
        _, found = self._first.search(cut(vectors, self._dims), min(OVERFETCH * k, len(self._documents)))
        rows = np.repeat(np.arange(len(found), dtype=np.uint32), found.shape[1])
        numbers = found.ravel().astype(np.uint32)
        scores = exact_scores(self._documents, vectors, rows, numbers, _DOCUMENTS)
        return best_of_each(rows, numbers, scores, k)


def cut(vectors: Float32, dims: int) -> Float32:
    """The first numbers of vectors, float32 (n, dims), rows of unit length; a row of zeros stays."""
    part = vectors[:, :dims]
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    unit: Float32 = np.divide(part, lengths, out=np.zeros_like(part), where=lengths > 0)
    return unit
