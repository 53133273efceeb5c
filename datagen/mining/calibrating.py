"""From judged replays to the model and the cut that keep a promise: the work of the stage `calibrate`.

The real miner runs on the replays without a margin, as deep as a run may go; which of what it finds would be a negative
under each cut is told by the choice that the run itself makes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from datagen.mining.judgements import RERANKER
from datagen.mining.miner import Found
from datagen.mining.opening import OpenMining
from datagen.mining.replays import Replays
from datagen.progress import Progress
from datagen.selection.arrays import Bool, Float32, Float64, Int64, count_before, quantile_per_row, starts_of
from datagen.selection.choice import ChoiceRule, Eligible, choose_first, draw_keys, line_up
from datagen.selection.closure import Closure
from datagen.selection.doubt import FEATURES, DoubtModel, DoubtRule, least_doubted
from datagen.selection.refit import cross_fit
from datagen.selection.risk import INTERVAL, Effects, Emitted, Verdict, choose_cut, interval, measure_effects
from datagen.selection.select import Reason
from datagen.settings.calibration import CalibrationConfig

GRID = np.arange(-10.0, 0.01, 0.25)
"""Log odds of the cuts that are tried, strict to loose: P(false negative) from 0.00005 to 0.5."""
FITTED = 400
"""Candidates of a replay that the model is fitted on: those that some cut may let through."""
_FILLED, _JUDGED = 0.5, 0.5
"""What the first cut leaves: replays with all negatives, and judged negatives, as shares of what the loosest leaves."""
_STRICT = 0.005
"""The strictest cut that replays are searched deep enough for, as a part of the promised rate: a cut at the rate itself
would about keep it, were the shipped model true of the corpus; where it is far too low, stricter ones are needed."""
_BLOCK = 256
"""Replays mined together."""
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

    def take(self, places: Int64) -> Traced:
        """The candidates at these places."""
        return replace(
            self,
            rows=self.rows[places],
            documents=self.documents[places],
            ranks=self.ranks[places],
            scores=self.scores[places],
            features=self.features[places],
        )

    def emitted(self, chooser: Chooser, logits: Float64, cut: float) -> Int64:
        """Places of the candidates that become negatives under a cut of their log odds."""
        allowed = logits <= cut
        lacking = np.bincount(self.rows[allowed], minlength=len(self.replays)) < sum(chooser.rule.needs)
        short = np.flatnonzero(lacking[self.rows])
        rule = DoubtRule(cut, float(logit(chooser.ceiling)), sum(chooser.rule.needs))
        every = np.ones(len(short), bool)
        allowed[short] |= least_doubted(rule, self.rows[short], len(self.replays), allowed[short], every, logits[short])
        places = np.flatnonzero(allowed)
        rows, documents = self.rows[places], self.documents[places]
        keys = draw_keys(chooser.seed, rows.astype(np.uint64), documents.astype(np.uint64))
        line = line_up(chooser.rule, Eligible(rows, len(self.replays), self.scores[places], self.anchors, keys))
        return places[line.places[choose_first(line)]]


@dataclass(frozen=True)
class Chooser:
    """How the run makes negatives of what the cut lets through."""

    rule: ChoiceRule
    seed: int
    ceiling: float
    """P(false negative) up to which a query that the cut leaves short takes its least doubtful candidates."""


@dataclass(frozen=True)
class Calibration:
    """What the stage `mine` decides with, and what the report tells of it."""

    model: DoubtModel
    counts: dict[str, Any]  # Any: JSON numbers, texts and small tables of them
    """The `cut`, the highest P(false negative) of a negative by that model, and what it is known to do."""
    places: Int64
    """Traced candidates that some cut makes a negative."""
    chances: Float64
    """Their P(false negative), by a model that has not seen their query."""


def trace(opened: OpenMining, replays: Replays, closure: Closure, promise: float, progress: Progress) -> Traced:
    """Mine all replays as deep as a cut needs that is far stricter than any that a promise calls for."""
    rule = DoubtRule(promise * _STRICT, promise * _STRICT, 0)
    deep = replace(opened.miner, rule=rule, wanted=opened.miner.config.wanted)
    parts = []
    with progress.step("replay judged queries", len(replays), "replays") as advance:
        for begin in range(0, len(replays), _BLOCK):
            numbers = np.arange(begin, min(begin + _BLOCK, len(replays)))
            found = replace(opened, miner=deep).mine(replays.queries[numbers], closure.take(numbers))
            parts.append(_kept(found, begin))
            advance(len(numbers))
    rows, documents, ranks, scores, features, anchors = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Traced(replays, rows, documents, ranks, scores, features, anchors)


def _kept(found: Found, begin: int) -> tuple[Int64, Int64, Int64, Float32, Float32, Float64]:
    """The candidates of a block of replays that nothing but a cut is against, as `Traced` has them."""
    kept = np.flatnonzero(np.isin(found.reasons, (Reason.SURPLUS, Reason.MARGIN)))
    own = found.candidates.take(kept)
    anchors = quantile_per_row(found.positives.scores, found.positives.starts, 0.5)
    return own.rows + begin, own.documents, own.ranks.astype(np.int64), own.scores, found.features[kept], anchors


def calibrate(
    traced: Traced, prior: DoubtModel, chooser: Chooser, config: CalibrationConfig, further: int
) -> Calibration:
    """The model of this corpus and the loosest cut that keeps the promise.

    Args:
        traced: what the replays found.
        prior: the shipped model.
        chooser: how the run chooses its negatives.
        config: the promise.
        further: queries of the run that were not judged.
    """
    queries = traced.replays.queries[traced.rows]
    model, logits = cross_fit(prior, traced.features, traced.wrong(), _weights(traced), queries)
    tried = [_try_cut(traced, chooser, logits, odds) for odds in GRID]
    tried = tried[_first_cut(tried) :]
    effects = measure_effects([cut.emitted for cut in tried])
    run, promise = further * sum(chooser.rule.needs), config.max_false_negatives or 0.0
    verdict = choose_cut([cut.emitted for cut in tried], effects, promise, config.confidence, run)
    curve = [_tell_cut(traced, cut, sum(chooser.rule.needs), effects, run) for cut in tried]
    chosen = tried[verdict.cut].emitted
    n_queries = len(np.unique(traced.replays.queries))
    counts = {
        "promise": promise,
        "confidence": config.confidence,
        "certified": int(verdict.certified),
        "confidence_reached": round(verdict.confidence, 4),
        **curve[verdict.cut],
        "interval": INTERVAL,
        "evidence": traced.replays.source,
        "queries_judged": n_queries,
        "replays": len(traced.replays),
        "negatives_judged": round(chosen.size / traced.replays.found),
        "negatives_effective": round(chosen.size / effects.judged),
        **_lacking(verdict, n_queries),
        "refitted": int(model is not prior),
        "curve": curve,
    }
    places = np.unique(np.concatenate([cut.places for cut in tried]))
    return Calibration(model, counts, places, expit(logits[places]))


@dataclass(frozen=True)
class _Tried:
    """What one cut gives."""

    odds: float
    places: Int64
    emitted: Emitted
    filled: float
    """Share of the replays to which the cut alone leaves all their negatives."""


def _weights(traced: Traced) -> Float64:
    """How much each candidate counts for the model: judged ones of the first ranks, each query's replays as one.

    Nothing where the reranker has judged: a model that learned from it would only say what it says.
    """
    if traced.replays.source == RERANKER:
        return np.zeros(len(traced.rows))
    times = np.bincount(traced.replays.queries)[traced.replays.queries]
    first = count_before(np.ones(len(traced.rows), bool), starts_of(traced.rows, len(traced.replays))) < FITTED
    return np.where(traced.judged() & first, 1 / times[traced.rows], 0.0)


def _try_cut(traced: Traced, chooser: Chooser, logits: Float64, odds: float) -> _Tried:
    n = len(traced.replays)
    places = traced.emitted(chooser, logits, odds)
    negatives = traced.take(places)
    judged = negatives.judged()
    wrong = np.bincount(negatives.rows[judged & negatives.wrong()], minlength=n).astype(np.float64)
    known = np.bincount(negatives.rows[judged], minlength=n) * traced.replays.found  # so much is seen of what is wrong
    wrong = np.minimum(wrong, known)
    filled = _coverage(traced, places[logits[places] <= odds], sum(chooser.rule.needs))
    return _Tried(odds, places, Emitted(traced.replays.queries, wrong, np.asarray(known, np.float64)), filled)


def _coverage(traced: Traced, places: Int64, wanted: int) -> float:
    """Share of the replays that get all their negatives."""
    return float((np.bincount(traced.rows[places], minlength=len(traced.replays)) >= wanted).mean())


def _first_cut(tried: list[_Tried]) -> int:
    """The strictest cut that fills most lists itself and leaves negatives that were judged: no label decides it."""
    filled, judged = (
        np.asarray(column) for column in zip(*((cut.filled, cut.emitted.size) for cut in tried), strict=True)
    )
    return int(np.argmax((filled >= _FILLED * filled.max()) & (judged >= _JUDGED * judged.max())))


def _tell_cut(traced: Traced, cut: _Tried, wanted: int, effects: Effects, run: float) -> dict[str, float]:
    """The leak of a cut with its interval, and how hard and how many its negatives are."""
    emitted = cut.emitted
    low, high = interval(emitted.rate, emitted.size / effects.judged, run / effects.run, INTERVAL)
    numbers = {
        "cut": float(expit(cut.odds)),
        "estimate": emitted.rate,
        "low": low,
        "high": high,
        "log2_rank": _mean(np.log2(traced.ranks[cut.places])),
        "gap": _mean(traced.features[cut.places, _GAP]),
        "coverage": _coverage(traced, cut.places, wanted),
    }
    return {name: float(f"{value:.4g}") for name, value in numbers.items()}


def _mean(values: Float64 | Float32) -> float:
    return float(values.mean()) if len(values) else 0.0


def _lacking(verdict: Verdict, judged: int) -> dict[str, int]:
    """How many more judged queries would certify a cut, where that is known."""
    return {} if verdict.queries_needed is None else {"queries_lacking": max(1, verdict.queries_needed - judged)}
