"""Exact scores of chosen (query, document) pairs, and the best of them: the second half of every search that rounds."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from datagen.backends.protocols import Float32, Int64, VectorSource

Rows = npt.NDArray[np.unsignedinteger[Any]]  # Any: 16 or 32 bits
Numbers = npt.NDArray[np.uint32]

_PAIRS = 256
"""Pairs multiplied at once: their vectors stay in the processor's cache."""


def exact_scores(documents: VectorSource, queries: Float32, rows: Rows, numbers: Numbers, most: int) -> Float32:
    """Inner products of pairs, float32 (n,); one pair's is the same whatever stands beside it.

    The vectors of documents are read in the order of their numbers, each once.

    Args:
        documents: where vectors are read from.
        queries: vectors, (n_queries, dim).
        rows: the row in `queries` of each pair.
        numbers: the document of each pair.
        most: documents held in memory at once.
    """
    order = np.argsort(numbers, kind="stable")
    scores = np.empty(len(numbers), np.float32)
    wanted, firsts = np.unique(numbers[order], return_index=True)
    edges = np.append(firsts, len(numbers))
    for begin in range(0, len(wanted), most):
        vectors = documents.take(wanted[begin : begin + most].astype(np.int64))
        sizes = np.diff(edges[begin : begin + len(vectors) + 1])
        own = np.repeat(np.arange(len(vectors)), sizes)
        pairs = order[edges[begin] : edges[begin] + len(own)]
        parts = np.array_split(np.arange(len(pairs)), n_workers())
        with ThreadPoolExecutor(n_workers()) as pool:
            done = pool.map(
                lambda part, v=vectors, o=own, p=pairs: _products(v, o[part], queries, rows[p[part]]), parts
            )
            scores[pairs] = np.concatenate(list(done))
    return scores


def n_workers() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_of_each(rows: Rows, numbers: Numbers, scores: Float32, k: int) -> tuple[Float32, Int64]:
    """Scores and documents of the k best of every row, both (n_rows, k), best first, ties by number.

    Args:
        rows: the row of each candidate, 0 to n_rows - 1, each at least k times.
        numbers: its document.
        scores: its score, finite.
        k: how many are wanted.
    """
    order = best_first(rows, numbers, scores)
    counts = np.bincount(rows)
    starts = np.cumsum(counts) - counts
    chosen = order[starts[:, None] + np.arange(k)]
    return scores[chosen], numbers[chosen].astype(np.int64)


def best_first(rows: Rows, numbers: Numbers, scores: Float32) -> Int64:
    """The order of candidates row by row, each row best first, ties by number."""
    bits = (scores + np.float32(0)).view(np.int32)  # the sum makes a zero of minus zero
    descending = (~(bits ^ ((bits >> 31) & 0x7FFFFFFF))).astype(np.int64) + 2**31
    order = np.argsort((descending.astype(np.uint64) << np.uint64(32)) | numbers.astype(np.uint64))
    return order[np.argsort(rows[order], kind="stable")]


def _products(left: Float32, left_rows: Int64, right: Float32, right_rows: Rows) -> Float32:
    out = np.empty(len(left_rows), np.float32)
    for begin in range(0, len(out), _PAIRS):
        some = slice(begin, begin + _PAIRS)
        np.einsum("ij,ij->i", left[left_rows[some]], right[right_rows[some]], out=out[some])
    return out
