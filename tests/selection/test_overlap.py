"""How the first candidates of queries have changed, as far as a sample of the corpus shows."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.backends.protocols import Float32, Int64
from datagen.selection.arrays import Lists
from datagen.selection.overlap import (
    Movement,
    Sample,
    expect_overlap,
    first_documents,
    measure_movement,
    rank_by_score,
    share_kept,
)
from datagen.selection.select import Candidates

N_QUERIES, N_DOCUMENTS, DEPTH = 40, 600, 10


def _lists(*rows: list[int]) -> Lists:
    pairs = [(row, value) for row, values in enumerate(rows) for value in values]
    row, value = np.array(pairs, np.int64).reshape(-1, 2).T
    return Lists.from_pairs(row, value, len(rows))


def _candidates(scores: Float32, known: Int64) -> Candidates:
    """Documents (n, k) of each query in this order, with the scores that they have in (n, n_documents)."""
    rows = np.repeat(np.arange(len(known)), known.shape[1])
    ranks = np.tile(np.arange(1, known.shape[1] + 1, dtype=np.int32), len(known))
    return Candidates(rows, known.ravel(), ranks, scores[rows, known.ravel()])


def _scores(seed: int) -> Float32:
    return np.random.default_rng(seed).standard_normal((N_QUERIES, N_DOCUMENTS)).astype(np.float32)


def test_candidates_are_ranked_by_score_and_ties_by_document() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.7], np.float32)
    ranked = rank_by_score(np.array([1, 1, 1, 0, 0]), np.array([8, 3, 2, 5, 6]), scores)
    assert ranked.rows.tolist() == [0, 0, 1, 1, 1]
    assert ranked.documents.tolist() == [6, 5, 3, 2, 8]
    assert ranked.ranks.tolist() == [1, 2, 1, 2, 3]
    assert len(rank_by_score(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)).rows) == 0


def test_first_documents_pass_over_known_positives() -> None:
    candidates = _candidates(np.zeros((2, 9), np.float32), np.array([[4, 1, 7], [2, 3, 8]]))
    first = first_documents(candidates, _lists([1], []), 2)
    assert (first.starts.tolist(), first.values.tolist()) == ([0, 2, 4], [4, 7, 2, 3])


def test_share_kept_is_of_the_earlier_list_and_one_for_an_empty_one() -> None:
    shares = share_kept(_lists([1, 2, 3, 4], [], [5]), _lists([3, 4, 9], [1], [6]))
    assert shares.tolist() == [0.5, 1.0, 0.0]


def test_a_sample_of_all_documents_gives_the_true_overlap() -> None:
    before, now = _scores(0), _scores(0) + 0.3 * _scores(1)
    order, new_order = np.argsort(-before, axis=1), np.argsort(-now, axis=1)
    positives = Lists.from_pairs(np.arange(N_QUERIES), order[:, 2], N_QUERIES)
    sample = Sample(np.arange(N_DOCUMENTS), now, N_DOCUMENTS)
    moved = measure_movement(_candidates(now, order[:, :50]), sample, positives, DEPTH)
    for row in range(N_QUERIES):
        first, new = ([d for d in ranked[row] if d != order[row, 2]][:DEPTH] for ranked in (order, new_order))
        assert moved.overlap[row] == len({*first} & {*new}) / DEPTH
    assert moved.overlap.min() < 0.9
    assert (moved.unseen == 0).all()


def test_documents_that_come_in_unseen_are_expected_by_the_share_that_was_sampled() -> None:
    """Many samples of one corpus: on average they say how many documents come in that no candidate list knew."""
    before, now = _scores(0), _scores(2)
    known = np.argsort(-before, axis=1)[:, :50]
    candidates, none = _candidates(now, known), _lists(*([] for _ in range(N_QUERIES)))
    last = -np.sort(-np.take_along_axis(now, known, axis=1), axis=1)[:, DEPTH - 1]
    inside = np.zeros(now.shape, bool)
    np.put_along_axis(inside, known, values=True, axis=1)
    true = ((now > last[:, None]) & ~inside).sum(axis=1)
    told = np.zeros(N_QUERIES)
    for seed in range(200):
        drawn = np.sort(np.random.default_rng(seed).choice(N_DOCUMENTS, 60, replace=False))
        moved = measure_movement(candidates, Sample(drawn, now[:, drawn], N_DOCUMENTS), none, DEPTH)
        seen = ((now > last[:, None]) & ~inside)[:, drawn].sum(axis=1)
        told += (moved.unseen + seen) / 200
    assert true.mean() > 50
    assert told.mean() == pytest.approx(true.mean(), rel=0.03)


def test_a_candidate_that_was_sampled_too_counts_once() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.1]], np.float32)
    sample = Sample(np.array([0, 3]), scores[:, [0, 3]], 5)
    moved = measure_movement(_candidates(scores, np.array([[0, 1, 2]])), sample, _lists([]), 2)
    assert (moved.overlap.tolist(), moved.unseen.tolist()) == ([1.0], [0.0])


def test_a_query_without_earlier_candidates_has_nothing_to_compare() -> None:
    nothing = np.empty((1, 0), np.int64)
    sample = Sample(np.arange(3), np.ones((1, 3), np.float32), 3)
    moved = measure_movement(_candidates(np.ones((1, 3), np.float32), nothing), sample, _lists([]), 2)
    assert (moved.overlap.tolist(), moved.unseen.tolist()) == ([1.0], [0.0])


@pytest.mark.parametrize(
    ("unseen", "expected"),
    [([0.0, 0.0, 99.0], 0.8), ([1.0, 2.0, 0.0], 0.8 * 0.85), ([40.0, 0.0, 0.0], 0.0)],
    ids=["none", "some", "more than there are places"],
)
def test_the_expected_overlap_of_the_kept_loses_a_place_to_each_unseen_document(
    unseen: list[float], expected: float
) -> None:
    movement = Movement(np.array([0.9, 0.7, 0.1]), np.array(unseen))
    assert expect_overlap(movement, np.array([True, True, False]), DEPTH) == pytest.approx(expected)
    assert expect_overlap(movement, np.zeros(3, bool), DEPTH) == 1.0
