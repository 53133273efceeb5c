"""The learned margin fitted to one corpus: the shipped model, moved as far as judged candidates call for.

A logistic regression with a Gaussian prior around the shipped coefficients (maximum a posteriori): with few judgements
it stays the shipped model, with many it becomes that of the corpus. What chooses a cut must not have seen the labels it
is chosen by, so candidates are scored by a model that was fitted without their query.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from datagen.selection.arrays import Bool, Float32, Float64, Int64
from datagen.selection.doubt import FEATURES, DoubtModel, standardise

STRENGTH = 100.0
"""Weighted candidates that the shipped model counts for; 1 to 1,000 serve about as well on judged sets."""
FOLDS = 5
_LEAST_QUERIES, _LEAST_WRONG = 10, 20
_BLOCK = 1 << 18


def cross_fit(
    prior: DoubtModel, features: Float32, wrong: Bool, weights: Float64, queries: Int64
) -> tuple[DoubtModel, Float64]:
    """The model of all judged candidates, and the log odds of each by a model that has not seen its query, (n,).

    With too few queries or wrong labels both are those of the prior.

    Args:
        prior: the shipped model.
        features: of each candidate, in the order of `FEATURES`, NaN where not known, (n, n_features).
        wrong: whether each is a false negative, (n,).
        weights: how much each counts, 0 for one that is not judged, (n,).
        queries: of each, (n,).
    """
    numbers, query = np.unique(queries, return_inverse=True)
    if len(numbers) < _LEAST_QUERIES or (wrong & (weights > 0)).sum() < _LEAST_WRONG:
        return prior, score_blocks(prior, features)
    fold = np.random.default_rng(0).permutation(len(numbers))[query] % FOLDS
    logits = np.empty(len(features))
    for held in range(FOLDS):
        inside = fold == held
        model = refit(prior, features[~inside], wrong[~inside], weights[~inside])
        logits[inside] = score_blocks(model, features[inside])
    return refit(prior, features, wrong, weights), logits


def refit(prior: DoubtModel, features: Float32, wrong: Bool, weights: Float64) -> DoubtModel:
    """The model that fits judged candidates best and stays near a prior one; arguments as for `cross_fit`."""
    kept = np.flatnonzero(weights > 0)
    places = [FEATURES.index(name) for name in prior.features]
    x = standardise(features[kept][:, places].astype(np.float64), prior.centre, prior.scale)
    x = np.hstack([x, np.ones((len(x), 1))])
    start = np.r_[prior.coefficients, prior.intercept]
    y, w = wrong[kept].astype(np.float64), weights[kept]
    fitted = minimize(_loss, start, (x, y, w, start), method="L-BFGS-B", jac=True, options={"maxiter": 100}).x
    return replace(prior, coefficients=fitted[:-1], intercept=float(fitted[-1]))


def score_blocks(model: DoubtModel, features: Float32) -> Float64:
    """The log odds of many candidates, (n,), some at a time."""
    starts = range(0, len(features), _BLOCK)
    parts = [model.logits(features[begin : begin + _BLOCK].astype(np.float64)) for begin in starts]
    return np.concatenate([np.empty(0), *parts])


def _loss(beta: Float64, x: Float64, y: Float64, w: Float64, start: Float64) -> tuple[float, Float64]:
    """Minus the log posterior, and its gradient; the intercept is held a tenth as hard."""
    hold = np.full(len(beta), STRENGTH)
    hold[-1] /= 10
    z, away = x @ beta, beta - start
    loss = w @ (np.logaddexp(0, z) - y * z) + 0.5 * hold @ away**2
    return float(loss), x.T @ (w * (1 / (1 + np.exp(-z)) - y)) + hold * away
