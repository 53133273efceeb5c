"""What grades make of a candidate."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.selection.verdicts import (
    JudgeRule,
    Outcome,
    Verdict,
    decide_outcomes,
    find_agreement,
    find_replaced,
    settle_verdicts,
)

RULE = JudgeRule(min_grade=2, promote_grade=3, clear_doubts=True, promote=True)
NO = float("nan")


@pytest.mark.parametrize(
    ("grades", "asked", "verdict"),
    [
        pytest.param([NO], [False], Verdict.NOT_ASKED, id="not-asked"),
        pytest.param([NO], [True], Verdict.FAILED, id="no-answer"),
        pytest.param([1], [True], Verdict.CLEAR, id="below"),
        pytest.param([2], [True], Verdict.RELEVANT, id="at-the-grade"),
        pytest.param([1, NO], [True, False], Verdict.CLEAR, id="second-not-asked"),
        pytest.param([1, NO], [True, True], Verdict.FAILED, id="second-fails-on-a-clear-one"),
        pytest.param([3, NO], [True, True], Verdict.FAILED, id="second-fails-on-a-relevant-one"),
        pytest.param([0, 3], [True, True], Verdict.SPLIT, id="they-disagree"),
        pytest.param([2, 3], [True, True], Verdict.RELEVANT, id="both-for"),
        pytest.param([0, 1], [True, True], Verdict.CLEAR, id="both-against"),
    ],
)
def test_verdict_of_the_judges(grades: list[float], asked: list[bool], verdict: Verdict) -> None:
    found = settle_verdicts(RULE, np.array([grades], float), np.array([asked]))
    assert found.tolist() == [verdict]


@pytest.mark.parametrize(
    ("verdict", "doubted", "agreed", "outcome"),
    [
        (Verdict.NOT_ASKED, False, True, Outcome.KEPT),
        (Verdict.RELEVANT, False, False, Outcome.RELEVANT),
        (Verdict.RELEVANT, True, True, Outcome.PROMOTED),
        (Verdict.CLEAR, False, False, Outcome.KEPT),
        (Verdict.CLEAR, True, False, Outcome.CLEARED),
        (Verdict.SPLIT, True, False, Outcome.SPLIT),
        (Verdict.FAILED, False, False, Outcome.FAILED),
        (Verdict.FAILED, True, False, Outcome.KEPT),
    ],
)
def test_outcome_of_a_verdict(verdict: Verdict, doubted: bool, agreed: bool, outcome: Outcome) -> None:
    found = decide_outcomes(RULE, np.array([verdict], np.int8), np.array([doubted]), np.array([agreed]))
    assert found.tolist() == [outcome]


def test_clearing_and_promotion_can_be_switched_off() -> None:
    rule = JudgeRule(2, 3, clear_doubts=False, promote=False)
    verdicts = np.array([Verdict.CLEAR, Verdict.RELEVANT], np.int8)
    found = decide_outcomes(rule, verdicts, np.array([True, True]), np.array([True, True]))
    assert found.tolist() == [Outcome.KEPT, Outcome.RELEVANT]


@pytest.mark.parametrize(
    ("grades", "score", "positive", "agreed"),
    [
        pytest.param([3, NO], 0.9, 0.8, True, id="judge-and-reranker"),
        pytest.param([3, NO], 0.7, 0.8, False, id="reranker-below"),
        pytest.param([3, NO], NO, 0.8, False, id="reranker-silent"),
        pytest.param([3, NO], 0.9, NO, False, id="no-positive"),
        pytest.param([2, NO], 0.9, 0.8, False, id="grade-too-low"),
        pytest.param([3, 3], NO, NO, True, id="two-judges"),
        pytest.param([3, 2], 0.9, 0.8, False, id="one-judge-against"),
        pytest.param([NO, NO], 0.9, 0.8, False, id="reranker-alone"),
    ],
)
def test_a_promotion_needs_two_that_agree(grades: list[float], score: float, positive: float, agreed: bool) -> None:
    found = find_agreement(RULE, np.array([grades]), np.array([score]), np.array([positive]))
    assert found.tolist() == [agreed]


def test_a_positive_gives_way_only_to_a_promoted_passage_of_its_own_query() -> None:
    rows = np.array([0, 0, 1, 1, 2, 2])
    verdicts = np.array([Verdict.CLEAR, Verdict.RELEVANT] * 3, np.int8)
    outcomes = np.array([0, Outcome.PROMOTED, 0, Outcome.RELEVANT, 0, Outcome.PROMOTED], np.int8)
    seeds = np.array([True, False, True, False, False, False])
    assert find_replaced(rows, verdicts, outcomes, seeds).tolist() == [True, False, False, False, False, False]
    liked = np.array([Verdict.RELEVANT] * 6, np.int8)
    assert not find_replaced(rows, liked, outcomes, seeds).any()
