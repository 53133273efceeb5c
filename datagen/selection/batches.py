"""Training rows put into batches: which may not stand together, and a batch for each of them.

With in-batch negatives every row of a batch reads the positives of all others as its negatives. So two rows exclude
each other where that would be a false negative; and the nearer the rows of a batch are, the harder its negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from datagen.selection.arrays import Bool, Float32, Float64, Int64, Lists
from datagen.selection.near import Signatures, copies_among

Conflicts: TypeAlias = Callable[[Int64], Bool]
"""Which of some rows, (n,), exclude each other, (n, n): symmetric; the diagonal counts for nothing."""

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class SharedTexts:
    """Rows exclude each other that ask the same, or of which one reads a positive of the other."""

    question: Int64
    """A number for each row, the same for those that ask the same, (n_rows,)."""
    positives: Lists
    """All that answers the question of a row, whether the row reads it or not."""
    read: Lists
    """Documents that a row brings into its batch."""

    def among(self, rows: Int64) -> Bool:
        """See `Conflicts`."""
        question, positives, read = self.question[rows], self.positives.take(rows), self.read.take(rows)
        held, owner = np.r_[positives.values, read.values], np.r_[positives.rows, read.rows]
        order = np.argsort(held, kind="stable")
        first, last = (np.searchsorted(held[order], positives.values, side) for side in ("left", "right"))
        found = np.equal(question[:, None], question)
        starts = np.concatenate([[0], np.cumsum(last - first)])
        places = np.arange(starts[-1]) + np.repeat(first - starts[:-1], last - first)
        found[np.repeat(positives.rows, last - first), owner[order][places]] = True
        return np.asarray(found | found.T, bool)


@dataclass(frozen=True)
class Answers:
    """What tells whether the positive of one row answers the query of another, too; an entry a row."""

    queries: Float32
    """Vector of each query, (n, dim), of unit length."""
    positives: Float32
    """Vector of the positive that each row reads, (n, dim), of unit length."""
    floor: Float64
    """A positive that scores lower for its query than this, (n,), counts as if it scored so: it is a weak one."""
    reach: Float64
    """A passage that scores at most so little below a positive for that positive copies it, (n,); below 0: none."""
    signatures: Signatures | None
    """Of the positives, (n, width); None: words are not looked at."""
    least: float
    """Share of equal values in two signatures from which their texts are near-copies."""

    def exclude(self) -> Bool:
        """Which rows exclude each other, (n, n).

        Where the teacher puts the positive of one as high for the query of the other as that query's own positive
        (the rule of GISTEmbed, arXiv 2402.16829), or where it is a near-copy of that: by the teacher, or by its words.
        """
        between, scores = self.positives @ self.positives.T, self.queries @ self.positives.T
        found = np.diagonal(between)[:, None] - between <= self.reach[:, None]
        found |= scores >= np.maximum(np.diagonal(scores), self.floor)[:, None]
        if self.signatures is not None:
            found |= copies_among(self.signatures, self.least)
        return np.asarray(found | found.T, bool)


def pack_rows(excludes: Bool, size: int, least: int) -> tuple[list[Int64], Int64]:
    """Batches of some rows, and the rows that are left, by their places.

    Each batch takes every row that excludes none of those it has taken before, until it is full: first the rows that
    exclude most others, which are the hardest to place (as Welsh and Powell 1967 colour a graph), ties in order.

    Args:
        excludes: which rows exclude each other, (n, n).
        size: rows of a full batch.
        least: rows that a batch must have; the first batch with fewer is not made, nor any after it.
    """
    order = np.argsort(-excludes.sum(axis=1), kind="stable")
    fits = ~excludes[np.ix_(order, order)]
    np.fill_diagonal(fits, val=False)
    batches: list[Int64] = []
    is_left = np.ones(len(fits), bool)
    while len(batch := _fill(fits, is_left, size)) >= least:
        batches.append(order[batch])
        is_left[batch] = False
    return batches, order[is_left]


def _fill(fits: Bool, is_left: Bool, size: int) -> Int64:
    is_open = is_left.copy()
    batch: list[int] = []
    while len(batch) < size and is_open.any():
        batch.append(int(is_open.argmax()))
        is_open &= fits[batch[-1]]
    return np.array(batch, np.int64)


def arrange_batches(source: Int64, cluster: Int64, size: int, conflicts: Conflicts, seed: int) -> Int64:
    """The number of each row's batch, from 0, (n_rows,).

    A batch holds rows of one source, and no two that exclude each other. Full batches come first, in random order:
    those of one cluster, and of what the clusters of a source left over, packed together. What is left then stands in
    short batches at the end, the longest first.

    Args:
        source: number of each row's source, (n_rows,).
        cluster: number of its cluster within the source, (n_rows,).
        size: rows of a full batch.
        conflicts: which rows exclude each other; asked for some thousands at a time.
        seed: of the order of rows within a cluster, and of the batches.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(source))
    order = order[np.lexsort((cluster[order], source[order]))]
    batches: list[Int64] = []
    for rows in _runs(order, source):
        left = np.concatenate([_pack(part, size, conflicts, size, batches) for part in _runs(rows, cluster)])
        _pack(_pack(left, size, conflicts, size, batches), size, conflicts, 1, batches)
    full = [batch for batch in batches if len(batch) == size]
    short = sorted((batch for batch in batches if len(batch) < size), key=len, reverse=True)
    numbers = np.empty(len(source), np.int64)
    for number, batch in enumerate([*(full[place] for place in random.permutation(len(full))), *short]):
        numbers[batch] = number
    return numbers


def _runs(order: Int64, key: Int64) -> Iterator[Int64]:
    """The pieces of an order along which a key stays the same."""
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def _pack(rows: Int64, size: int, conflicts: Conflicts, least: int, batches: list[Int64]) -> Int64:
    """Add the batches of some rows, of which a part is compared at once; the rows that are left."""
    step = max(4 * size, _ROWS_AT_ONCE)
    left, passed = rows[:0], [rows[:0]]
    for begin in range(0, len(rows), step):
        passed.append(left[:-step])
        part = np.concatenate([left[-step:], rows[begin : begin + step]])
        made, rest = pack_rows(conflicts(part), size, least)
        batches += [part[batch] for batch in made]
        left = part[rest]
    return np.concatenate([*passed, left])
