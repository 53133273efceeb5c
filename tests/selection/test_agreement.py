"""Cohen's kappa beside scikit-learn's, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from datagen.selection.agreement import measure_kappa


@pytest.mark.parametrize("n_grades", [2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_that_of_scikit_learn(n_grades: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    one = chance.integers(0, n_grades, 60)
    other = np.where(chance.random(60) < 0.7, one, chance.integers(0, n_grades, 60))
    found = measure_kappa(one, other, n_grades, 1)
    labels = list(range(n_grades))
    assert found.value == pytest.approx(cohen_kappa_score(one, other, labels=labels, weights="quadratic"))
    assert found.low < found.value < found.high
    assert found.count == 60


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(3)
    truth, covered = 0.6, 0
    for _ in range(200):
        one = chance.integers(0, 2, 150)
        other = np.where(chance.random(150) < truth, one, chance.integers(0, 2, 150))
        found = measure_kappa(one, other, 2, 7)
        covered += found.low <= truth <= found.high
    assert 180 <= covered <= 198


def test_the_same_answers_throughout_say_nothing_of_agreement() -> None:
    same = np.ones(9, np.int64)
    found = measure_kappa(same, same, 4, 1)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_full_agreement_is_one_and_no_candidates_are_none() -> None:
    one = np.array([0, 1, 2, 3])
    assert measure_kappa(one, one, 4, 1).value == 1.0
    nothing = measure_kappa(one[:0], one[:0], 4, 1)
    assert nothing.count == 0
    assert np.isnan(nothing.value)
