"""Vectors in any number, made from real ones: each mixes two of them and adds noise.

They lie around the real ones as texts on the same subjects would, which random directions do not: among those nothing
is near anything, and approximate search finds little.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.judged import read_judged
from datagen.backends.protocols import Float32, Int64, VectorSource
from datagen.backends.registry import Registry
from datagen.config import build_config
from datagen.progress import SilentProgress
from datagen.store import ArrayStore
from datagen.vectors import open_vectors

NOISE = 0.4
"""Length of the noise beside a mixture, which is at most 1 long."""

_BLOCK = 65_536


def real_vectors(data: Path | None, vectors: Path | None, cache: Path) -> Float32:
    """Unit vectors of the documents of a BEIR folder by the packaged teacher, or of a .npz file (its array `c`)."""
    if vectors is not None:
        return np.asarray(np.load(vectors)["c"], np.float32)
    if data is None:
        raise SystemExit("give --data FOLDER or --vectors FILE")
    config = build_config({"out": cache, "cache": cache, "input": {"beir": str(data)}})
    backends = Registry(config)
    store = open_vectors(config, backends, "document")
    texts = pl.Series(list(read_judged(data).documents.values()))
    places, _ = store.ensure(texts, backends.teacher, SilentProgress())
    return store.take(np.unique(places))


def make_blocks(real: Float32, n: int, seed: int) -> Iterator[Float32]:
    """`n` vectors of unit length, block by block; the same for the same seed, however many follow."""
    dim = real.shape[1]
    for block, begin in enumerate(range(0, n, _BLOCK)):
        random = np.random.default_rng([seed, block])
        first, second = random.integers(0, len(real), (2, _BLOCK))
        share = random.random((_BLOCK, 1), dtype=np.float32)
        noise = random.standard_normal((_BLOCK, dim), dtype=np.float32) * np.float32(NOISE / dim**0.5)
        mixed = share * real[first] + (1 - share) * real[second] + noise
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        yield mixed[: n - begin]


class MadeVectors(VectorSource):
    """Made vectors in a store on disk, as the teacher's vectors of documents are."""

    def __init__(self, folder: Path, real: Float32, n: int, seed: int) -> None:
        """Write those that are not there yet."""
        self._store = ArrayStore(folder, np.float16)
        self._store.refresh()
        self._n = n
        if not self._store.width:
            for block, vectors in enumerate(make_blocks(real, n, seed)):
                numbers = np.arange(len(vectors), dtype=np.uint64) + np.uint64(block * _BLOCK)
                self._store.append(np.stack([numbers, numbers], axis=1), vectors)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._store.width

    @property
    def identity(self) -> str:
        """The name of the folder."""
        return self._store.folder.name

    def __len__(self) -> int:
        """How many there are."""
        return self._n

    def take(self, numbers: Int64) -> Float32:
        """Vectors by number, float32 (n, dim)."""
        return self._store.take(numbers).astype(np.float32)

    def blocks(self, rows: int) -> Iterator[tuple[Int64, Float32]]:
        """All of them once, in the order of the disk."""
        for begin in range(0, self._n, rows):
            numbers = np.arange(begin, min(begin + rows, self._n))
            yield numbers, self.take(numbers)
