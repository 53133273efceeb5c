"""What another margin would have made of a ledger: which candidates it lets through, as far as the search went.

Closure does not change. The search does: with another margin it would end where that leaves a query enough
candidates, which is played again here on what was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Bool, Float32, Float64, Int64, count_per_row, starts_of
from datagen.selection.choice import LineUp, choose_first
from datagen.selection.doubt import DoubtRule, doubted, least_doubted


@dataclass(frozen=True)
class Ledger:
    """The candidates of a whole ledger, query by query, in its order."""

    rows: Int64
    """Query of each, ascending, (n,)."""
    n_rows: int
    scores: Float32
    """Teacher score of each, (n,)."""
    ranks: Int64
    """Place of each in what the run's own teacher found, from 1; 0 where only others found it, (n,)."""
    elsewhere: Bool
    """Whether another source than the run's own teacher found each, (n,)."""
    open: Bool
    """Whether nothing is against each that a margin, or a reranker, could take back, (n,)."""
    near: Bool
    """Whether each is set aside as one of the documents nearest to a positive, (n,)."""
    doubts: Float64
    """P(false negative) of each; NaN where it is not known, (n,)."""


@dataclass(frozen=True)
class SearchRule:
    """How deep each query is searched."""

    first: Int64
    """Documents looked at first, (n_rows,)."""
    last: int
    """Documents looked at at most."""
    wanted: int
    """Candidates without a reason against them after which a search ends."""


def let_through(ledger: Ledger, limits: Float64, near_too: bool) -> Bool:
    """Candidates that a margin leaves eligible, whatever a reranker says of them, (n,).

    Args:
        ledger: the candidates.
        limits: highest teacher score of a negative of each query, (n_rows,).
        near_too: whether the documents nearest to a positive may be eligible, as for all policies but `spread`.
    """
    below = ledger.scores.astype(np.float64) <= limits[ledger.rows]
    return ledger.open & below & (near_too | ~ledger.near)


def let_through_doubted(ledger: Ledger, rule: DoubtRule) -> Bool:
    """Candidates that the learned margin leaves eligible, whatever a reranker says of them, (n,)."""
    return np.asarray(ledger.open & ~doubted(rule, ledger.doubts), bool)


def serve_short(ledger: Ledger, eligible: Bool, deeper: Bool, rule: DoubtRule) -> Bool:
    """The eligible candidates with the least doubtful ones of queries that are short and whose search has ended, (n,).

    Args:
        ledger: the candidates.
        eligible: what `within_search` left, (n,).
        deeper: queries whose search would go on, (n_rows,).
        rule: the cut and the ceiling.
    """
    open_ = ledger.open & ~deeper[ledger.rows]
    return eligible | least_doubted(rule, ledger.rows, ledger.n_rows, eligible, open_, ledger.doubts)


def within_search(ledger: Ledger, eligible: Bool, rule: SearchRule) -> tuple[Bool, Bool]:
    """The eligible candidates that the search would have found, (n,), and the queries it would follow on, (n_rows,).

    A query is searched at first as deep as the rule says, then twice as deep again and again until enough are eligible.
    What lies deeper than the run has looked is not known.
    """
    starts = starts_of(ledger.rows, ledger.n_rows)
    seen = np.zeros(ledger.n_rows, np.int64)
    np.maximum.at(seen, ledger.rows, ledger.ranks)
    depths = rule.first
    while True:
        found = (ledger.ranks > 0) & (ledger.ranks <= depths[ledger.rows])
        lacking = count_per_row(eligible & found, starts) < rule.wanted
        deeper = lacking & (depths < seen)
        if not deeper.any():
            return eligible & (found | ledger.elsewhere), lacking & (seen < rule.last)
        depths = np.where(deeper, np.minimum(depths * 2, rule.last), depths)


def made_ready(line: LineUp, doubted: Bool, scored: Bool, times: int) -> Bool:
    """Candidates of a line that may be taken where a reranker has a word, (n,).

    These are the ones that it has scored and does not doubt, and those that it would be asked for in addition, which
    are taken to be clean.

    Args:
        line: the eligible candidates.
        doubted: those that it sets aside, (n,).
        scored: those that it has seen, (n,).
        times: how many times the needs are made ready.
    """
    clean = np.flatnonzero(~doubted)
    asked = np.zeros(len(doubted), bool)
    asked[clean] = choose_first(line.take(clean), times)
    return ~doubted & (scored | asked)
