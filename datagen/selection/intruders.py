"""Passages that are near neighbours of improbably many queries that have nothing to do with each other.

So do passages behave that were made to be found whatever is asked (corpus poisoning: Zhong et al., EMNLP 2023). A
natural hub is told from them in two ways: its in-degree is not far above what is usual in the corpus, or its queries
are about one thing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Bool, Float32, Float64, Int64

LEAST_QUERIES = 100
"""Fewer queries say too little of how often a passage is near."""
LEAST_NEAR = 20
"""In-degree below which nothing is improbable."""
LEAST_SHARE = 0.03
"""Share of the queries that a passage must be near to."""
LEAST_DEVIATION = 4.0
"""How many robust deviations the log of the in-degree must lie above its median."""
LEAST_SPREAD = 0.5
"""The deviation counts as at least so much: many small corpora have none at all."""
MOST_COHERENT = 0.5
"""How alike the queries of a passage may be at most: 0 like any queries, 1 like those of the median passage."""


@dataclass(frozen=True)
class Intruders:
    """Passages near to improbably many queries."""

    documents: Int64
    """Their numbers, the most frequent neighbour first, (n,)."""
    near: Int64
    """Queries that each is near to, (n,)."""
    queries: int
    """Queries looked at."""

    def take(self, chosen: Bool) -> Intruders:
        """Those chosen, (n,)."""
        return Intruders(self.documents[chosen], self.near[chosen], self.queries)


NO_INTRUDERS = Intruders(np.empty(0, np.int64), np.empty(0, np.int64), 0)


def find_intruders(nearest: Int64, queries: Float32, n_documents: int) -> Intruders:
    """The intruders among the nearest documents of some queries.

    Nothing changes when all scores of the teacher become a*s + b: coherence is compared between two values of the
    corpus itself.

    Args:
        nearest: documents next to each query, (n_queries, k).
        queries: their unit vectors, (n_queries, dim); queries that ask the same should stand there once.
        n_documents: of the corpus.
    """
    n_queries = len(nearest)
    degree = np.bincount(nearest.ravel(), minlength=n_documents)
    logs = np.log(np.maximum(degree, 1))
    among = logs[degree > 0]
    if n_queries < LEAST_QUERIES or not len(among):
        return NO_INTRUDERS
    middle = np.median(among)
    spread = max(1.4826 * float(np.median(np.abs(among - middle))), LEAST_SPREAD)
    many = (degree >= max(LEAST_NEAR, LEAST_SHARE * n_queries)) & (logs >= middle + LEAST_DEVIATION * spread)
    several = np.flatnonzero(degree >= 3)
    coherence = _coherence(nearest, queries, several)
    base = _mean_product(queries)
    limit = base + MOST_COHERENT * (float(np.median(coherence)) - base) if len(coherence) else base
    found = several[many[several] & (coherence <= limit)]
    found = found[np.argsort(-degree[found], kind="stable")]
    return Intruders(found, degree[found], n_queries)


def _coherence(nearest: Int64, queries: Float32, documents: Int64) -> Float64:
    """The mean product of two different queries of each of these documents, (n,)."""
    row = np.repeat(np.arange(len(nearest)), nearest.shape[1])
    order = np.argsort(nearest.ravel(), kind="stable")
    owner, row = nearest.ravel()[order], row[order]
    begins, ends = np.searchsorted(owner, documents), np.searchsorted(owner, documents, side="right")
    return np.asarray([_mean_product(queries[row[i:j]]) for i, j in zip(begins, ends, strict=True)], np.float64)


def _mean_product(vectors: Float32) -> float:
    """The mean product of two different ones of some unit vectors, at least two."""
    n = len(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - np.einsum("ij,ij->", vectors, vectors, dtype=np.float64)) / (n * (n - 1)))
