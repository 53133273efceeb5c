"""Which candidates are near-copies of what must not be a negative: by their words, and by the teacher's vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from datagen.selection.arrays import Bool, Float32, Float64, Int64, Lists

Signatures: TypeAlias = npt.NDArray[np.uint16]
"""MinHash values, (n, width): the share that two rows have in common estimates the Jaccard index of two texts."""

_PAIRS = 1 << 18
"""Pairs compared at once."""
_FIRST = 16
"""Values looked at first: two texts that differ show it in them, and nearly all do."""
_ROOM = 8
"""How many fewer of those may agree than expected: four standard deviations or more."""


@dataclass(frozen=True)
class NearTexts:
    """For each query, the texts that no negative may nearly repeat."""

    signatures: Callable[[Int64], Signatures]
    """Signatures of texts by number; the numbers of the documents come first."""
    closed: Lists
    """Numbers of those texts, of each query."""
    least: float
    """Jaccard index from which a text is a near-copy, 0.5 to 1."""

    def take(self, rows: Int64) -> NearTexts:
        """The same for these queries, in this order."""
        return replace(self, closed=self.closed.take(rows))

    def holds(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document nearly repeats a closed text of the query beside it, (n,)."""
        out = np.zeros(len(rows), bool)
        sizes = np.cumsum(self.closed.sizes[rows])
        cuts = np.searchsorted(sizes, np.arange(_PAIRS, sizes[-1] if len(sizes) else 0, _PAIRS))
        for part in np.split(np.arange(len(rows)), cuts):
            out[part] = self._compare(rows[part], documents[part])
        return out

    def _compare(self, rows: Int64, documents: Int64) -> Bool:
        """Every document of a part with every closed text of its query."""
        place = np.repeat(np.arange(len(rows)), self.closed.sizes[rows])
        out = np.zeros(len(rows), bool)
        if not len(place):
            return out
        text, left = np.unique(documents, return_inverse=True)
        closed, right = np.unique(self.closed.take(rows).values, return_inverse=True)
        ours, theirs, left = self.signatures(text), self.signatures(closed), left[place]
        alike = _agreement(ours[:, :_FIRST], theirs[:, :_FIRST], left, right)
        maybe = np.flatnonzero(alike >= _worth_comparing(ours, self.least))
        near = _are_near(ours, theirs, left[maybe], right[maybe], self.least)
        out[place[maybe[near]]] = True
        return out


def copies_among(signatures: Signatures, least: float) -> Bool:
    """Which of some texts are near-copies of each other, (n, n).

    Args:
        signatures: of the texts, (n, width).
        least: Jaccard index from which two texts are near-copies, 0.5 to 1.
    """
    n = len(signatures)
    alike = np.zeros((n, n), np.int8)
    for values in signatures.T[:_FIRST]:
        alike += values[:, None] == values
    left, right = np.nonzero(alike >= _worth_comparing(signatures, least))
    out = np.zeros((n, n), bool)
    for part in np.split(np.arange(len(left)), range(_PAIRS, len(left), _PAIRS)):
        pairs = left[part], right[part]
        out[pairs] = _are_near(signatures, signatures, *pairs, least)
    return out


def _worth_comparing(signatures: Signatures, least: float) -> float:
    """How many of the first values of two signatures must agree before all of them are compared."""
    return float(min(_FIRST, signatures.shape[1]) * least - _ROOM)


def _are_near(left: Signatures, right: Signatures, rows: Int64, columns: Int64, least: float) -> Bool:
    """Whether each pair of signatures is that of near-copies, (n_pairs,)."""
    return np.asarray(_agreement(left, right, rows, columns) >= least * left.shape[1], np.bool_)


def _agreement(left: Signatures, right: Signatures, rows: Int64, columns: Int64) -> Int64:
    """How many values of each pair of signatures agree, (n_pairs,)."""
    same = np.ascontiguousarray(left)[rows] == np.ascontiguousarray(right)[columns]
    return np.asarray(np.count_nonzero(same, axis=1), np.int64)


@dataclass(frozen=True)
class Neighbours:
    """What a search found around the positives of a block."""

    positives: Int64
    """Place among the searched documents of each known positive, query by query, (n_positives,)."""
    starts: Int64
    """Where each query's positives begin, (n_queries + 1,)."""
    documents: Int64
    """Nearest documents of each searched one, (n_searched, k)."""
    scores: Float32
    """Their scores, (n_searched, k)."""
    own: Float32
    """Score of each searched document with itself, (n_searched,)."""


def near_copies(found: Neighbours, reach: Float64) -> Lists:
    """The documents of each query that score nearly as high for a positive as the positive itself.

    A document d is one when s(p, p) - s(p, d) <= reach for a positive p: as reach is in spreads of the query's scores,
    an increasing linear change of all scores changes nothing.

    Args:
        found: the surroundings of the positives.
        reach: of each query, (n_queries,), in the units of the scores, at least 0.
    """
    rows = np.repeat(np.arange(len(reach)), np.diff(found.starts))
    gaps = found.own.astype(np.float64)[:, None] - found.scores
    near = gaps[found.positives] <= reach[rows][:, None]
    place, column = np.nonzero(near)
    return Lists.from_pairs(rows[place], found.documents[found.positives[place], column], len(reach))


def share_nearest(found: Neighbours, depth: int) -> Lists:
    """The documents nearest to the positives of each query, which share the depth among them."""
    sizes = np.diff(found.starts)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    shared = np.maximum(1, depth // np.maximum(1, sizes)) + 1
    within = np.arange(found.documents.shape[1]) < shared[rows][:, None]
    place, column = np.nonzero(within)
    return Lists.from_pairs(rows[place], found.documents[found.positives[place], column], len(sizes))
