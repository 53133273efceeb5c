"""Arrays that stand for one list a query: compressed rows, and what is computed along them.

Nothing here loops over queries in Python.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Bool: TypeAlias = npt.NDArray[np.bool_]
Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]
UInt64: TypeAlias = npt.NDArray[np.uint64]
Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]

_PRODUCT_ROWS = 64


@dataclass(frozen=True)
class Lists:
    """One list of numbers a row, in compressed form: row i holds `values[starts[i]:starts[i + 1]]`, ascending."""

    starts: Int64
    values: Int64

    @classmethod
    def from_pairs(cls, rows: Int64, values: Int64, n_rows: int) -> Lists:
        """Lists of (row, value) pairs given in any order; each list is sorted, repeated values stand once."""
        pairs = np.unique(np.stack([rows, values], axis=1).astype(np.int64).reshape(-1, 2), axis=0)
        return cls(starts_of(pairs[:, 0], n_rows), pairs[:, 1].copy())

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> Int64:
        """Length of each list, (n_rows,)."""
        return np.diff(self.starts)

    @property
    def rows(self) -> Int64:
        """The row of each value, (n_values,), ascending."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def take(self, rows: Int64) -> Lists:
        """The lists of these rows, in this order."""
        starts = np.concatenate([[0], np.cumsum(self.sizes[rows])])
        return Lists(starts, self.values[places_of(self.starts, rows)])

    def contains(self, rows: Int64, values: Int64) -> Bool:
        """Whether the list of each given row holds the value beside it, (n,)."""
        if not len(self.values) or not len(values):
            return np.zeros(len(values), bool)
        span = int(max(self.values.max(), values.max())) + 1
        members: Int64 = self.rows * span + self.values
        asked: Int64 = rows * span + values
        spot = np.minimum(np.searchsorted(members, asked), len(members) - 1)
        return np.equal(members[spot], asked)


def sample_rows(n_rows: int, size: int, seed: int) -> Int64:
    """Up to so many row numbers, drawn without repetition, ascending."""
    if n_rows <= size:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, size, replace=False))


def starts_of(sorted_rows: Int64, n_rows: int) -> Int64:
    """Where each row begins in an ascending array of row numbers, int64 (n_rows + 1,)."""
    return np.searchsorted(sorted_rows, np.arange(n_rows + 1)).astype(np.int64)


def places_of(starts: Int64, rows: Int64) -> Int64:
    """The places of all values of these rows, row after row, in compressed lists that begin at `starts`."""
    sizes = starts[rows + 1] - starts[rows]
    ends = np.cumsum(sizes)
    return np.repeat(starts[rows] - ends + sizes, sizes) + np.arange(sizes.sum())


def index_in_row(rows: Int64) -> Int64:
    """How many places of the same row stand before each place, (n,); equal rows stand together."""
    places = np.arange(len(rows))
    begins = np.ones(len(rows), bool)
    np.not_equal(rows[1:], rows[:-1], out=begins[1:])
    return places - np.maximum.accumulate(np.where(begins, places, 0))


def count_before(flags: Bool, starts: Int64) -> Int64:
    """How many flags of the same row are set before each place, (n,)."""
    running = _running_count(flags)
    return running[:-1] - np.repeat(running[starts[:-1]], np.diff(starts))


def count_per_row(flags: Bool, starts: Int64) -> Int64:
    """How many flags are set in each row, (n_rows,)."""
    running = _running_count(flags)
    return running[starts[1:]] - running[starts[:-1]]


def _running_count(flags: Bool) -> Int64:
    running = np.zeros(len(flags) + 1, np.int64)
    np.cumsum(flags, out=running[1:])
    return running


def first_of_kind(rows: Int64, kinds: Int64, allowed: Bool) -> Bool:
    """Whether each allowed place is the first of its kind among the allowed places of its row, (n,)."""
    first = np.zeros(len(rows), bool)
    places = np.flatnonzero(allowed)
    if len(places):
        span = int(kinds[places].max()) + 1
        _, index = np.unique(rows[places] * span + kinds[places], return_index=True)
        first[places[index]] = True
    return first


def quantile_per_row(scores: Float64, starts: Int64, q: float, *, member: bool = False) -> Float64:
    """The q-quantile of each row's scores, linear between neighbours, (n_rows,); NaN for an empty row.

    With `member` the lower neighbour instead, which is one of the scores.
    """
    sizes = np.diff(starts)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    ordered = scores[np.lexsort((scores, rows))]
    out = np.full(len(sizes), np.nan)
    some = sizes > 0
    spot = starts[:-1][some] + q * (sizes[some] - 1)
    low = np.floor(spot).astype(np.int64)
    high = np.ceil(spot).astype(np.int64)
    weight = 0.0 if member else spot - low
    out[some] = ordered[low] * (1 - weight) + ordered[high] * weight
    return out


def pair_products(left: Float32, right: Float32, left_index: Int64, right_index: Int64) -> Float32:
    """Inner products of chosen pairs of rows, float32 (n,).

    Pairs that share left rows are multiplied together in small blocks, which reads each vector a few times
    instead of once a pair.

    Args:
        left: (n_left, dim).
        right: (n_right, dim).
        left_index: row of `left` of each pair, ascending.
        right_index: row of `right` of each pair.
    """
    out = np.empty(len(left_index), np.float32)
    edges = np.searchsorted(left_index, np.arange(0, len(left) + _PRODUCT_ROWS, _PRODUCT_ROWS))
    for block, (begin, end) in enumerate(itertools.pairwise(edges)):
        if begin == end:
            continue
        first = block * _PRODUCT_ROWS
        columns, inverse = np.unique(right_index[begin:end], return_inverse=True)
        product = left[first : first + _PRODUCT_ROWS] @ right[columns].T
        out[begin:end] = product[left_index[begin:end] - first, inverse]
    return out


def robust_spread(scores: npt.NDArray[Any]) -> Float64:  # Any: float32 or float64
    """Median absolute deviation from the median along the last axis, in the units of the scores, at least 0."""
    middle = np.median(scores, axis=-1, keepdims=True)
    return np.asarray(np.median(np.abs(scores - middle), axis=-1), np.float64)


def connect(left: Int64, right: Int64, n: int) -> Int64:
    """The connected components of a graph of n nodes, one number from 0 for each node, int64 (n,).

    Args:
        left: one end of each link.
        right: the other end of each link.
        n: how many nodes there are.
    """
    lowest = np.arange(n)
    while True:
        reached = lowest.copy()
        np.minimum.at(reached, left, lowest[right])
        np.minimum.at(reached, right, lowest[left])
        reached = reached[reached]
        if np.array_equal(reached, lowest):
            return np.unique(lowest, return_inverse=True)[1].astype(np.int64)
        lowest = reached
