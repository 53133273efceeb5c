"""nDCG@10 and recall@100 of each query, and how sure a difference between two systems is. Pure arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.backends.protocols import Float32, Int64
from datagen.selection.arrays import Float64, index_in_row

NDCG_DEPTH, RECALL_DEPTH = 10, 100
RESAMPLES = 2000
_SCORES = 1 << 24
"""Scores held in memory at once, at most, unless one query has more."""


@dataclass(frozen=True)
class Judgements:
    """The relevant documents of each query, by number."""

    rows: Int64
    """Query of each judgement, (n,), ascending; every query from 0 on has one."""
    documents: Int64
    """Its document, (n,)."""
    gains: Float32
    """Its relevance, above 0, (n,)."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies with the stated confidence."""

    mean: float
    low: float
    high: float


def rank(queries: Float32, documents: Float32, k: int) -> Int64:
    """The k documents (or all) with the largest inner products, int64 (n_queries, k), best first, ties by number."""
    k = min(k, len(documents))
    found = np.empty((len(queries), k), np.int64)
    step = max(1, _SCORES // max(1, len(documents)))
    for begin in range(0, len(queries), step):
        scores = queries[begin : begin + step] @ documents.T
        # Where several documents tie for the last place, argpartition may take any of them.
        some = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
        found[begin : begin + step] = np.take_along_axis(some, order, axis=1)
    return found


def measure(ranked: Int64, judged: Judgements) -> tuple[Float64, Float64]:
    """nDCG@10 and recall@100 of each query, both float64 (n_queries,), 0 to 1.

    As trec_eval has them: the gain of a document is its relevance, the discount log2(rank + 1), and recall is the
    share of the relevant documents that were found.

    Args:
        ranked: the first documents of each query, (n_queries, k), best first.
        judged: the relevant ones.
    """
    n = len(ranked)
    span = int(max(ranked.max(), judged.documents.max())) + 1
    known = judged.rows * span + judged.documents
    order = np.argsort(known)
    asked = np.arange(n)[:, None] * span + ranked
    spots = np.minimum(np.searchsorted(known[order], asked), len(known) - 1)
    gains = np.where(known[order][spots] == asked, judged.gains[order][spots], 0).astype(np.float64)
    first = gains[:, :NDCG_DEPTH]
    found = (first * _discounts(first.shape[1])).sum(axis=1)
    sizes = np.bincount(judged.rows, minlength=n)
    return found / _ideal(judged, n), (gains[:, :RECALL_DEPTH] > 0).sum(axis=1) / sizes


def bootstrap(differences: Float64, confidence: float, seed: int) -> Interval:
    """The mean of paired differences with its percentile interval over queries drawn again (Efron 1979).

    Args:
        differences: one system less the other for each query, (n,); or the values of one system.
        confidence: of the interval, 0 to 1.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    n, step = len(differences), max(1, _SCORES // len(differences))
    sizes = [min(step, RESAMPLES - begin) for begin in range(0, RESAMPLES, step)]
    means = np.concatenate([differences[random.integers(0, n, (size, n))].mean(axis=1) for size in sizes])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(differences.mean()), float(low), float(high))


def _ideal(judged: Judgements, n: int) -> Float64:
    """The best DCG@10 that each query can have, (n,)."""
    order = np.lexsort((-judged.gains, judged.rows))
    places = index_in_row(judged.rows[order])
    within = places < NDCG_DEPTH
    worth = judged.gains[order][within].astype(np.float64) * _discounts(NDCG_DEPTH)[places[within]]
    return np.bincount(judged.rows[order][within], worth, minlength=n).astype(np.float64)


def _discounts(depth: int) -> Float64:
    return 1 / np.log2(np.arange(2, depth + 2))
