"""Which queries a new teacher sees differently: their first candidates then and now, known positives aside.

A search is what mining again wants to save, so "now" is looked up among the earlier candidates and a sample of the
corpus. What the sample shows of documents that were no candidates stands, by its share, for the rest of the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Bool, Float32, Float64, Int64, Lists, count_per_row, starts_of
from datagen.selection.select import Candidates


@dataclass(frozen=True)
class Sample:
    """Some documents of the corpus, drawn at random, and their scores for a block of queries."""

    documents: Int64
    """Numbers of the documents, ascending, (n_sample,)."""
    scores: Float32
    """Teacher scores, (n_queries, n_sample)."""
    n_documents: int
    """Documents in the corpus."""


@dataclass(frozen=True)
class Movement:
    """How the first candidates of each query of a block have changed, as far as a sample shows."""

    overlap: Float64
    """Share of the earlier first candidates that are still among the first, 0 to 1, (n_queries,)."""
    unseen: Float64
    """Expected number of documents outside the sample that are among the first now, (n_queries,), at least 0."""


def rank_by_score(rows: Int64, documents: Int64, scores: Float32) -> Candidates:
    """Candidates ordered by query, then falling score, ties by document, with ranks from 1."""
    order = np.lexsort((documents, -scores, rows))
    n_rows = int(rows.max(initial=-1)) + 1
    ordered = rows[order]
    ranks = np.arange(1, len(order) + 1) - starts_of(ordered, n_rows)[ordered]
    return Candidates(ordered, documents[order], ranks.astype(np.int32), scores[order])


def first_documents(candidates: Candidates, positives: Lists, depth: int) -> Lists:
    """The first so many candidates of each query, in their order here, that are not its known positives."""
    other = np.flatnonzero(~positives.contains(candidates.rows, candidates.documents))
    rows = candidates.rows[other]
    first = other[_is_first(rows, len(positives), depth)]
    return Lists.from_pairs(candidates.rows[first], candidates.documents[first], len(positives))


def share_kept(before: Lists, now: Lists) -> Float64:
    """The share of each earlier list that is in the new one, 0 to 1, (n_rows,); 1 for an empty list."""
    kept = count_per_row(now.contains(before.rows, before.values), before.starts)
    return np.where(before.sizes > 0, kept / np.maximum(before.sizes, 1), 1.0)


def measure_movement(earlier: Candidates, sample: Sample, positives: Lists, depth: int) -> Movement:
    """How the first `depth` candidates of each query have changed.

    Args:
        earlier: the earlier candidates in their earlier order, with their new scores.
        sample: of the corpus, with new scores.
        positives: known positives of the queries, which count neither then nor now.
        depth: how many are first, at least 1.
    """
    before = first_documents(earlier, positives, depth)
    now = rank_by_score(earlier.rows, earlier.documents, earlier.scores)
    known = Lists.from_pairs(earlier.rows, earlier.documents, len(positives))
    rows, places = _intruders(now, known, sample, positives, depth)
    together = rank_by_score(
        np.concatenate([earlier.rows, rows]),
        np.concatenate([earlier.documents, sample.documents[places]]),
        np.concatenate([earlier.scores, sample.scores[rows, places]]),
    )
    intruders = np.bincount(rows, minlength=len(positives))
    outside = known.sizes - _sampled(known, sample.documents)
    share = (len(sample.documents) - known.sizes + outside) / np.maximum(1, sample.n_documents - known.sizes)
    unseen = np.where(intruders > 0, intruders / np.maximum(share, 1e-12) - intruders, 0.0)
    return Movement(share_kept(before, first_documents(together, positives, depth)), unseen)


def expect_overlap(movement: Movement, chosen: Bool, depth: int) -> float:
    """The overlap that the chosen queries have as a whole, 0 to 1, if unseen documents come in as expected; 1 for none.

    The sample is too small to tell for one query; over many it is not. Each document that comes in takes one place.
    """
    if not chosen.any():
        return 1.0
    places = 1 - movement.unseen[chosen].mean() / depth
    return float(movement.overlap[chosen].mean() * max(0.0, places))


def _intruders(now: Candidates, known: Lists, sample: Sample, positives: Lists, depth: int) -> tuple[Int64, Int64]:
    """Sampled documents, neither candidates nor positives, that score above the last of the first candidates.

    Returns:
        Query and place in the sample of each, ordered by query.
    """
    n_rows = len(positives)
    other = np.flatnonzero(~positives.contains(now.rows, now.documents))
    first = other[_is_first(now.rows[other], n_rows, depth)]
    last = np.full(n_rows, np.inf)
    np.minimum.at(last, now.rows[first], now.scores[first])
    rows, places = np.nonzero(sample.scores > last[:, None])
    documents = sample.documents[places]
    new = ~(known.contains(rows, documents) | positives.contains(rows, documents))
    return rows[new], places[new]


def _is_first(rows: Int64, n_rows: int, depth: int) -> Bool:
    """Whether each of these ordered rows is among the first of its kind."""
    return np.asarray(np.arange(len(rows)) - starts_of(rows, n_rows)[rows] < depth)


def _sampled(lists: Lists, documents: Int64) -> Int64:
    """How many values of each list are in a sample, (n_rows,)."""
    return count_per_row(np.isin(lists.values, documents), lists.starts)
