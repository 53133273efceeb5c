"""Candidates of several sources as one list a query: who found each, at which rank, and in which order they stand.

Lists are fused by weighted reciprocal ranks, which need no common scale of scores (Cormack, Clarke and Büttcher,
"Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from datagen.selection.arrays import Bool, Float32, Float64, Int64, count_before, starts_of
from datagen.selection.select import Candidates

FUSION_K = 60
"""What is added to a rank before it is turned over: the constant of the paper."""

_STEPS = 1 << 30
_BLOCK, _BLOCK_ROWS = 1 << 16, 1 << 12

Int32: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Union:
    """The candidates of a block of queries, query by query, best first, each once a query."""

    rows: Int64
    """Query of each candidate, ascending, (n,)."""
    documents: Int64
    """Document of each candidate, (n,)."""
    ranks: Int32
    """Place in each source's list, from 1; 0 where the source did not find it, (n, n_sources)."""
    scores: Float32
    """Score in each source; NaN where it did not find it, (n, n_sources)."""

    def __len__(self) -> int:
        """How many candidates there are."""
        return len(self.rows)

    @property
    def found(self) -> Bool:
        """Whether each source found each candidate, (n, n_sources)."""
        return self.ranks > 0

    def take(self, places: Int64 | Bool | slice) -> Union:
        """The candidates at these places, in this order; queries must stay in order."""
        return Union(*(part[places] for part in _fields(self)))

    def best_source(self, weights: Sequence[float]) -> Int64:
        """The source that adds most to the place of each candidate, the first of equals, int64 (n,)."""
        return np.asarray(np.where(self.found, np.asarray(weights) / (FUSION_K + self.ranks), 0.0).argmax(axis=1))

    def agreement(self, depths: Int64) -> Float32:
        """The share of some sources that found each candidate, 0 to 1, float32 (n,).

        Args:
            depths: how deep each source is asked, (n_sources,); 0 for a source that does not count.
        """
        within = self.found & (self.ranks <= depths)
        return np.asarray(within.sum(axis=1) / max(1, np.count_nonzero(depths)), np.float32)


def unite(sources: Sequence[Candidates], weights: Sequence[float]) -> Union:
    """The candidates of several sources as one list a query.

    A candidate's place follows from the sum of weight / (60 + rank) over the sources that found it; equals stand in
    the order of the sources, then of the ranks. With one source its own order stays.

    Args:
        sources: what each found, of the same block of queries; a document at most once a query.
        weights: of each source, above 0.
    """
    if len(sources) == 1:
        ranks, scores = sources[0].ranks[:, None], sources[0].scores[:, None]
        return Union(sources[0].rows, sources[0].documents, ranks, scores)
    starts = np.stack([starts_of(source.rows, 1 + _last_row(sources)) for source in sources])
    ends = starts.sum(axis=0)
    full = np.searchsorted(ends, np.arange(0, ends[-1], _BLOCK))
    edges = np.unique(np.concatenate([full, np.arange(0, len(ends), _BLOCK_ROWS), [len(ends) - 1]]))
    blocks = [
        _unite_block([_slice(source, *cut) for source, cut in zip(sources, cuts, strict=True)], weights)
        for cuts in (starts[:, pair] for pair in itertools.pairwise(edges))
    ]
    return join_unions(blocks)


def join_unions(parts: Sequence[Union]) -> Union:
    """Unions of the same sources, at least one, one after the other."""
    return Union(*(np.concatenate(columns) for columns in zip(*map(_fields, parts), strict=True)))


