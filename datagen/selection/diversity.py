"""Negatives that differ from each other: maximal marginal relevance over the first candidates of each query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datagen.selection.arrays import Float32, Int64, index_in_row
from datagen.selection.choice import LineUp, choose_first, quotas

_BLOCK_NUMBERS = 2**23
_USUAL_DIM = 1024


def diversify(line: LineUp, scores: Float32, vectors: Callable[[Int64], Float32], weight: float, pool: int) -> LineUp:
    """The line with those in front that maximal marginal relevance picks, in the order of the picks.

    MMR (Carbonell and Goldstein, SIGIR 1998) picks, again and again, the candidate c with the highest
    lambda s(q,c) - (1 - lambda) max over those picked of s(c,d), the first one by s(q,c) alone; ties go to the one
    that stands first. It gives each lane what it needs. Both terms are taken for cosines: another scale of the teacher
    gives another outcome.

    Args:
        line: the candidates.
        scores: teacher score of each, (n,).
        vectors: unit vectors of the candidates at these positions of the line, (m,) to float32 (m, dim).
        weight: 1 - lambda, 0 to 1.
        pool: candidates looked at for each negative wanted: the first of the line.
    """
    members = np.flatnonzero(choose_first(line, pool))
    columns = index_in_row(line.rows[members])
    width = int(columns.max(initial=0)) + 1
    rows_at_once = max(1, _BLOCK_NUMBERS // (width * max(width, _USUAL_DIM)))
    edges = np.searchsorted(line.rows[members], np.arange(rows_at_once, line.n_rows, rows_at_once))
    turns = np.arange(len(line.rows)) + len(line.rows)
    for part in np.split(np.arange(len(members)), edges):
        if len(part):
            block = members[part]
            picks = _pick(line.take(block), columns[part], scores[block], vectors(block), weight)
            turns[block[picks >= 0]] = picks[picks >= 0]
    return line.reordered(turns)


def _pick(line: LineUp, columns: Int64, scores: Float32, vectors: Float32, weight: float) -> Int64:
    """The number of the pick of each candidate of a block, -1 for those not picked, (n,)."""
    queries, rows = np.unique(line.rows, return_inverse=True)
    shape = len(queries), int(columns.max()) + 1
    left = quotas(replace(line, rows=rows, n_rows=len(queries)), np.ones(len(rows), bool))
    lanes = np.zeros(shape, np.int64)
    lanes[rows, columns] = line.lanes
    value = np.full(shape, -np.inf, np.float32)
    value[rows, columns] = (1 - weight) * scores
    points = np.zeros((*shape, vectors.shape[1]), np.float32)
    points[rows, columns] = vectors
    near = points @ points.transpose(0, 2, 1)
    nearest = np.full(shape, -np.inf, np.float32)
    picks = np.full(shape, -1)
    for number in range(int(left.sum(axis=1).max())):
        lost = weight * nearest if number else np.float32(0)
        open_ = (picks < 0) & (np.take_along_axis(left, lanes, axis=1) > 0)
        marginal = np.where(open_, value - lost, -np.inf)
        best = marginal.argmax(axis=1)
        some = np.flatnonzero(np.isfinite(marginal.max(axis=1)))
        picks[some, best[some]] = number
        left[some, lanes[some, best[some]]] -= 1
        nearest[some] = np.maximum(nearest[some], near[some, best[some]])
    return picks[rows, columns]
