"""What a second scorer says of the candidates that the margin let through: negative, ignored, or positive.

No threshold is a number on the reranker's scale: all are places in the distribution of the scores that the known
positives of the run have (its ECDF). A positive in place k of n, counted from the weakest, and a margin m: a candidate
must not score above the positive in place (1 - m) k. Only comparisons of scores decide, so the outcome is the same when
all scores pass through any strictly increasing function: logits, cosines or probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Float64, Int64, quantile_per_row

_ROUNDING = 1e-9
"""A place that should be whole but for rounding counts as whole."""


@dataclass(frozen=True)
class DenoiseRule:
    """The numbers of the three-way decision, each a share from 0 to 1."""

    margin: float
    """How far below the positive a negative must lie: 0 not above it, 1 not above the weakest of all positives."""
    floor_quantile: float
    """A candidate below this quantile of all positives' scores is a negative, however weak its own positive is."""
    promote_margin: float
    """How far above the positive a promoted candidate must lie: 0 not below it, 1 not below the best of all."""


@dataclass(frozen=True)
class RerankerScale:
    """What the scores of all known positives of a run tell about a reranker."""

    positives: Float64
    """A score of the known positives of each query, ascending, (n,) with n > 0."""

    def places(self, scores: Float64) -> Int64:
        """How many positives score at most as high, (n_scores,)."""
        return np.searchsorted(self.positives, scores, side="right").astype(np.int64)

    def scores(self, places: Float64 | float) -> Float64:
        """The scores of the positives in these places, counted from 1, rounded up; beyond the ends, the outermost."""
        whole = np.ceil(np.asarray(places) - _ROUNDING).astype(np.int64)
        return self.positives[np.clip(whole, 1, len(self.positives)) - 1]


def measure_scale(positive_scores: Float64) -> RerankerScale:
    """The distribution of a reranker's scores, from a score of known positives for each query, (n,) with n > 0."""
    return RerankerScale(np.sort(positive_scores))


def middle_scores(positive_scores: Float64, starts: Int64) -> Float64:
    """The score that stands for the positives of each query, (n_queries,): their median, the lower one of two.

    NaN for a query without positives.
    """
    return quantile_per_row(positive_scores, starts, 0.5, member=True)


def reranker_limits(
    rule: DenoiseRule, scale: RerankerScale, positive_scores: Float64, starts: Int64
) -> tuple[Float64, Float64]:
    """The highest score of a negative and the lowest of a promoted candidate, each (n_queries,).

    A query without positives gets the floor, and no promotion; nor does one with the best of all positives, unless the
    margin of promotion is 0.

    Args:
        rule: the numbers of the decision.
        scale: of the reranker.
        positive_scores: of each query's known positives, one list a query, (n_positives,).
        starts: where each list begins, (n_queries + 1,).
    """
    middle = middle_scores(positive_scores, starts)
    n, known = len(scale.positives), ~np.isnan(middle)
    places = scale.places(middle)
    floor = rule.floor_quantile * n
    below = scale.scores(np.where(known, np.maximum((1 - rule.margin) * places, floor), floor))
    above = scale.scores(places + rule.promote_margin * (n - places))
    tellable = known & ((places < n) | (rule.promote_margin == 0))
    return below, np.where(tellable, above, np.inf)


def spared_limits(asked_scores: Float64, starts: Int64, max_overruled: float) -> Float64:
    """The score up to which candidates stay whatever the positive says, (n_queries,).

    At most the share `max_overruled` of a query's candidates may lie above it; -inf where that is all of them.

    Args:
        asked_scores: of the candidates of each query, one list a query, (n,).
        starts: where each list begins, (n_queries + 1,).
        max_overruled: from 0 to 1.
    """
    sizes = np.diff(starts)
    kept = sizes - np.floor(max_overruled * sizes + _ROUNDING).astype(np.int64)
    return _lowest(asked_scores, starts, kept)


def lowest_limits(scores: Float64, starts: Int64, least: int) -> Float64:
    """The highest score among the `least` lowest of each list, (n_lists,); +inf for a list of fewer.

    Args:
        scores: list by list, (n,).
        starts: where each list begins, (n_lists + 1,).
        least: above 0.
    """
    sizes = np.diff(starts)
    return np.where(sizes >= least, _lowest(scores, starts, np.minimum(sizes, least)), np.inf)


def _lowest(scores: Float64, starts: Int64, places: Int64) -> Float64:
    """The score at a place, from 1, of each list in ascending order, (n_lists,); -inf where the place is 0."""
    sizes = np.diff(starts)
    ordered = scores[np.lexsort((scores, np.repeat(np.arange(len(sizes)), sizes)))]
    limits = np.full(len(sizes), -np.inf)
    limits[places > 0] = ordered[(starts[:-1] + places - 1)[places > 0]]
    return limits