def random_candidates(keys: npt.NDArray[np.uint64], count: int, n_documents: int) -> Candidates:
    """Documents drawn at random for each query, each at most once a query, without scores.

    The draw of a query depends on its key, `count` and `n_documents` alone. A query gets fewer than `count` where
    so many different documents were not drawn, which is rare unless the corpus is about as small as `count`.

    Args:
        keys: of each query, (n_queries,).
        count: documents a query.
        n_documents: documents are numbered below this.
    """
    draws = np.arange(1, 2 * count + 9, dtype=np.uint64)
    drawn = (_mix(_mix(keys)[:, None] + draws) % np.uint64(n_documents)).astype(np.int64)
    order = np.argsort(drawn, axis=1, kind="stable")
    ordered = np.take_along_axis(drawn, order, axis=1)
    fresh = np.ones(drawn.shape, bool)
    np.put_along_axis(fresh, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    chosen = fresh & (fresh.cumsum(axis=1) <= count)
    ranks = chosen.cumsum(axis=1)[chosen].astype(np.int32)
    rows = np.repeat(np.arange(len(keys)), len(draws))[chosen.ravel()]
    return Candidates(rows, drawn[chosen], ranks, np.full(len(ranks), np.nan, np.float32))


def order_by_quotas(rows: Int64, eligible: Bool, found: Bool, quotas: Int64, wanted: int) -> Int64:
    """Places of all candidates in an order in which every source gets its share, int64 (n,).

    Of the first `wanted` eligible candidates of a query in the new order, at least `quotas[s]` were found by source s,
    as far as there are so many and the quotas add up to at most `wanted`; the same holds of the next `wanted` ones,
    so that the shares also hold about where a later stage sets some aside. A candidate counts for every source that
    found it. What is left keeps its order, and so do candidates that are not eligible.

    Args:
        rows: query of each candidate, ascending, (n,).
        eligible: candidates that may be chosen, (n,).
        found: whether each source found each candidate, (n, n_sources).
        quotas: of each source, (n_sources,); 0 for none.
        wanted: negatives a query.
    """
    starts = starts_of(rows, int(rows[-1]) + 1 if len(rows) else 0)
    rounds = count_before(eligible, starts) // wanted
    kept = np.zeros(len(rows), bool)
    for source in np.flatnonzero(quotas):
        counted = eligible & found[:, source]
        own = count_before(counted, starts) // quotas[source]
        kept |= counted & (own <= rounds)
        rounds = np.where(counted, np.minimum(own, rounds), rounds)
    return np.lexsort((np.arange(len(rows)), ~kept, rounds, rows))


def _unite_block(sources: Sequence[Candidates], weights: Sequence[float]) -> Union:
    """The union for a few queries: small enough for a pair and its place in the lists to share one number to sort."""
    rows, documents, listed, scored = map(np.concatenate, zip(*map(_fields, sources), strict=True))
    of_source = np.repeat(np.arange(len(sources)), [len(source.rows) for source in sources])
    if not len(rows):
        return Union(rows, documents, np.empty((0, len(sources)), np.int32), np.empty((0, len(sources)), np.float32))
    place, fresh = _sort_pairs(rows, documents)
    first, source = place[fresh], of_source[place]
    parts = (np.asarray(weights)[of_source] / (FUSION_K + listed))[place]
    fused = np.add.reduceat(parts, np.flatnonzero(fresh)) * (FUSION_K / sum(weights))
    order = _fused_order(rows[first], fused, first)
    final = np.empty(len(first), np.int64)
    final[order] = np.arange(len(first))
    at = final[np.cumsum(fresh) - 1]
    ranks = np.zeros((len(first), len(sources)), np.int32)
    scores = np.full((len(first), len(sources)), np.nan, np.float32)
    ranks[at, source], scores[at, source] = listed[place], scored[place]
    return Union(rows[first][order], documents[first][order], ranks, scores)


def _sort_pairs(rows: Int64, documents: Int64) -> tuple[Int64, Bool]:
    """Places of (row, document) pairs in ascending order, equal ones by place, and whether each is the first of its.

    One sort of plain numbers is many times faster than an argsort.
    """
    bits, span = len(rows).bit_length(), int(documents.max()) + 1
    packed = ((rows - rows.min()) * span + documents) << bits | np.arange(len(rows))
    packed.sort()
    pairs = packed >> bits
    return packed & ((1 << bits) - 1), np.append(True, pairs[1:] != pairs[:-1])


def _fused_order(rows: Int64, fused: Float64, first: Int64) -> Int64:
    """Places in the order of row, then falling fused score (0 to 1), then the place where each stood first."""
    bits = int(first.max()).bit_length()
    distance = np.rint((1 - fused) * _STEPS).astype(np.int64)
    packed = ((rows - rows[0]) << 31 | distance) << bits | first
    packed.sort()
    places = np.empty(1 << bits, np.int64)
    places[first] = np.arange(len(first))
    return np.asarray(places[packed & ((1 << bits) - 1)])


def _last_row(sources: Sequence[Candidates]) -> int:
    return max(int(source.rows.max(initial=0)) for source in sources)


def _slice(source: Candidates, begin: int, end: int) -> Candidates:
    return Candidates(*(part[begin:end] for part in _fields(source)))


def _fields(value: Candidates | Union) -> tuple[npt.NDArray[Any], ...]:  # Any: numbers of several types
    return tuple(getattr(value, field.name) for field in fields(value))


def _mix(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Well-mixed bits: the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        keys = keys + np.uint64(0x9E3779B97F4A7C15)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
