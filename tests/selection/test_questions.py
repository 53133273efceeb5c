"""Which candidates are worth a question."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection.arrays import Float64
from datagen.selection.questions import (
    BAND_EDGES,
    Askable,
    best_of_each,
    count_affordable,
    joint_distances,
    ledger_distances,
    logit_distances,
    rank_questions,
    score_distances,
)


def _askable(n_rows: int, each: int, seed: int = 0) -> Askable:
    chance = np.random.default_rng(seed)
    n = n_rows * each
    rows = np.repeat(np.arange(n_rows), each)
    stakes = chance.choice([0.5, 1.0], n)
    return Askable(rows, chance.normal(0, 2, n), stakes, chance.integers(0, 2**63, n).astype(np.uint64))


def test_the_distance_is_in_spreads_and_unknown_without_a_limit() -> None:
    found = score_distances(
        np.array([0.7, 0.5, 0.5, 0.5]), np.array([0.6, 0.6, np.nan, np.inf]), np.array([0.1, 0.05, 1, 1])
    )
    assert found[:2] == pytest.approx([1.0, -2.0])
    assert np.isnan(found[2:]).all()
    assert np.isnan(score_distances(np.ones(1), np.ones(1), np.zeros(1))).all()


def test_a_probability_lies_above_its_cut_by_its_logits() -> None:
    found = logit_distances(np.array([0.5, 0.1, 1.0, np.nan]), 0.1)
    assert found[:2] == pytest.approx([np.log(9), 0.0])
    assert np.isfinite(found[2])
    assert np.isnan(found[3])


def test_the_cut_of_a_second_scorer_is_read_off_its_decisions() -> None:
    scores = np.array([1.0, 2.0, 4.0, 5.0, 6.0, np.nan, 7.0])
    rows = np.array([0, 0, 0, 0, 1, 1, 2])
    refused = np.array([False, False, True, True, False, False, True])
    found = ledger_distances(scores, rows, refused, 3)
    spread = 2.0  # of 1 2 4 5 6 7
    assert found[:4] == pytest.approx(np.array([-2.0, -1.0, 1.0, 2.0]) / spread)
    assert found[[4, 6]].tolist() == [0.0, 0.0]  # one side alone: its nearest score is the cut
    assert np.isnan(found[5])
    assert np.isnan(ledger_distances(np.full(2, np.nan), rows[:2], refused[:2], 1)).all()


def test_several_rules_count_by_the_nearest_that_speaks_against_a_candidate() -> None:
    refused = np.array([True, True, False, False, True, False])
    one = np.array([-1.0, 2.0, -1.0, 1.0, np.nan, np.nan])
    other = np.array([-2.0, np.nan, -0.5, -3.0, np.nan, np.nan])
    found = joint_distances(refused, one, other)
    assert found[:5].tolist() == [1.0, 2.0, -0.5, 0.0, 0.0]
    assert found[5] < BAND_EDGES[0]


def test_a_question_near_the_cut_and_about_a_candidate_that_would_be_chosen_comes_first() -> None:
    askable = Askable(np.arange(4), np.array([-1.0, -0.1, -0.1, -1.9]), np.array([1.0, 0.5, 1.0, 1.0]), _keys(4))
    assert askable.values.argmax() == 2
    assert rank_questions(askable).places[0] == 2


def test_only_the_best_of_a_query_are_kept_and_none_without_a_stake() -> None:
    distances = np.array([0.1, 1.0, 2.0, 0.5, -0.1, -3.0, 3.0])
    stakes = np.array([0.0, 1.0, 1.0, 1.0, 0.5, 1.0, 0.5])
    askable = Askable(np.array([0, 0, 0, 0, 0, 0, 1]), distances, stakes, _keys(7))
    assert best_of_each(askable, 2).tolist() == [1, 3, 4, 5, 6]
    assert best_of_each(askable, 1).tolist() == [3, 4, 6]


@pytest.mark.parametrize("size", [1, 3])
def test_every_candidate_is_in_one_question_of_its_query(size: int) -> None:
    askable = _askable(20, 7)
    ranked = rank_questions(askable, size)
    assert sorted(ranked.places) == list(range(140))
    assert (np.diff(ranked.questions) >= 0).all()
    assert set(ranked.questions) == set(range(ranked.questions[-1] + 1))
    assert np.bincount(ranked.questions).max() == size
    for question in range(ranked.questions[-1] + 1):
        assert len(set(askable.rows[ranked.places[ranked.questions == question]])) == 1


def test_bands_get_questions_in_proportion_to_what_they_are_worth() -> None:
    askable = _askable(400, 8)
    first = rank_questions(askable).places[:400]
    bands = np.digitize(askable.distances, BAND_EDGES)
    worth = np.bincount(bands, askable.values) / askable.values.sum()
    assert np.bincount(bands[first], minlength=6) / 400 == pytest.approx(worth, abs=0.01)
    assert (np.bincount(bands[first], minlength=6) > 0).all()


def test_no_query_takes_all_questions() -> None:
    distances = np.concatenate([np.full(50, -0.1), np.full(50, -0.3)])
    askable = Askable(np.repeat([0, 1], 50), distances, np.ones(100), _keys(100))
    first = rank_questions(askable).places[:10]
    assert np.bincount(askable.rows[first]).tolist() == [5, 5]


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_order_is_the_same_when_all_scores_are_moved(seed: int, factor: float, shift: float) -> None:
    chance = np.random.default_rng(seed)
    scores, limits, spreads = chance.normal(0, 1, 30), np.full(30, 0.3), np.full(30, 0.5)

    def order(a: float, b: float) -> list[int]:
        distances: Float64 = np.round(score_distances(a * scores + b, a * limits + b, a * spreads), 6)
        ranked = rank_questions(Askable(np.arange(30) // 5, distances, np.ones(30), _keys(30)))
        return [int(place) for place in ranked.places]

    assert order(factor, shift) == order(1.0, 0.0)


def test_a_budget_pays_for_the_first_questions_and_two_judges_cost_two() -> None:
    costs = np.array([1, 2, 1, 2])
    assert [count_affordable(costs, budget) for budget in (0, 1, 2, 3, 4, 6, 9)] == [0, 1, 1, 2, 3, 4, 4]


def test_nothing_to_ask_is_no_question() -> None:
    empty = Askable(np.empty(0, np.int64), np.empty(0), np.empty(0), _keys(0))
    assert len(rank_questions(empty).places) == 0
    assert len(best_of_each(empty, 3)) == 0


def _keys(n: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.random.default_rng(n).integers(0, 2**63, n).astype(np.uint64)
