"""How close to a positive a candidate may score: the margin policies.

Every policy turns the scores of a query's positives into one limit; a candidate above it is set aside.
All are safe for negative scores (a margin always lowers the limit):

    relative   limit = p* - margin * |p*|        the field's "95 % of the positive" at 0.05
    absolute   limit = p* - margin               in units of the teacher's score
    spread     limit = p* - margin * spread(q)   in units of the query's own robust score spread

p* is the score of the positive that the margin looks at: the weakest (`min`), the strongest (`own`) or a quantile
of them (the default: the median). Whatever p*, no candidate may beat another positive by more than the margin.

`spread` also says how much a positive can tell: one that the teacher ranks below the first `candidates`
documents says nothing about where relevance ends, and counts as if it ranked at their lower edge, the floor.
Its outcome is the same when all teacher scores become a*s + b with a > 0, because limit, floor and spread change
along with the scores.

The default policy, `adaptive`, is none of these: it looks at P(false negative) of each candidate (`selection.doubt`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from datagen.errors import unknown_choice
from datagen.selection.arrays import Float64, Int64, quantile_per_row
from datagen.settings.mine import MarginPolicy, PositiveScore


@dataclass(frozen=True)
class PositiveScores:
    """What a margin looks at, for a block of queries."""

    scores: Float64
    """Teacher scores of the known positives, one list a query, (n_positives,)."""
    starts: Int64
    """Where each query's list begins, (n_queries + 1,)."""
    floor: Float64
    """Score at the lower edge of the first candidates, (n_queries,); -inf where there is none."""
    spread: Float64
    """Robust spread of the query's scores over the corpus, (n_queries,), at least 0."""

    def take(self, begin: int, end: int) -> PositiveScores:
        """Those of the queries from one number up to another."""
        starts = self.starts[begin : end + 1]
        scores = self.scores[starts[0] : starts[-1]]
        return PositiveScores(scores, starts - starts[0], self.floor[begin:end], self.spread[begin:end])


@dataclass(frozen=True)
class MarginRule:
    """A margin policy with its numbers."""

    policy: MarginPolicy
    margin: float
    positive_score: PositiveScore = "quantile"
    quantile: float = 0.5


def score_limits(rule: MarginRule, positives: PositiveScores) -> Float64:
    """The highest teacher score that a negative of each query may have, float64 (n_queries,).

    A query without positives has the limit +inf, and so have all under the policy `adaptive`.

    Raises:
        ConfigError: the policy is unknown; the message lists those that exist.
    """
    if rule.policy == "adaptive":
        return np.full(len(positives.starts) - 1, np.inf)
    if rule.policy not in POLICIES:
        raise unknown_choice("margin policy", rule.policy, ("adaptive", *POLICIES))
    limit = POLICIES[rule.policy](rule, positives)
    return np.where(np.diff(positives.starts) > 0, limit, np.inf)


def _relative(rule: MarginRule, positives: PositiveScores) -> Float64:
    star, weakest = _stars(rule, positives, positives.scores)
    return np.minimum(star - rule.margin * np.abs(star), weakest + rule.margin * np.abs(weakest))


def _absolute(rule: MarginRule, positives: PositiveScores) -> Float64:
    star, weakest = _stars(rule, positives, positives.scores)
    return np.minimum(star - rule.margin, weakest + rule.margin)


def _spread(rule: MarginRule, positives: PositiveScores) -> Float64:
    star, weakest = _stars(rule, positives, _trusted(positives))
    step = rule.margin * positives.spread
    return np.minimum(star - step, weakest + step)


def _stars(rule: MarginRule, positives: PositiveScores, scores: Float64) -> tuple[Float64, Float64]:
    """p*, and the weakest positive that still counts, of each query."""
    q = {"min": 0.0, "own": 1.0, "quantile": rule.quantile}[rule.positive_score]
    return quantile_per_row(scores, positives.starts, q), quantile_per_row(_trusted(positives), positives.starts, 0.0)


def _trusted(positives: PositiveScores) -> Float64:
    return np.maximum(positives.scores, np.repeat(positives.floor, np.diff(positives.starts)))


POLICIES: dict[str, Callable[[MarginRule, PositiveScores], Float64]] = {
    "spread": _spread,
    "relative": _relative,
    "absolute": _absolute,
}
