"""Decisions on candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datagen.selection.arrays import Lists
from datagen.selection.closure import build_closure
from datagen.selection.fields import FieldRule
from datagen.selection.near import NearTexts
from datagen.selection.select import (
    Candidates,
    Reason,
    Surroundings,
    choose_top,
    eligible_per_query,
    from_search,
    judge,
)

NONE = Lists.from_pairs(np.empty(0, np.int64), np.empty(0, np.int64), 1)


def _candidates() -> Candidates:
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]], np.float32)
    return from_search(scores, np.array([[0, 1, 2, 3, 4, 5, 6]]), np.array([0]))


def test_from_search_numbers_ranks_from_one() -> None:
    found = from_search(np.ones((2, 3), np.float32), np.arange(6).reshape(2, 3), np.array([4, 7]))
    assert found.rows.tolist() == [4, 4, 4, 7, 7, 7]
    assert found.ranks.tolist() == [1, 2, 3, 1, 2, 3]


def test_judge_gives_each_candidate_the_first_reason_that_holds() -> None:
    # Document 0: positive. 1: above the limit and near. 2: above the limit. 3: near. 4: free. 5: text of 4. 6: query.
    closure = build_closure((np.array([0]), np.array([0])), np.array([16]), np.array([10, 11, 12, 13, 14, 14, 16]))
    near = Lists.from_pairs(np.array([0, 0, 0]), np.array([0, 1, 3]), 1)
    reasons = judge(_candidates(), closure, Surroundings(near, NONE), _candidates().scores > 0.65)
    assert [Reason(code) for code in reasons] == [
        Reason.KNOWN_POSITIVE,
        Reason.NEAR_POSITIVE,
        Reason.MARGIN,
        Reason.NEAR_POSITIVE,
        Reason.SURPLUS,
        Reason.REPEATED_TEXT,
        Reason.QUERY_TEXT,
    ]
    assert eligible_per_query(_candidates().rows, reasons, 1).tolist() == [1]


def test_choose_top_takes_the_first_eligible_of_each_query() -> None:
    rows = np.array([0, 0, 0, 1, 1, 3])
    eligible = np.array([False, True, True, True, True, True])
    assert choose_top(rows, eligible, 1, 4).tolist() == [False, True, False, True, False, True]
    assert not choose_top(rows, eligible, 0, 4).any()


def test_keep_and_labels() -> None:
    kept = _candidates().take(np.array([True] + [False] * 5 + [True]))
    assert kept.documents.tolist() == [0, 6]
    assert Reason.NEAR_POSITIVE.label == "near_positive"


def test_reasons_of_the_closure_come_before_those_of_the_margin() -> None:
    # 0: positive. 1: kin and near. 2: near text and copy. 3: copy and like a positive. 4: like one and unlike another.
    # 5: unlike and near. 6: above the limit.
    closure = build_closure(
        (np.array([0]), np.array([0])), np.array([99]), np.arange(7), kin=(np.array([0]), np.array([1]))
    )
    signatures = np.random.default_rng(0).integers(0, 1 << 16, (8, 64)).astype(np.uint16)
    signatures[2] = signatures[1] = signatures[0]
    address = FieldRule(np.array([5, -1, -1, 5, 5, -1, -1]), Lists.from_pairs(np.array([0]), np.array([5]), 1))
    category = FieldRule(np.array([1, 1, 1, 1, 2, 2, 1]), Lists.from_pairs(np.array([0]), np.array([1]), 1))
    closure = replace(
        closure,
        near=NearTexts(lambda numbers: signatures[numbers], Lists(np.array([0, 1]), np.array([0])), 0.8),
        unlike_fields=(address,),
        same_fields=(category,),
    )
    near, copies = (Lists(np.array([0, len(found)]), np.array(found)) for found in ([1, 5], [0, 2, 3]))
    reasons = judge(_candidates(), closure, Surroundings(near, copies), _candidates().scores > 0)
    assert [Reason(code) for code in reasons] == [
        Reason.KNOWN_POSITIVE,
        Reason.SAME_DOCUMENT,
        Reason.NEAR_TEXT,
        Reason.NEAR_VECTOR,
        Reason.EXCLUDED_FIELD,
        Reason.OTHER_FIELD,
        Reason.MARGIN,
    ]
