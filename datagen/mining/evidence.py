"""What the learned margin looks at: the features of `selection.doubt`, measured for the candidates of a batch.

Between vectors and word vectors, which are read block by block, and the arrays of `selection`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from datagen.backends.protocols import Float32, Int64
from datagen.selection.arrays import Float64, Lists, index_in_row, quantile_per_row, starts_of
from datagen.selection.doubt import FEATURES
from datagen.selection.near import Neighbours
from datagen.selection.profiles import SAME, Profiles
from datagen.selection.select import Candidates
from datagen.selection.sparse import SparseRows, all_dots, pair_dots

_CELLS = 1 << 14
"""Candidates whose vectors are in memory at once."""
_MOST_POSITIVES = 32
"""Known positives of a query that a candidate is compared with: the ones that score highest for it."""
_WORD_ROWS = 64
NEIGHBOURS = 64
"""Nearest documents of a positive among which the place of a candidate is exact; further out the sample tells it."""


@dataclass(frozen=True)
class Asked:
    """A batch of queries and what is known of them."""

    queries: Float32
    """Vectors, (n_queries, dim)."""
    words: SparseRows | None
    """Word vectors of the queries."""
    positives: Lists
    scores: Float64
    """Teacher score of each positive, (n_positives,)."""
    neighbours: Neighbours | None
    """What lies around the positives; None where there is none."""

    def take(self, begin: int, end: int) -> _Block:
        """The queries from one number up to another, with their positives that score highest."""
        rows = np.arange(begin, end)
        words = self.words and self.words.take(rows)
        first, last = self.positives.starts[[begin, end]]
        of_row = self.positives.rows[first:last] - begin
        order = np.lexsort((-self.scores[first:last], of_row))
        kept = np.sort(order[index_in_row(of_row[order]) < _MOST_POSITIVES])
        return _Block(
            self.queries[begin:end],
            words,
            of_row[kept],
            self.positives.values[first:last][kept],
            self.scores[first:last][kept],
            None if self.neighbours is None else self.neighbours.positives[first:last][kept],
        )


@dataclass(frozen=True)
class _Block:
    """Some queries, numbered from 0, with their positives."""

    queries: Float32
    words: SparseRows | None
    rows: Int64
    """Query of each positive, ascending."""
    documents: Int64
    scores: Float64
    searched: Int64 | None
    """Place of each positive among the searched documents."""


@dataclass(frozen=True)
class Evidence:
    """What features are measured with, the same for all batches."""

    vectors: Callable[[Int64], Float32]
    """Vectors of documents by number, (n, dim)."""
    sample: Float32
    """Vectors of the documents of the sample, (n_sample, dim)."""
    n_documents: int
    words: Callable[[Int64], SparseRows] | None = None
    """Word vectors of documents by number; None: features of words are not known."""
    sample_words: SparseRows | None = None
    """Those of the sample."""
    unmarked: float = float("nan")
    """What `bound_unmarked` says of the run."""

    def measure(self, asked: Asked, candidates: Candidates, own_ranks: Int64) -> Float64:
        """The features of the candidates, (n, len(FEATURES)), NaN where one is not known.

        Args:
            asked: the queries.
            candidates: of these queries.
            own_ranks: place of each in what the run's own teacher found, from 1; 0 where it did not find it.
        """
        found = [np.empty((0, len(FEATURES)))]
        for begin, end, part in _blocks(candidates.rows, len(asked.queries)):
            block = asked.take(begin, end)
            rows = candidates.rows[part] - begin
            own = Candidates(rows, candidates.documents[part], candidates.ranks[part], candidates.scores[part])
            found.append(self._measure(block, own, own_ranks[part], asked.neighbours))
        return np.concatenate(found)

    def _measure(self, block: _Block, own: Candidates, own_ranks: Int64, around: Neighbours | None) -> Float64:
        columns = {name: np.full(len(own.rows), np.nan) for name in FEATURES}
        has_positive = np.zeros(len(block.queries), bool)
        has_positive[block.rows] = True
        kept = np.flatnonzero(has_positive[own.rows])
        if len(kept):
            part = own.take(kept)
            for name, values in self._columns(block, part, own_ranks[kept], around).items():
                columns[name][kept] = values
        return np.stack([columns[name] for name in FEATURES], axis=1)

    def _columns(
        self, block: _Block, own: Candidates, own_ranks: Int64, around: Neighbours | None
    ) -> dict[str, Float64]:
        return {
            **self._standing(block, own, own_ranks),
            **self._nearness(block, own, around),
            **self._wording(block, own),
            "unmarked": np.full(len(own.rows), self.unmarked),
        }

    def _standing(self, block: _Block, own: Candidates, own_ranks: Int64) -> dict[str, Float64]:
        """How candidates and positives score for their query."""
        rows, n = own.rows, len(block.queries)
        profile = Profiles.of(block.queries @ self.sample.T)
        z, of_positive = profile.z(rows, own.scores), profile.z(block.rows, block.scores)
        middle = quantile_per_row(of_positive, starts_of(block.rows, n), 0.5)
        top = np.full(n, -np.inf)
        np.maximum.at(top, rows, z)
        return {
            "gap": middle[rows] - z,
            "score": z,
            "positive_score": middle[rows],
            "top_gap": top[rows] - z,
            "rank": np.log2(self._ranks(profile, rows, z, own_ranks)),
        }

    def _ranks(self, profile: Profiles, rows: Int64, z: Float64, own_ranks: Int64) -> Float64:
        """The rank of each candidate; beyond what was searched it is the one that the sample tells."""
        reach = np.zeros(len(profile.middle), np.int64)
        np.maximum.at(reach, rows, own_ranks)
        far = np.maximum(reach[rows] + 1, profile.share_above(rows, z) * self.n_documents)
        return np.where(own_ranks > 0, own_ranks, far)

    def _nearness(self, block: _Block, own: Candidates, around: Neighbours | None) -> dict[str, Float64]:
        """How candidates score for the positives taken as queries."""
        documents, place = np.unique(block.documents, return_inverse=True)
        vectors = self.vectors(documents)
        profile = Profiles.of(vectors @ self.sample.T)
        grid, cell = self._grid(own, len(block.queries))
        column = index_in_row(block.rows)
        own_positive = np.full((len(block.queries), int(column.max()) + 1), -1)
        own_positive[block.rows, column] = np.arange(len(block.rows))
        scores = np.matmul(grid, vectors[place[own_positive]].transpose(0, 2, 1))[own.rows, cell]
        number = own_positive[own.rows]
        valid = number >= 0
        z = np.where(valid, profile.z(place[number], scores), np.nan)
        ranks = np.full(scores.shape, np.nan)
        ranks[valid] = self._document_ranks(block, profile, place, number[valid], z[valid], around)
        return {"document_score": np.nanmax(z, axis=1), "document_rank": np.log2(np.nanmin(ranks, axis=1))}

    def _grid(self, own: Candidates, n: int) -> tuple[Float32, Int64]:
        """The vectors of the candidates, query by query, (n_queries, most candidates, dim), and the cell of each."""
        documents, place = np.unique(own.documents, return_inverse=True)
        vectors, cell = self.vectors(documents), index_in_row(own.rows)
        grid = np.zeros((n, int(cell.max()) + 1, vectors.shape[1]), np.float32)
        grid[own.rows, cell] = vectors[place]
        return grid, cell

    def _document_ranks(
        self, block: _Block, profile: Profiles, place: Int64, number: Int64, z: Float64, around: Neighbours | None
    ) -> Float64:
        """The rank of each candidate for a positive taken as a query; the positive itself has the first."""
        far = profile.share_above(place[number], z) * self.n_documents
        if around is None or block.searched is None:
            return np.maximum(1.0, far)
        depth = around.scores.shape[1]
        known = profile.z(place[:, None], around.scores[block.searched])
        above = np.count_nonzero(known[number] > z[:, None] + SAME, axis=1)
        return np.where(above < depth, np.maximum(1, above), np.maximum(depth, far))

    def _wording(self, block: _Block, own: Candidates) -> dict[str, Float64]:
        """What candidates share in words with the query and with the positives."""
        if self.words is None or self.sample_words is None or block.words is None:
            return {}
        documents, place = np.unique(own.documents, return_inverse=True)
        positives, at = np.unique(block.documents, return_inverse=True)
        theirs, of_positives = self.words(documents), self.words(positives)
        similar = pair_dots(block.words, theirs, own.rows, place).astype(np.float64)
        best = pair_dots(block.words, of_positives, block.rows, at)
        sizes = np.bincount(block.rows, minlength=len(block.queries))
        mean = np.bincount(block.rows, weights=best, minlength=len(sizes)) / np.maximum(1, sizes)
        starts = starts_of(block.rows, len(sizes))
        candidate = np.repeat(np.arange(len(own.rows)), sizes[own.rows])
        positive = starts[own.rows][candidate] + index_in_row(candidate)
        shared = pair_dots(of_positives, theirs, at[positive], place[candidate]).astype(np.float64)
        return {
            "word_gap": mean[own.rows] - similar,
            "word_share": np.log10(_word_share(block.words, self.sample_words, own.rows, similar)),
            "document_words": np.maximum.reduceat(shared, np.flatnonzero(index_in_row(candidate) == 0)),
        }


def _blocks(rows: Int64, n_queries: int) -> Iterator[tuple[int, int, slice]]:
    """Ranges of queries with about as many candidates as may be in memory at once, and where these are."""
    starts = starts_of(rows, n_queries)
    begin = 0
    while begin < n_queries:
        end = max(begin + 1, int(np.searchsorted(starts, starts[begin] + _CELLS, side="right")) - 1)
        yield begin, end, slice(int(starts[begin]), int(starts[end]))
        begin = end


def _word_share(queries: SparseRows, sample: SparseRows, rows: Int64, similar: Float64) -> Float64:
    """The share of the sample that shares more with each query, 0 to 1; a half document stands for none."""
    out = np.empty(len(rows))
    for begin in range(0, len(queries), _WORD_ROWS):
        part = np.arange(begin, min(begin + _WORD_ROWS, len(queries)))
        line = np.sort(all_dots(queries.take(part), sample), axis=1) + 4.0 * np.arange(len(part))[:, None]
        first, last = np.searchsorted(rows, [begin, begin + len(part)])
        row = rows[first:last] - begin
        asked = similar[first:last].astype(np.float32) + 1e-6 + 4.0 * row
        below = np.searchsorted(line.ravel(), asked, side="right") - line.shape[1] * row
        out[first:last] = (line.shape[1] - below + 0.5) / (line.shape[1] + 1)
    return out
