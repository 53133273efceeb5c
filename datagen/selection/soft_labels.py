"""Soft labels for distillation: the scores of several scorers fused into one and calibrated to 0 to 1.

A label is sigma(b + sum of w_i * z_i), where z_i is a scorer's score in robust spreads from the median known positive,
and w_i >= 0: it rises with each score, and is the same when a scorer's scores become a*s + b with a > 0. Weights and
b are those of a logistic regression of known positives against chosen negatives, both counted as equally many, with
the smoothed targets of Platt (1999). They are cross-fitted: the label of a query comes from other queries alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Bool, Float64, Int64, robust_spread

FOLDS = 5
"""Parts into which queries are put; each is labelled by what was fitted on the others."""
_RIDGE = 1e-3
_STEPS = 50


@dataclass(frozen=True)
class SoftLabels:
    """A fitted fusion of some scorers."""

    centre: Float64
    """The median score of known positives, (n_scorers,)."""
    scale: Float64
    """Their robust spread, (n_scorers,)."""
    weights: Float64
    """Of each fold and scorer, (FOLDS, n_scorers), at least 0."""
    bias: Float64
    """Of each fold, (FOLDS,)."""

    def label(self, scores: Float64, fold: Int64) -> Float64:
        """The labels of some candidates, 0 to 1, (n,); NaN where a score is missing.

        Args:
            scores: of each scorer, (n, n_scorers).
            fold: of the query of each, 0 to FOLDS - 1, (n,).
        """
        z = (scores - self.centre) / self.scale
        return _sigmoid(np.einsum("ij,ij->i", z, self.weights[fold]) + self.bias[fold])


def fit_soft_labels(scores: Float64, positive: Bool, fold: Int64) -> SoftLabels:
    """The fusion of some scorers; rows without all scores are left out.

    A fold whose complement lacks positives or negatives takes what all rows say.

    Args:
        scores: of each scorer, (n, n_scorers), NaN where it has none.
        positive: whether each row is a known positive; the others are chosen negatives, (n,).
        fold: of the query of each, 0 to FOLDS - 1, (n,).
    """
    whole = np.isfinite(scores).all(axis=1)
    scores, positive, fold = scores[whole], positive[whole], fold[whole]
    n_scorers = scores.shape[1]
    if not positive.any() or positive.all():
        nothing = np.full((FOLDS, n_scorers), np.nan)
        return SoftLabels(np.zeros(n_scorers), np.ones(n_scorers), nothing, nothing[:, 0])
    centre = np.median(scores[positive], axis=0)
    spread = robust_spread(scores[positive].T)
    scale = np.where(spread > 0, spread, np.maximum(scores.std(axis=0), np.finfo(np.float64).tiny))
    z = (scores - centre) / scale
    fitted = []
    for number in range(FOLDS):
        others = fold != number
        some = others if positive[others].any() and not positive[others].all() else np.ones(len(z), bool)
        fitted.append(_fit_rising(z[some], positive[some]))
    weights = np.stack(fitted)
    return SoftLabels(centre, scale, weights[:, :-1], weights[:, -1])


def _fit_rising(z: Float64, positive: Bool) -> Float64:
    """Weights and bias, (n_scorers + 1,): a scorer that would count against relevance counts for nothing."""
    used = np.ones(z.shape[1], bool)
    while True:
        found = _fit(z[:, used], positive)
        if (found[:-1] >= 0).all() or not used.any():
            break
        used[np.flatnonzero(used)[int(np.argmin(found[:-1]))]] = False
    out = np.zeros(z.shape[1] + 1)
    out[:-1][used], out[-1] = found[:-1], found[-1]
    return out


def _fit(z: Float64, positive: Bool) -> Float64:
    """Logistic regression by Newton's method, a little ridge on the weights."""
    features = np.c_[z, np.ones(len(z))]
    n_positive, n_negative = positive.sum(), (~positive).sum()
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    weight = np.where(positive, 0.5 / n_positive, 0.5 / n_negative)
    ridge = np.diag(np.r_[np.full(z.shape[1], _RIDGE), 0.0])
    found = np.zeros(features.shape[1])
    for _ in range(_STEPS):
        chance = _sigmoid(features @ found)
        slope = features.T @ (weight * (chance - target)) + ridge @ found
        curve = (features * (weight * np.maximum(chance * (1 - chance), 1e-9))[:, None]).T @ features + ridge
        step = np.linalg.solve(curve, slope)
        found = found - step * min(1.0, 4 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    return found


def _sigmoid(x: Float64) -> Float64:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)), np.float64)
