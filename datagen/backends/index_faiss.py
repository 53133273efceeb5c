"""Exact nearest neighbours with FAISS: a flat inner-product index, on all GPUs when FAISS sees one."""

from __future__ import annotations

from collections.abc import Mapping

import faiss
import numpy as np

from datagen.backends.faiss_parts import to_gpus
from datagen.backends.protocols import Float32, Int64

MIN_QUERIES = 512
"""FAISS multiplies matrices only above a number of queries times dimension; below it is 7 to 30 times slower."""


class FaissFlatIndex:
    """All vectors in memory, float32, searched exactly."""

    facts: Mapping[str, int | float | str] = {"index": "flat"}

    def __init__(self, dim: int) -> None:
        """Make an empty index for vectors of this length."""
        self._index: faiss.Index = to_gpus(faiss.IndexFlatIP(dim))

    def add(self, vectors: Float32) -> None:
        """Append document vectors (n, dim)."""
        self._index.add(np.ascontiguousarray(vectors))

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        """Scores and positions of the k best, both (n, k), best first, ties by position."""
        n = len(vectors)
        if n < MIN_QUERIES:
            vectors = np.concatenate([vectors, np.zeros((MIN_QUERIES - n, vectors.shape[1]), np.float32)])
        scores, positions = self._index.search(np.ascontiguousarray(vectors), k)
        return _ties_by_position(scores[:n], positions[:n])


def _ties_by_position(scores: Float32, positions: Int64) -> tuple[Float32, Int64]:
    tied = np.flatnonzero((scores[:, 1:] == scores[:, :-1]).any(axis=1))
    if len(tied):
        order = np.lexsort((positions[tied], -scores[tied]), axis=1)
        scores[tied] = np.take_along_axis(scores[tied], order, axis=1)
        positions[tied] = np.take_along_axis(positions[tied], order, axis=1)
    return scores, positions
