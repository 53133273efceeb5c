"""The teacher's view of a data set: vectors of its queries and passages from the cache, and a search among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from datagen import shards
from datagen.audit.material import Material
from datagen.backends.protocols import Backends, Float32, Int64, SearchIndex
from datagen.config import RunConfig
from datagen.document_vectors import DocumentVectors, open_document_vectors, search_demand
from datagen.documents import SLICE
from datagen.memory import resolve_memory
from datagen.mining.planning import LEAST_INDEX
from datagen.progress import Progress
from datagen.vectors import TextVectors, open_vectors

_BLOCK = 2048
"""Queries searched at once."""


@dataclass(frozen=True)
class Teaching:
    """Vectors of queries by row and of passages by number, and the index over the passages."""

    store: TextVectors
    places: Int64
    """Where the vector of each row's query is in the store, (n_rows,)."""
    documents: DocumentVectors
    index: SearchIndex

    def queries(self, rows: Int64) -> Float32:
        """Vectors of the queries of these rows, float32 (n, dim)."""
        return self.store.take(self.places[rows])

    def blocks(self) -> Iterator[Int64]:
        """All rows, some at a time."""
        for begin in range(0, len(self.places), _BLOCK):
            yield np.arange(begin, min(begin + _BLOCK, len(self.places)))


def open_teaching(
    config: RunConfig, backends: Backends, material: Material, depth: int, progress: Progress
) -> Teaching:
    """Embed what the cache lacks and fill the index.

    Args:
        config: names the teacher and the cache.
        backends: where both come from.
        material: the data set.
        depth: passages that most searches ask for.
        progress: shows the work.
    """
    store = open_vectors(config, backends, "query")
    places, _ = store.ensure(material.queries["query"], backends.teacher, progress)
    slices = partial(_slices, material.passages.select("text"))
    documents = open_document_vectors(config, backends, slices, progress)
    memory = max(LEAST_INDEX, resolve_memory(config.memory) // 3)
    index = backends.index(documents, progress, search_demand(config.seed, store, places, depth, memory))
    return Teaching(store, places, documents, index)


def _slices(texts: pl.DataFrame) -> Iterator[pl.Series]:
    return (frame["text"] for frame in shards.slices(texts, SLICE))
