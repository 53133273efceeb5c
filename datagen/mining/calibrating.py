"""From judged replays to the model and the cut that keep a promise: the work of the stage `calibrate`.

The real miner runs on the replays without a margin, as deep as a run may go; which of what it finds would be a negative
under each cut is told by the choice that the run itself makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from datagen.config_calibration import CalibrationConfig
from datagen.mining.replays import Replays
from datagen.selection.arrays import Bool, Float32, Float64, Int64, count_before, starts_of
from datagen.selection.choice import ChoiceRule, Eligible, choose_first, draw_keys, line_up
from datagen.selection.doubt import FEATURES, DoubtModel
from datagen.selection.refit import cross_fit
from datagen.selection.risk import INTERVAL, Effects, Emitted, Verdict, choose_cut, interval, measure_effects

GRID = np.arange(-10.0, 0.01, 0.25)
"""Log odds of the cuts that are tried, strict to loose: P(false negative) from 0.00005 to 0.5."""
FITTED = 400
"""Candidates of a replay that the model is fitted on: those that some cut may let through."""
_FILLED, _JUDGED = 0.98, 0.5
_GAP = FEATURES.index("gap")


@dataclass(frozen=True)
class Traced:
    """What the miner finds in all replays that closure lets through, replay by replay, best first."""

    replays: Replays
    rows: Int64
    """Replay of each candidate, ascending, (n,)."""
    documents: Int64
    ranks: Int64
    scores: Float32
    features: Float32
    """(n, len(FEATURES))."""
    anchors: Float64
    """Median teacher score of the shown positives, (n_replays,)."""

    def wrong(self) -> Bool:
        """Whether each is a hidden positive, (n,)."""
        return self.replays.wrong(self.rows, self.documents)

    def judged(self) -> Bool:
        """Whether it is known if each is one, (n,)."""
        return self.replays.judged(self.rows, self.documents)

    def emitted(self, rule: ChoiceRule, seed: int, allowed: Bool) -> Int64:
        """Places of the candidates that become negatives where only some are allowed."""
        places = np.flatnonzero(allowed)
        rows, documents = self.rows[places], self.documents[places]
        keys = draw_keys(seed, rows.astype(np.uint64), documents.astype(np.uint64))
        line = line_up(rule, Eligible(rows, len(self.replays), self.scores[places], self.anchors, keys))
        return places[line.places[choose_first(line)]]


@dataclass(frozen=True)
class Calibration:
    """What the stage `mine` decides with, and what the report tells of it."""

    model: DoubtModel
    cut: float
    """Highest P(false negative) of a negative, by that model."""
    counts: dict[str, Any]  # Any: JSON numbers, texts and small tables of them
    places: Int64
    """Traced candidates that some cut makes a negative."""
    chances: Float64
    """Their P(false negative), by a model that has not seen their query."""


def calibrate(
    traced: Traced, prior: DoubtModel, rule: ChoiceRule, config: CalibrationConfig, seed: int, further: int
) -> Calibration:
    """The model of this corpus and the loosest cut that keeps the promise.

    Args:
        traced: what the replays found.
        prior: the shipped model.
        rule: how the run chooses its negatives.
        config: the promise.
        seed: of the run.
        further: queries of the run that were not judged.
    """
    wrong, judged = traced.wrong(), traced.judged()
    replays_of = np.bincount(traced.replays.queries)[traced.replays.queries]
    first = count_before(np.ones(len(traced.rows), bool), starts_of(traced.rows, len(traced.replays))) < FITTED
    weights = np.where(judged & first, 1 / replays_of[traced.rows], 0.0)
    model, logits = cross_fit(prior, traced.features, wrong, weights, traced.replays.queries[traced.rows])
    emitted = [traced.emitted(rule, seed, logits <= cut) for cut in GRID]
    cuts = [_emitted(traced, places, wrong, judged) for places in emitted]
    full = np.asarray([_coverage(traced, places, sum(rule.needs)) for places in emitted])
    start = _first_cut(full, np.asarray([cut.size for cut in cuts]))
    promise = config.max_false_negatives or 0.0
    run = further * sum(rule.needs)
    effects = measure_effects(cuts[start:])
    verdict = choose_cut(cuts[start:], effects, promise, config.confidence, run)
    chosen = start + verdict.cut
    curve = [
        _tell_cut(traced, *at, effects, run) for at in zip(GRID, emitted, cuts, full, strict=True)
    ]
    counts = {
        "promise": promise,
        "confidence": config.confidence,
        "certified": int(verdict.certified),
        "cut": _chance(GRID[chosen]),
        **{name: curve[chosen][name] for name in ("estimate", "low", "high", "log2_rank", "gap", "coverage")},
        "interval": INTERVAL,
        "evidence": traced.replays.source,
        "queries_judged": len(np.unique(traced.replays.queries)),
        "replays": len(traced.replays),
        "negatives_judged": round(cuts[chosen].size),
        "negatives_effective": round(cuts[chosen].size / effects.judged),
        **_lacking(verdict, len(np.unique(traced.replays.queries))),
        "refitted": int(model is not prior),
        "curve": curve[start:],
    }
    places = np.unique(np.concatenate(emitted))
    return Calibration(model, _chance(GRID[chosen]), counts, places, 1 / (1 + np.exp(-logits[places])))


def _chance(logit: float) -> float:
    return float(f"{1 / (1 + np.exp(-logit)):.6g}")


def _emitted(traced: Traced, places: Int64, wrong: Bool, judged: Bool) -> Emitted:
    n = len(traced.replays)
    rows = traced.rows[places]
    known = judged[places]
    return Emitted(
        traced.replays.queries,
        np.bincount(rows[known & wrong[places]], minlength=n).astype(np.float64),
        np.bincount(rows[known], minlength=n).astype(np.float64),
    )


def _coverage(traced: Traced, places: Int64, wanted: int) -> float:
    """Share of the replays that get all their negatives."""
    return float((np.bincount(traced.rows[places], minlength=len(traced.replays)) >= wanted).mean())


def _first_cut(full: Float64, judged: Float64) -> int:
    """The strictest cut that fills the lists and leaves negatives that were judged: no label decides it."""
    serves = (full >= _FILLED * full.max()) & (judged >= _JUDGED * judged.max())
    return int(np.argmax(serves))


def _tell_cut(
    traced: Traced, logit: float, places: Int64, cut: Emitted, coverage: float, effects: Effects, run: float
) -> dict[str, float]:
    """The leak of a cut with its interval, and how hard and how many its negatives are."""
    low, high = interval(cut.rate, cut.size / effects.judged, run / effects.run, INTERVAL)
    numbers = {
        "cut": _chance(logit),
        "estimate": cut.rate,
        "low": low,
        "high": high,
        "log2_rank": _mean(np.log2(traced.ranks[places])),
        "gap": _mean(traced.features[places, _GAP]),
        "coverage": coverage,
    }
    return {name: float(f"{value:.4g}") for name, value in numbers.items()}


def _mean(values: Float64 | Float32) -> float:
    return float(values.mean()) if len(values) else 0.0


def _lacking(verdict: Verdict, judged: int) -> dict[str, int]:
    """How many more judged queries would certify a cut, where that is known."""
    return {} if verdict.queries_needed is None else {"queries_lacking": max(1, verdict.queries_needed - judged)}
