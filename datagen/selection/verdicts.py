"""What the grades of one or two judges make of a candidate: negative, ignored or positive.

A judge fails closed: without a valid answer a candidate that would have been a negative is ignored. A promotion needs
two that agree: two judges, or a judge and the reranker.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from datagen.selection.arrays import Bool, Float64, Int8, Int64


class Verdict(IntEnum):
    """What the judges say of a candidate together."""

    NOT_ASKED = 0
    FAILED = 1
    """One that was asked gave no valid answer."""
    SPLIT = 2
    """One finds it relevant, the other does not."""
    CLEAR = 3
    """All find it not relevant."""
    RELEVANT = 4


class Outcome(IntEnum):
    """What becomes of a candidate."""

    KEPT = 0
    """Nothing changes."""
    FAILED = 1
    SPLIT = 2
    RELEVANT = 3
    CLEARED = 4
    """It may be a negative after all."""
    PROMOTED = 5
    """It becomes a positive."""


@dataclass(frozen=True)
class JudgeRule:
    """The numbers of the decision."""

    min_grade: int
    """Grade from which a candidate is relevant."""
    promote_grade: int
    """Grade from which a judge is for a promotion."""
    clear_doubts: bool
    promote: bool


def settle_verdicts(rule: JudgeRule, grades: Float64, asked: Bool) -> Int8:
    """The verdict on each candidate, (n,), codes of `Verdict`.

    Args:
        rule: the numbers of the decision.
        grades: of each judge, NaN where it gave no valid one, (n, n_judges).
        asked: whether each judge was asked, (n, n_judges).
    """
    valid = ~np.isnan(grades)
    for_it = (valid & (grades >= rule.min_grade)).any(axis=1)
    against = (valid & (grades < rule.min_grade)).any(axis=1)
    failed = (asked & ~valid).any(axis=1)
    chosen = [~asked.any(axis=1), for_it & against, failed, for_it]
    codes = [Verdict.NOT_ASKED, Verdict.SPLIT, Verdict.FAILED, Verdict.RELEVANT]
    return np.select(chosen, codes, Verdict.CLEAR).astype(np.int8)


def decide_outcomes(rule: JudgeRule, verdicts: Int8, doubted: Bool, two_agree: Bool) -> Int8:
    """What becomes of each candidate, (n,), codes of `Outcome`.

    Args:
        rule: the numbers of the decision.
        verdicts: codes of `Verdict`.
        doubted: whether margin or reranker had set each aside; without a valid answer it stays so.
        two_agree: whether two scorers put each with the positives.
    """
    relevant, failed = verdicts == Verdict.RELEVANT, verdicts == Verdict.FAILED
    cases = {
        Outcome.PROMOTED: relevant & two_agree & rule.promote,
        Outcome.RELEVANT: relevant,
        Outcome.SPLIT: verdicts == Verdict.SPLIT,
        Outcome.FAILED: failed & ~doubted,
        Outcome.CLEARED: (verdicts == Verdict.CLEAR) & doubted & rule.clear_doubts,
    }
    return np.select(list(cases.values()), list(cases), Outcome.KEPT).astype(np.int8)


def find_agreement(rule: JudgeRule, grades: Float64, reranker_scores: Float64, positive_scores: Float64) -> Bool:
    """Whether two scorers put each candidate with the positives, (n,).

    A judge does with a grade from `promote_grade`; the reranker with a score from that of the query's median positive.
    No judge may have given a lower grade.

    Args:
        rule: the numbers of the decision.
        grades: of each judge, NaN where there is none, (n, n_judges).
        reranker_scores: of each candidate, NaN where there is none, (n,).
        positive_scores: the reranker's for the median positive of each candidate's query, NaN where there is none.
    """
    judges = (grades >= rule.promote_grade).sum(axis=1)
    against = (grades < rule.promote_grade).any(axis=1)
    agreed: Bool = ~against & (judges >= 1) & (judges + (reranker_scores >= positive_scores) >= 2)
    return agreed


def find_replaced(rows: Int64, verdicts: Int8, outcomes: Int8, seeds: Bool) -> Bool:
    """Positives of generated queries that give way to a promoted passage, (n,).

    Args:
        rows: query of each row of a ledger.
        verdicts: on each.
        outcomes: what becomes of each.
        seeds: the positives that may give way.
    """
    promoted = np.isin(rows, rows[outcomes == Outcome.PROMOTED])
    replaced: Bool = seeds & promoted & (verdicts == Verdict.CLEAR)
    return replaced
