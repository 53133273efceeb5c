"""Which of the eligible candidates become negatives: the order in which they are taken, and how many of each kind.

Denoise asks the reranker in this order, and choose takes in it, so that what is scored is what will be taken.

A query's eligible candidates fall into three tiers by their place in its order of preference: hard, the first third of
them; medium, the second; easy, the last. The methods:

    top      in order of preference
    random   drawn: the first `pool` x n candidates, in any order with the same chance, then the next as many, and so on
    tiers    so many of each tier: of the hard the first, of the others drawn. What a tier lacks, the next easier one
             gives; what even the easy ones do not fill stays empty
    simans   drawn without replacement with p(c) ~ exp(-a (s(q,c) - s(q,d+) - b)^2) (SimANS, Zhou et al. 2022,
             arXiv 2210.11773), by Gumbel top-k; the unit of the scores is the standard deviation of the query's
             eligible ones, so that the outcome is the same under any increasing linear change of the scores

What is drawn depends on seed, query and document alone, not on what else is in a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from datagen.selection.arrays import (
    Bool,
    Float32,
    Float64,
    Int8,
    Int64,
    UInt64,
    count_before,
    index_in_row,
    starts_of,
)
from datagen.settings.choice import ChoiceMethod


class Tier(IntEnum):
    """How hard a negative is; the names are what the ledger says."""

    HARD = 0
    MEDIUM = 1
    EASY = 2

    @property
    def label(self) -> str:
        """The word in the ledger."""
        return self.name.lower()


@dataclass(frozen=True)
class ChoiceRule:
    """In what order candidates are taken, and how many."""

    method: ChoiceMethod
    needs: tuple[int, ...]
    """Negatives wanted for each query; with the method `tiers`, those of each tier."""
    pool: int = 4
    simans_a: float = 1.0
    simans_b: float = 0.0


@dataclass(frozen=True)
class Eligible:
    """The eligible candidates of some queries, query by query, in order of preference."""

    rows: Int64
    """Query of each, ascending, (n,)."""
    n_rows: int
    scores: Float32
    """Teacher score of each, (n,)."""
    anchors: Float64
    """Score of the positive of each query, (n_rows,); NaN where there is none, and its best candidate stands for it."""
    keys: UInt64
    """What `draw_keys` gives for each, (n,); not looked at by the method `top`."""


@dataclass(frozen=True)
class LineUp:
    """Candidates in the order in which they are taken, query by query."""

    places: Int64
    """Where each stands in the arrays that the line was made from, (n,)."""
    rows: Int64
    """Query of each, ascending, (n,)."""
    lanes: Int8
    """Which of the needs each can meet, (n,)."""
    tiers: Int8
    """How hard each is, (n,)."""
    needs: tuple[int, ...]
    """How many are wanted of each lane for each query."""
    n_rows: int

    def take(self, order: Int64) -> LineUp:
        """The candidates at these positions, among which the queries must ascend."""
        picked = {name: getattr(self, name)[order] for name in ("places", "rows", "lanes", "tiers")}
        return replace(self, **picked)

    def reordered(self, turns: Int64 | Float64) -> LineUp:
        """The line with each query's candidates in ascending order of their turns, (n,)."""
        return self.take(np.lexsort((turns, self.rows)))


def join_lines(lines: Sequence[LineUp]) -> LineUp:
    """One line of several of the same needs (at least one), the queries numbered on."""
    sizes = [line.n_rows for line in lines]
    shifts = np.cumsum([0, *sizes])
    rows = [line.rows + shift for line, shift in zip(lines, shifts[:-1], strict=True)]
    places, lanes, tiers = (
        np.concatenate([getattr(line, name) for line in lines]) for name in ("places", "lanes", "tiers")
    )
    return LineUp(places, np.concatenate(rows), lanes, tiers, lines[0].needs, int(shifts[-1]))


def draw_keys(seed: int, queries: UInt64, documents: UInt64) -> UInt64:
    """A random number for each pair of hashes, uniform over all 64 bits (splitmix64), (n,)."""
    with np.errstate(over="ignore"):
        return _mixed(_mixed(_mixed(queries + np.uint64(seed)) ^ documents))


def line_up(rule: ChoiceRule, eligible: Eligible) -> LineUp:
    """The eligible candidates in the order in which the rule takes them; `places` are positions in `eligible`."""
    starts = starts_of(eligible.rows, eligible.n_rows)
    index = np.arange(len(eligible.rows)) - starts[eligible.rows]
    sizes = np.diff(starts)[eligible.rows]
    tiers = (3 * index >= sizes).astype(np.int8) + (3 * index >= 2 * sizes)
    lanes = tiers if rule.method == "tiers" else np.zeros_like(tiers)
    line = LineUp(np.arange(len(index)), eligible.rows, lanes, tiers, rule.needs, eligible.n_rows)
    turns = _TURNS[rule.method]
    return line.reordered(turns(rule, eligible, index, tiers)) if turns else line


