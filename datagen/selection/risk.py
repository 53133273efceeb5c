"""How sure one can be of a rate of wrong labels, and which cut keeps it: between judged replays and the cut of `mine`.

Some queries were judged; what mining gives them says how many of its negatives are wrong. The negatives of one query
are wrong together, so that they count for less than as many independent ones: by the design effect, the ratio of the
variance between queries to that of independent negatives (Kish, "Survey Sampling", 1965). What is promised is the rate
among the negatives of *this run*, which are a sample themselves: the bound of Clopper and Pearson (Biometrika 1934),
which is a quantile of a beta distribution, becomes one of the beta-binomial distribution of the rate in the run.

Two rules choose the loosest cut of a grid that runs from strict to loose:

    last_certified   with a stated confidence: Learn then Test (Angelopoulos et al., arXiv 2110.01052), fixed-sequence
                     testing: from the first cut on, as long as "the rate is above the promise" is rejected
    last_conformal   on average over judged samples: conformal risk control (Angelopoulos et al., ICLR 2024, arXiv
                     2208.02814, equation 4): n/(n+1) * R(cut) + 1/(n+1) <= rate, with losses made monotone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincc, betaincinv, betaln, gammaln

from datagen.selection.arrays import Float64, Int64

INTERVAL = 0.95
"""Confidence of both ends of a reported interval together."""
_PRIOR_EFFECTS = (1.0, 2.0)
"""Design effects that are assumed until many wrong labels were seen, of averages over replays and of single ones."""
_PRIOR_WEIGHT = 10.0
"""Wrong labels that this assumption weighs as much as."""
_LEAST_EFFECTS = (0.4, 1.0)
_HIGHEST_RATE = 0.3
"""Cuts that let more through say nothing of how strict ones behave."""
_EVEN = 0.5
_LARGE_RUN = 5000
"""Negatives of a run from which on more of them change no bound that anyone would notice."""
_MOST_QUERIES = 1 << 20


@dataclass(frozen=True)
class Emitted:
    """The negatives that some replays of judged queries get under one cut, as far as their labels are known."""

    queries: Int64
    """Query of each replay, (n_replays,)."""
    wrong: Float64
    """Wrong negatives, (n_replays,)."""
    judged: Float64
    """Negatives whose label is known, (n_replays,), at least those that are wrong."""

    def per_query(self) -> tuple[Float64, Float64]:
        """Wrong and judged negatives of each query, averaged over its replays."""
        _, index, replays = np.unique(self.queries, return_inverse=True, return_counts=True)
        return np.bincount(index, self.wrong) / replays, np.bincount(index, self.judged) / replays

    @property
    def size(self) -> float:
        """Judged negatives, each query counted once."""
        return float(self.per_query()[1].sum())

    @property
    def rate(self) -> float:
        """Share of wrong ones, 0 to 1; 0 where nothing was judged."""
        wrong, judged = self.per_query()
        return float(wrong.sum() / judged.sum()) if judged.sum() > 0 else 0.0


@dataclass(frozen=True)
class Effects:
    """Negatives that say as much as one independent one."""

    judged: float
    """Of the judged queries, each averaged over its replays: that makes it less."""
    run: float
    """Of the run, where each query is mined once."""


@dataclass(frozen=True)
class Verdict:
    """The cut that was chosen, and whether it keeps the promise."""

    cut: int
    """Its place in the grid."""
    certified: bool
    """Whether it keeps the promise with the confidence asked for."""
    confidence: float
    """With which it keeps the promise, 0 to 1."""
    queries_needed: int | None
    """Judged queries that would certify a cut, if none is; None where it is, or where no number would do."""


def measure_effects(cuts: Sequence[Emitted]) -> Effects:
    """Design effects over all cuts, drawn towards those of other corpora where few wrong labels were seen."""
    weight, judged, run = np.array([_effects_at(cut) for cut in cuts]).T
    if not weight.sum() > 0:
        return Effects(*_PRIOR_EFFECTS)
    trust = weight.max() / (weight.max() + _PRIOR_WEIGHT)  # cuts overlap: many that say the same are one witness
    means = np.array([weight @ judged, weight @ run]) / weight.sum()
    mixed = np.maximum(_LEAST_EFFECTS, trust * means + (1 - trust) * np.asarray(_PRIOR_EFFECTS))
    return Effects(float(mixed[0]), float(mixed[1]))


def choose_cut(
    cuts: Sequence[Emitted], effects: Effects, promise: float, confidence: float, run: float | None
) -> Verdict:
    """The loosest cut that keeps a promise, or where none does, one that keeps it as surely as the strictest.

    Where even that is more likely to break the promise than not, it is the strictest itself.

    Args:
        cuts: what judged queries get under each cut, strict to loose, at least one. The first must be chosen without a
            look at the labels.
        effects: how much these negatives say.
        promise: the highest rate of wrong labels, 0 to 1.
        confidence: with which it is kept, 0 to 1; 0 for on average.
        run: negatives of the run; None for any number.
    """
    sample = None if run is None else run / effects.run
    values = np.asarray([p_value(cut.rate, cut.size / effects.judged, sample, promise) for cut in cuts])
    chosen = last_certified(values, confidence) if confidence > 0 else last_conformal(_query_rates(cuts), promise)
    if chosen is not None:
        return Verdict(chosen, certified=True, confidence=float(1 - values[chosen]), queries_needed=None)
    place = last_certified(values, float(1 - values[0])) if values[0] <= _EVEN else 0
    judged = cuts[0].size / effects.judged / max(1, int(np.count_nonzero(cuts[0].per_query()[1])))
    needed = queries_needed(cuts[0].rate, judged, sample, promise, confidence)
    return Verdict(place or 0, certified=False, confidence=float(1 - values[place or 0]), queries_needed=needed)


def interval(rate: float, size: float, run: float | None, confidence: float) -> tuple[float, float]:
    """Where the rate of wrong labels lies in a run, when such a rate was seen on judged negatives.

    Args:
        rate: seen, 0 to 1.
        size: effective number of judged negatives, need not be whole; 0 gives the interval 0 to 1.
        run: effective number of negatives in the run; None: the interval of the rate itself.
        confidence: that both ends together have, 0 to 1.
    """
    tail, wrong = (1 - confidence) / 2, rate * size
    low = 0.0 if wrong <= 0 else _quantile(wrong, size - wrong + 1, run, tail)
    high = 1.0 if wrong >= size else _quantile(wrong + 1, size - wrong, run, 1 - tail)
    return low, high


def p_value(rate: float, size: float, run: float | None, promise: float) -> float:
    """How likely a run is worse than promised when such a rate was seen on judged negatives, at most.

    Args:
        rate: seen, 0 to 1.
        size: effective number of judged negatives.
        run: effective number of negatives in the run; None: that the true rate is above the promise.
        promise: the highest rate wanted, 0 to 1.
    """
    wrong = rate * size
    if wrong >= size:
        return 1.0
    if run is None:
        return float(betaincc(wrong + 1, size - wrong, promise))
    chances = _beta_binomial(wrong + 1, size - wrong, run)
    return float(chances[int(np.floor(promise * (len(chances) - 1) + 1e-9)) + 1 :].sum())


def last_certified(p_values: Float64, confidence: float) -> int | None:
    """The last of the cuts, strict to loose, before the first whose p-value is above 1 - confidence; None for none."""
    passed = np.logical_and.accumulate(p_values <= 1 - confidence + 1e-9)
    return int(passed.sum()) - 1 if passed.any() else None


def last_conformal(rates: Float64, promise: float) -> int | None:
    """The loosest cut with an expected rate of at most the promise; None where there are too few queries for any.

    Args:
        rates: share of wrong negatives of each judged query under each cut, strict to loose, (n_queries, n_cuts).
        promise: the highest rate wanted, 0 to 1.
    """
    risks = np.maximum.accumulate(rates, axis=1).sum(axis=0)
    kept = np.flatnonzero((risks + 1) / (len(rates) + 1) <= promise)
    return int(kept[-1]) if len(kept) else None


def queries_needed(rate: float, worth: float, run: float | None, promise: float, confidence: float) -> int | None:
    """Judged queries that would certify a cut at which such a rate is seen; None where no number would.

    Args:
        rate: seen at the cut, 0 to 1.
        worth: independent negatives that one judged query is worth.
        run: effective number of negatives in the run.
        promise: the highest rate wanted.
        confidence: wanted, 0 for on average.
    """
    low, high = 0, 1
    while not _would_do(high, rate, worth, run, promise, confidence):
        low, high = high, 2 * high
        if high > _MOST_QUERIES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        does = _would_do(middle, rate, worth, run, promise, confidence)
        low, high = (low, middle) if does else (middle, high)
    return high


def _would_do(queries: int, rate: float, worth: float, run: float | None, promise: float, confidence: float) -> bool:
    if confidence > 0:
        return p_value(rate, queries * worth, run, promise) <= 1 - confidence
    return (queries * rate + 1) / (queries + 1) <= promise


def _effects_at(emitted: Emitted) -> tuple[float, float, float]:
    """Wrong labels seen under a cut, and the design effects there; no weight where these cannot be measured."""
    wrong, judged = emitted.per_query()
    rate, n = emitted.rate, len(wrong)
    independent = rate * (1 - rate) * judged.sum()
    if n < 2 or not 0 < rate <= _HIGHEST_RATE or independent <= 0:
        return 0.0, *_PRIOR_EFFECTS
    averaged = ((wrong - rate * judged) ** 2).sum()
    _, index, replays = np.unique(emitted.queries, return_inverse=True, return_counts=True)
    single = (np.bincount(index, (emitted.wrong - rate * emitted.judged) ** 2) / replays).sum()
    scale = n / (n - 1) / independent
    return float(wrong.sum()), float(averaged * scale), float(single * scale)


def _query_rates(cuts: Sequence[Emitted]) -> Float64:
    """Share of wrong negatives of each query under each cut, (n_queries, n_cuts); 0 where nothing was judged."""
    found = [cut.per_query() for cut in cuts]
    return np.stack([wrong / np.maximum(judged, 1e-9) for wrong, judged in found], axis=1)


def _quantile(a: float, b: float, run: float | None, share: float) -> float:
    """The quantile of a beta distribution, or of the rate in a run whose own rate is drawn from it."""
    if run is None:
        return float(betaincinv(a, b, share))
    chances = _beta_binomial(a, b, run)
    return float(np.searchsorted(np.cumsum(chances), share) / (len(chances) - 1))


def _beta_binomial(a: float, b: float, run: float) -> Float64:
    """The chance of each number of wrong labels in a run, (m + 1,), m the rounded run, at most `_LARGE_RUN`."""
    m = max(1, round(min(run, _LARGE_RUN)))
    k = np.arange(m + 1)
    logs = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1) + betaln(k + a, m - k + b) - betaln(a, b)
    return np.asarray(np.exp(logs), np.float64)
