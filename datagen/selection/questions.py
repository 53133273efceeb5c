"""Which candidates are worth a question to a judge: pure functions, used by `judging.docket`.

An answer is worth most where it changes a decision: for candidates that would be chosen, or were set aside, and that
lie near the cut between the two. The distance from the cut is measured in spreads (or logits of a probability), so
that the order is the same when scores become a*s + b with a > 0. Questions are spread over bands of that distance and
over queries, and a longer list of questions always begins with the shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from datagen.selection.arrays import Bool, Float64, Int64, UInt64, index_in_row, robust_spread

BAND_EDGES = (-2.0, -0.5, 0.0, 0.5, 2.0)
"""Distances from the cut at which one band ends and the next begins."""

_FAR = 9.0
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Askable:
    """Candidates that a judge may be asked about."""

    rows: Int64
    """Query of each, (n,)."""
    distances: Float64
    """How far each lies above the cut, in spreads; negative below it, (n,)."""
    stakes: Float64
    """How much of a decision hangs on each, 0 to 1, (n,)."""
    keys: UInt64
    """Random numbers that settle ties, (n,)."""

    @property
    def values(self) -> Float64:
        """What an answer is worth: the stake, less with the distance from the cut, 0 to 1, (n,)."""
        return self.stakes * np.exp(-np.abs(self.distances))

    def take(self, places: Int64) -> Askable:
        """Those at these places."""
        return Askable(self.rows[places], self.distances[places], self.stakes[places], self.keys[places])


class Ranked(NamedTuple):
    """Candidates in the order in which they are asked about."""

    places: Int64
    """Where each stands among those given, (n,)."""
    questions: Int64
    """The number of the question that each belongs to, ascending from 0, (n,)."""


def score_distances(scores: Float64, limits: Float64, spreads: Float64) -> Float64:
    """How many spreads each score lies above its limit, (n,); NaN where there is no limit or no spread."""
    usable = np.isfinite(limits) & (spreads > 0)
    return np.where(usable, (scores - np.where(usable, limits, 0.0)) / np.where(usable, spreads, 1.0), np.nan)


def logit_distances(probabilities: Float64, cut: float) -> Float64:
    """How far each probability lies above a cut, as a difference of logits, (n,); NaN stays NaN."""
    return _logits(probabilities) - _logits(np.asarray(cut, np.float64))


def ledger_distances(scores: Float64, rows: Int64, refused: Bool, n_rows: int) -> Float64:
    """How far second scores lie above the cut of their query that the decisions of a ledger show, (n,).

    The cut is the middle between the highest score that was let through and the lowest that was refused, or the one of
    them that there is. The unit is the robust spread of all scores.

    Args:
        scores: of the candidates that were scored; NaN for the others, (n,).
        rows: query of each.
        refused: whether each was refused for its score.
        n_rows: how many queries there are.
    """
    known = ~np.isnan(scores)
    if not known.any():
        return np.full(len(scores), np.nan)
    highest, lowest = np.full(n_rows, -np.inf), np.full(n_rows, np.inf)
    through, out = known & ~refused, known & refused
    np.maximum.at(highest, rows[through], scores[through])
    np.minimum.at(lowest, rows[out], scores[out])
    highest = np.where(np.isfinite(highest), highest, lowest)
    cut = (highest + np.where(np.isfinite(lowest), lowest, highest)) / 2
    return score_distances(scores, cut[rows], np.full(len(scores), float(robust_spread(scores[known]))))


def joint_distances(refused: Bool, *distances: Float64) -> Float64:
    """The distance from the cut of several rules together: the highest, on the side on which each candidate stands.

    What was refused by yet another rule counts as far above the cut as it lies below. Without a known distance what was
    refused counts as at the cut, what was let through as far below.
    """
    highest = np.fmax.reduce(distances)
    side = np.where(refused, np.abs(highest), np.minimum(highest, 0.0))
    return np.where(np.isnan(side), np.where(refused, 0.0, -_FAR), side)


def best_of_each(askable: Askable, most: int) -> Int64:
    """Places of the candidates that are worth most, at most so many of a query on either side of the cut, in order."""
    useful = np.flatnonzero(askable.values > 0)
    part = askable.take(useful)
    sides = 2 * part.rows + (part.distances > 0)
    order = np.lexsort((part.keys, -part.values, sides))
    return np.sort(useful[order[index_in_row(sides[order]) < most]])


def rank_questions(askable: Askable, size: int = 1) -> Ranked:
    """All candidates in the order in which they are asked about, and in which question.

    The bands take turns in proportion to what their candidates are worth together; within a band each query has its
    turn before one has its second, and the worthier goes first.

    Args:
        askable: the candidates.
        size: candidates of one query in one question; the next ones of a query join its question.
    """
    order = _order(askable)
    rows = askable.rows[order]
    of_query = np.argsort(rows, kind="stable")
    number = np.empty(len(order), np.int64)
    number[of_query] = index_in_row(rows[of_query]) // size
    _, first, question = np.unique(rows * (len(order) + 1) + number, return_index=True, return_inverse=True)
    turns = first[question]
    joined = np.argsort(turns, kind="stable")
    return Ranked(order[joined], np.unique(turns[joined], return_inverse=True)[1].astype(np.int64))


def count_affordable(costs: Int64, budget: int) -> int:
    """How many questions, from the first, a budget pays for; `costs` in answers, (n_questions,)."""
    return int(np.searchsorted(np.cumsum(costs), budget, side="right"))


def _order(askable: Askable) -> Int64:
    values, bands = askable.values, np.digitize(askable.distances, BAND_EDGES)
    within = np.lexsort((askable.keys, -values, bands, askable.rows))
    turn = np.empty(len(values), np.int64)
    turn[within] = index_in_row(askable.rows[within] * (len(BAND_EDGES) + 1) + bands[within])
    of_band = np.lexsort((askable.keys, -values, turn, bands))
    worth = np.bincount(bands, values, len(BAND_EDGES) + 1)
    times = (index_in_row(bands[of_band]) + 0.5) / np.maximum(worth[bands[of_band]], np.finfo(np.float64).tiny)
    return of_band[np.argsort(times, kind="stable")]


def _logits(probabilities: Float64) -> Float64:
    inside = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
    return np.log(inside) - np.log1p(-inside)