def choose_first(line: LineUp, times: int = 1) -> Bool:
    """Those that are taken: the first of each lane until the query's needs are met, (n,).

    What a lane lacks is taken from the next one.

    Args:
        line: the candidates.
        times: how many times the needs are wanted.
    """
    starts = starts_of(line.rows, line.n_rows)
    every = np.ones(len(line.rows), bool)
    wanted = quotas(line, every, times)
    chosen = np.zeros(len(line.rows), bool)
    for lane in range(len(line.needs)):
        of_lane = np.equal(line.lanes, lane) if len(line.needs) > 1 else every
        chosen |= of_lane & (count_before(of_lane, starts) < wanted[:, lane][line.rows])
    return chosen


def next_round(line: LineUp, clean: Bool, waiting: Bool, size: int, times: int = 1) -> Bool:
    """Which candidates to score next: of each query the first that wait, from the lanes that still lack some, (n,).

    Args:
        line: the candidates.
        clean: those that were scored and may be taken, (n,).
        waiting: those that have no score yet, (n,).
        size: candidates a query and round.
        times: how many times the needs are wanted.
    """
    lacking = _count(line, clean) < quotas(line, clean | waiting, times)
    open_ = waiting & lacking[line.rows, line.lanes]
    return open_ & (count_before(open_, starts_of(line.rows, line.n_rows)) < size)


def quotas(line: LineUp, usable: Bool, times: int = 1) -> Int64:
    """How many of the usable candidates are taken of each lane, (n_rows, n_lanes)."""
    found = _count(line, usable)
    missing = np.zeros(line.n_rows, np.int64)
    for lane, need in enumerate(line.needs):
        wanted = need * times + missing
        found[:, lane] = np.minimum(found[:, lane], wanted)
        missing = wanted - found[:, lane]
    return found


def _count(line: LineUp, flags: Bool) -> Int64:
    """How many flags are set of each lane, (n_rows, n_lanes)."""
    n_lanes = len(line.needs)
    places = line.rows[flags] * n_lanes + line.lanes[flags]
    return np.bincount(places, minlength=line.n_rows * n_lanes).reshape(line.n_rows, n_lanes)


def _random_turns(rule: ChoiceRule, eligible: Eligible, index: Int64, tiers: Int8) -> Float64:
    band = index // (rule.pool * sum(rule.needs))
    return band + _uniform(eligible.keys)


def _simans_turns(rule: ChoiceRule, eligible: Eligible, index: Int64, tiers: Int8) -> Float64:
    """Minus the perturbed log-probability: the first n are n draws without replacement (Gumbel top-k)."""
    rows, scores = eligible.rows, eligible.scores.astype(np.float64)
    firsts = np.flatnonzero(index == 0)
    best = np.full(eligible.n_rows, np.nan)
    best[rows[firsts]] = np.maximum.reduceat(scores, firsts) if len(firsts) else 0.0
    anchors = np.where(np.isnan(eligible.anchors), best, eligible.anchors)
    away = (scores - anchors[rows]) / _spread(scores, rows, eligible.n_rows)[rows]
    return rule.simans_a * (away - rule.simans_b) ** 2 + np.log(-np.log(_uniform(eligible.keys)))


def _tier_turns(rule: ChoiceRule, eligible: Eligible, index: Int64, tiers: Int8) -> Float64:
    """The tiers take turns in proportion to their needs, so that every beginning of the line has its share of each."""
    within = np.where(tiers == Tier.HARD, index, _uniform(eligible.keys))
    order = np.lexsort((within, tiers, eligible.rows))
    lists = eligible.rows[order] * len(Tier) + tiers[order]
    place = index_in_row(lists) + 0.5
    turns = np.empty(len(order))
    # A tier that is not asked for comes in only where another is short.
    turns[order] = place / np.maximum(rule.needs, 0.5 / (1 + len(order)))[tiers[order]]
    return turns


_Turns = Callable[[ChoiceRule, Eligible, Int64, Int8], Float64]
_TURNS: dict[ChoiceMethod, _Turns | None] = {
    "top": None,
    "random": _random_turns,
    "tiers": _tier_turns,
    "simans": _simans_turns,
}


def _spread(scores: Float64, rows: Int64, n_rows: int) -> Float64:
    """Standard deviation of each query's scores, (n_rows,); 1 where they are all the same."""
    sizes = np.maximum(np.bincount(rows, minlength=n_rows), 1)
    middle = np.bincount(rows, scores, n_rows) / sizes
    variance = np.bincount(rows, (scores - middle[rows]) ** 2, n_rows) / sizes
    return np.where(variance > 0, np.sqrt(variance), 1.0)


def _uniform(keys: UInt64) -> Float64:
    """Numbers above 0 and below 1."""
    return ((keys >> np.uint64(12)).astype(np.float64) + 0.5) / 2**52


def _mixed(numbers: UInt64) -> UInt64:
    """The output function of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
