"""Sparse rows of numbers, such as the words of texts with their weights, and their inner products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Float32, Int64, places_of


@dataclass(frozen=True)
class SparseRows:
    """Row i holds `values[starts[i]:starts[i + 1]]` in the columns beside them, each column at most once a row."""

    starts: Int64
    columns: Int64
    values: Float32

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    def take(self, rows: Int64) -> SparseRows:
        """These rows, in this order."""
        places = places_of(self.starts, rows)
        return SparseRows(_starts(np.diff(self.starts)[rows]), self.columns[places], self.values[places])


def pair_dots(left: SparseRows, right: SparseRows, left_index: Int64, right_index: Int64) -> Float32:
    """Inner products of chosen pairs of rows, float32 (n,).

    Args:
        left: few rows: they are written out over the columns that they have, (n_left, n_columns) in memory.
        right: any rows.
        left_index: row of `left` of each pair.
        right_index: row of `right` of each pair.
    """
    dense, shared = _align(left, right)
    places = places_of(shared.starts, right_index)
    pair = np.repeat(np.arange(len(right_index)), np.diff(shared.starts)[right_index])
    products = dense[left_index[pair], shared.columns[places]] * shared.values[places]
    return np.bincount(pair, weights=products, minlength=len(right_index)).astype(np.float32)


def all_dots(left: SparseRows, right: SparseRows) -> Float32:
    """Inner products of all rows with all rows, float32 (n_left, n_right); both are written out over left's columns."""
    dense, shared = _align(left, right)
    other = np.zeros((len(right), dense.shape[1]), np.float32)
    other[np.repeat(np.arange(len(right)), np.diff(shared.starts)), shared.columns] = shared.values
    product: Float32 = dense @ other.T
    return product


def _align(left: SparseRows, right: SparseRows) -> tuple[Float32, SparseRows]:
    """The left rows written out over their own columns, and of the right ones what lies in these, renumbered."""
    columns, own = np.unique(left.columns, return_inverse=True)
    dense = np.zeros((len(left), len(columns)), np.float32)
    dense[np.repeat(np.arange(len(left)), np.diff(left.starts)), own] = left.values
    number = np.full(1 + max(left.columns.max(initial=0), right.columns.max(initial=0)), -1, np.int64)
    number[columns] = np.arange(len(columns))
    place = number[right.columns]
    kept = place >= 0
    rows = np.repeat(np.arange(len(right)), np.diff(right.starts))[kept]
    sizes = np.bincount(rows, minlength=len(right))
    return dense, SparseRows(_starts(sizes), place[kept], right.values[kept])


def _starts(sizes: Int64) -> Int64:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
