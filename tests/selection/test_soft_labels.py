"""Fusing and calibrating scores: monotone, free of the scorers' scales, cross-fitted."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.selection.arrays import Bool, Float64, Int64
from datagen.selection.soft_labels import FOLDS, fit_soft_labels


def _scores(n: int = 600, noise: float = 0.7) -> tuple[Float64, Bool, Int64]:
    """Two scorers, the second of which says more; folds at random."""
    rng = np.random.default_rng(0)
    positive = rng.random(n) < 0.3
    clean = positive.astype(np.float64)
    scores = np.c_[clean + 2 * noise * rng.standard_normal(n), 5 * clean + 5 * noise * rng.standard_normal(n)]
    return scores, positive, rng.integers(0, FOLDS, n)


def test_labels_lie_between_0_and_1_and_tell_positives_from_negatives() -> None:
    scores, positive, fold = _scores()
    labels = fit_soft_labels(scores, positive, fold).label(scores, fold)
    assert ((labels > 0) & (labels < 1)).all()
    assert labels[positive].mean() > 0.65
    assert labels[~positive].mean() < 0.35


def test_labels_are_calibrated_for_equal_numbers() -> None:
    scores, positive, fold = _scores(20_000)
    labels = fit_soft_labels(scores, positive, fold).label(scores, fold)
    weight = np.where(positive, 0.5 / positive.mean(), 0.5 / (1 - positive.mean()))
    for low in (0.1, 0.3, 0.5, 0.7):
        near = (labels >= low) & (labels < low + 0.2)
        assert np.average(positive[near], weights=weight[near]) == pytest.approx(labels[near].mean(), abs=0.06)


def test_label_rises_with_each_score() -> None:
    scores, positive, fold = _scores()
    fitted = fit_soft_labels(scores, positive, fold)
    before = fitted.label(scores, fold)
    for scorer in (0, 1):
        higher = scores.copy()
        higher[:, scorer] += 0.5
        assert (fitted.label(higher, fold) > before).all()


def test_labels_do_not_change_with_the_scale_of_a_scorer() -> None:
    scores, positive, fold = _scores()
    other = scores * [0.01, 40] + [3, -7]
    first, second = (fit_soft_labels(x, positive, fold).label(x, fold) for x in (scores, other))
    assert np.allclose(first, second, atol=1e-9)


def test_scorer_that_contradicts_the_labels_counts_for_nothing() -> None:
    scores, positive, fold = _scores()
    turned = np.c_[scores[:, 0], -scores[:, 1]]
    fitted = fit_soft_labels(turned, positive, fold)
    assert (fitted.weights[:, 1] == 0).all()
    assert (fitted.weights[:, 0] > 0).all()


def test_no_scorer_counts_where_all_contradict_the_labels() -> None:
    scores, positive, fold = _scores()
    fitted = fit_soft_labels(-scores, positive, fold)
    assert (fitted.weights == 0).all()
    assert fitted.label(-scores, fold) == pytest.approx(0.5, abs=0.05)


def test_query_is_labelled_by_what_others_say() -> None:
    scores, positive, fold = _scores()
    wrong = np.where(fold == 2, ~positive, positive)
    fitted, other = (fit_soft_labels(scores, truth, fold) for truth in (positive, wrong))
    assert np.allclose(fitted.weights[2], other.weights[2], rtol=0.3)
    assert not np.allclose(fitted.weights[1], other.weights[1], rtol=0.3)


def test_label_is_missing_where_a_score_is() -> None:
    scores, positive, fold = _scores()
    scores[3, 1] = np.nan
    labels = fit_soft_labels(scores, positive, fold).label(scores, fold)
    assert np.flatnonzero(np.isnan(labels)).tolist() == [3]


def test_separable_scores_give_finite_labels() -> None:
    scores = np.r_[np.zeros(20), np.ones(20)][:, None]
    positive = scores[:, 0] > 0
    labels = fit_soft_labels(scores, positive, np.arange(40) % FOLDS).label(scores, np.arange(40) % FOLDS)
    assert np.isfinite(labels).all()
    assert labels[positive].min() > 0.9
    assert labels[~positive].max() < 0.1


def test_all_labels_are_missing_without_negatives() -> None:
    scores, fold = np.ones((4, 1)), np.arange(4)
    assert np.isnan(fit_soft_labels(scores, np.ones(4, bool), fold).label(scores, fold)).all()


def test_fold_without_others_takes_what_all_say() -> None:
    scores, positive, _ = _scores(60)
    alone = np.zeros(60, np.int64)
    assert np.isfinite(fit_soft_labels(scores, positive, alone).label(scores, alone)).all()
