"""Topics: rows with vectors grouped by k-means, of FAISS."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np

from datagen.backends.protocols import Float32, Int64

_ROUNDS = 10
_TRAINING = 64
"""Rows a cluster that the centres are fitted to."""
_ROWS_AT_ONCE = 8192


def cluster_rows(take: Callable[[Int64], Float32], n_rows: int, n_clusters: int, seed: int) -> Int64:
    """The number of the nearest centre for each row, int64 (n_rows,), the same for the same rows and seed.

    Args:
        take: vectors of numbered rows, float32 (n, dim), some thousands at a time.
        n_rows: how many rows there are.
        n_clusters: how many centres; with one, no vector is read.
        seed: of the rows that the centres are fitted to, and of where they begin.
    """
    if n_clusters <= 1:
        return np.zeros(n_rows, np.int64)
    size = min(n_rows, _TRAINING * n_clusters)
    chosen = np.sort(np.random.default_rng(seed).choice(n_rows, size, replace=False))
    sample = np.concatenate([take(part) for part in np.split(chosen, range(_ROWS_AT_ONCE, size, _ROWS_AT_ONCE))])
    means = faiss.Kmeans(
        sample.shape[1],
        n_clusters,
        niter=_ROUNDS,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_TRAINING,
    )
    means.train(sample)
    blocks = np.split(np.arange(n_rows), range(_ROWS_AT_ONCE, n_rows, _ROWS_AT_ONCE))
    return np.concatenate([means.index.search(take(rows), 1)[1][:, 0] for rows in blocks])
