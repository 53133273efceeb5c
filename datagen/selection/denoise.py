"""What a second scorer says of the candidates that the margin let through: negative, ignored, or positive.

No threshold is a bare number on the reranker's scale. The unit is the robust spread of the scores that the known
positives of the run have, so that the outcome does not depend on whether the reranker speaks in logits, cosines or
probabilities, as long as higher means more relevant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Float64, Int64, quantile_per_row, robust_spread


@dataclass(frozen=True)
class DenoiseRule:
    """The numbers of the three-way decision."""

    margin: float
    """A candidate must score this many spreads below the positive to be a negative."""
    floor_quantile: float
    """A candidate below this quantile of all positives' scores is a negative, however weak its own positive is."""
    promote_margin: float
    """A candidate this many spreads above the positive may become one."""


@dataclass(frozen=True)
class RerankerScale:
    """What the scores of all known positives of a run tell about a reranker."""

    spread: float
    """Median absolute deviation of the positives' scores."""
    floor: float
    """Score below which hardly any known positive lies."""


def measure_scale(rule: DenoiseRule, positive_scores: Float64) -> RerankerScale:
    """The unit and the floor of a reranker, from a score of known positives for each query, (n,) with n > 0."""
    floor = float(np.quantile(positive_scores, rule.floor_quantile))
    return RerankerScale(float(robust_spread(positive_scores)), floor)


def reranker_limits(
    rule: DenoiseRule, scale: RerankerScale, positive_scores: Float64, starts: Int64
) -> tuple[Float64, Float64]:
    """The highest score of a negative and the lowest of a promoted candidate, each (n_queries,).

    Both look at the median of the query's positives; a query without positives gets the floor, and no promotion.

    Args:
        rule: the numbers of the decision.
        scale: of the reranker.
        positive_scores: of each query's known positives, one list a query, (n_positives,).
        starts: where each list begins, (n_queries + 1,).
    """
    middle = quantile_per_row(positive_scores, starts, 0.5)
    below = np.fmax(middle - rule.margin * scale.spread, scale.floor)
    above = np.nan_to_num(middle + rule.promote_margin * scale.spread, nan=np.inf)
    return below, above
