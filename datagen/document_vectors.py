"""The teacher's vectors of a whole corpus, by document number: on disk, read as they are needed.

What indexes are built from, and what gives the exact score of any pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import polars as pl

from datagen.backends.protocols import Backends, Float32, Int64, SearchDemand
from datagen.config import RunConfig
from datagen.progress import Progress
from datagen.store import hash_texts
from datagen.vectors import TextVectors, open_vectors

RECALL_SAMPLE = 500
"""Queries that approximate search is measured on."""


class DocumentVectors:
    """Vectors of numbered documents; several documents of equal text share one stored vector."""

    def __init__(self, vectors: TextVectors, places: Int64) -> None:
        """Take the store and the place of each document in it, (n_documents,)."""
        self._vectors = vectors
        self._places = places

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self._places)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._vectors.dim

    @property
    def identity(self) -> str:
        """Hash of the teacher and of all documents in order: what an index on disk is kept under."""
        return self._vectors.identity(self._places)

    def take(self, numbers: Int64) -> Float32:
        """Vectors of these documents, float32 (n, dim), rows of unit length."""
        return self._vectors.take(self._places[numbers])

    def blocks(self, rows: int) -> Iterator[tuple[Int64, Float32]]:
        """All documents once, in the order in which they lie on disk: numbers (n,) and vectors (n, dim), n <= rows."""
        order = np.argsort(self._places, kind="stable")
        for begin in range(0, len(order), rows):
            numbers = order[begin : begin + rows]
            yield numbers, self.take(numbers)


def open_document_vectors(
    config: RunConfig,
    backends: Backends,
    slices: Callable[[], Iterable[pl.Series]],
    progress: Progress,
    teacher: str | None = None,
) -> DocumentVectors:
    """The vectors of a corpus; those that the cache lacks are embedded first.

    Args:
        config: names the cache.
        backends: where the teacher comes from.
        slices: gives the documents in row order, some at a time; called again where vectors are missing.
        progress: shows the embedding.
        teacher: name of a further teacher; None for the run's own.
    """
    vectors = open_vectors(config, backends, "document", teacher)
    keys = np.concatenate([np.empty((0, 2), np.uint64), *(hash_texts(texts) for texts in slices())])
    if (vectors.locate(keys) < 0).any():
        for texts in slices():
            vectors.ensure(texts, partial(backends.teacher, teacher), progress)
    return DocumentVectors(vectors, vectors.locate(keys))


def search_demand(seed: int, queries: TextVectors, places: Int64, depth: int, memory: int) -> SearchDemand:
    """What a stage will ask of an index that searches these queries, by place in their store, mostly so deep."""
    size = min(RECALL_SAMPLE, len(places))
    sample = np.sort(np.random.default_rng(seed).choice(len(places), size, replace=False))
    return SearchDemand(len(places), depth, queries.take(places[sample]), memory)
