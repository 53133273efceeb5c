"""The shipped margin fitted to one corpus."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.selection.arrays import Bool, Float32, Float64, Int64
from datagen.selection.doubt import FEATURES, DoubtModel
from datagen.selection.refit import cross_fit, refit, score_blocks

PRIOR = DoubtModel(
    features=("gap", "rank"),
    centre=np.array([1.0, 5.0]),
    scale=np.array([2.0, 2.0]),
    coefficients=np.array([-1.0, 0.0]),
    intercept=-2.0,
)


def _judged(n_queries: int, slope: float, seed: int = 0) -> tuple[Float32, Bool, Float64, Int64]:
    """Candidates whose true log odds are slope * standardised gap - 2."""
    random = np.random.default_rng(seed)
    queries = np.repeat(np.arange(n_queries), 40)
    features = np.full((len(queries), len(FEATURES)), np.nan, np.float32)
    features[:, FEATURES.index("gap")] = random.normal(1, 2, len(queries))
    features[:, FEATURES.index("rank")] = random.normal(5, 2, len(queries))
    odds = slope * (features[:, FEATURES.index("gap")] - 1) / 2 - 2
    return features, random.random(len(queries)) < 1 / (1 + np.exp(-odds)), np.ones(len(queries)), queries


def test_many_judgements_move_the_model_to_the_corpus() -> None:
    features, wrong, weights, _ = _judged(2000, slope=1.5)
    model = refit(PRIOR, features, wrong, weights)
    assert model.coefficients == pytest.approx([1.5, 0.0], abs=0.1)
    assert model.intercept == pytest.approx(-2.0, abs=0.1)
    assert (model.features, model.scale.tolist()) == (PRIOR.features, PRIOR.scale.tolist())


def test_few_judgements_leave_the_model_near_the_shipped_one() -> None:
    features, wrong, weights, _ = _judged(1, slope=1.5)
    model = refit(PRIOR, features, wrong, weights)
    assert abs(model.coefficients - PRIOR.coefficients).max() < 0.2


def test_candidates_without_weight_teach_nothing() -> None:
    features, wrong, weights, _ = _judged(50, slope=1.5)
    half = np.where(np.arange(len(weights)) < 1000, weights, 0.0)
    alone = refit(PRIOR, features[:1000], wrong[:1000], weights[:1000])
    np.testing.assert_allclose(refit(PRIOR, features, wrong, half).coefficients, alone.coefficients, atol=1e-6)


def test_candidates_are_scored_by_a_model_that_has_not_seen_their_query() -> None:
    features, wrong, weights, queries = _judged(60, slope=1.5)
    model, logits = cross_fit(PRIOR, features, wrong, weights, queries)
    turned = wrong.copy()
    turned[queries == 7] = ~turned[queries == 7]
    turned_model, turned_logits = cross_fit(PRIOR, features, turned, weights, queries)
    np.testing.assert_array_equal(turned_logits[queries == 7], logits[queries == 7])
    assert abs(turned_model.coefficients - model.coefficients).max() > 1e-3
    assert abs(turned_logits - logits).max() > 1e-3


def test_too_few_queries_leave_the_shipped_model_as_it_is() -> None:
    features, wrong, weights, queries = _judged(5, slope=1.5)
    model, logits = cross_fit(PRIOR, features, wrong, weights, queries)
    assert model is PRIOR
    np.testing.assert_array_equal(logits, score_blocks(PRIOR, features))
    nothing = cross_fit(
        PRIOR, *_judged(60, slope=1.5)[:1], np.zeros(2400, bool), np.ones(2400), np.repeat(np.arange(60), 40)
    )
    assert nothing[0] is PRIOR


def test_a_linear_change_of_a_feature_with_its_scale_changes_nothing() -> None:
    features, wrong, weights, queries = _judged(60, slope=1.5)
    moved = DoubtModel(PRIOR.features, 3 * PRIOR.centre + 1, 3 * PRIOR.scale, PRIOR.coefficients, PRIOR.intercept)
    _, logits = cross_fit(PRIOR, features, wrong, weights, queries)
    _, same = cross_fit(moved, 3 * features + 1, wrong, weights, queries)
    np.testing.assert_allclose(same, logits, atol=1e-3)
