from __future__ import annotations

import numpy as np
import pytest

from datagen.selection.arrays import Float32, Int64
from datagen.selection.choice import LineUp
from datagen.selection.redecide import Ledger, SearchRule, let_through, made_ready, within_search


def _ledger(scores: list[float], ranks: list[int], rows: list[int] | None = None) -> Ledger:
    n = len(scores)
    numbered = np.asarray(rows or [0] * n)
    scored: Float32 = np.asarray(scores, np.float32)
    listed: Int64 = np.asarray(ranks)
    none = np.zeros(n, bool)
    return Ledger(numbered, int(numbered[-1]) + 1, scored, listed, np.equal(listed, 0), ~none, none, 0.1 * numbered)


def test_a_candidate_at_the_limit_passes_and_one_above_does_not() -> None:
    ledger = _ledger([0.5, 0.25, 0.125], [1, 2, 3])
    assert let_through(ledger, np.array([0.25]), near_too=True).tolist() == [False, True, True]


def test_closed_candidates_stay_closed_and_near_ones_follow_the_policy() -> None:
    plain = _ledger([0.3, 0.2, 0.1], [1, 2, 3])
    ledger = Ledger(**{**vars(plain), "open": np.array([False, True, True]), "near": np.array([False, True, False])})
    assert let_through(ledger, np.array([np.inf]), near_too=True).tolist() == [False, True, True]
    assert let_through(ledger, np.array([np.inf]), near_too=False).tolist() == [False, False, True]


def test_a_search_ends_where_enough_are_eligible() -> None:
    ledger = _ledger([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 2, 3, 4, 5, 6])
    eligible = np.array([False, True, False, True, True, True])
    first = np.array([2])
    found, deeper = within_search(ledger, eligible, SearchRule(first, 16, 1))
    assert (found.tolist(), deeper.tolist()) == ([False, True, False, False, False, False], [False])
    found, deeper = within_search(ledger, eligible, SearchRule(first, 16, 2))
    assert (found.tolist(), deeper.tolist()) == ([False, True, False, True, False, False], [False])


@pytest.mark.parametrize(
    ("last", "goes_on"), [pytest.param(16, True, id="could-go-on"), pytest.param(6, False, id="has-seen-all")]
)
def test_a_query_that_lacks_candidates_goes_on_unless_it_has_seen_all(last: int, goes_on: bool) -> None:
    ledger = _ledger([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 2, 3, 4, 5, 6])
    eligible = np.array([False, True, False, True, True, True])
    found, deeper = within_search(ledger, eligible, SearchRule(np.array([2]), last, 5))
    assert found.tolist() == eligible.tolist()
    assert deeper.tolist() == [goes_on]


def test_what_other_sources_found_stays_but_does_not_end_a_search() -> None:
    ledger = _ledger([0.9, 0.8, 0.7, 0.6, 0.5], [0, 1, 2, 3, 1], rows=[0, 0, 0, 0, 1])
    found, deeper = within_search(ledger, np.ones(5, bool), SearchRule(np.array([1, 1]), 3, 2))
    assert found.tolist() == [True, True, True, False, True]
    assert deeper.tolist() == [False, True]


def test_a_ledger_without_candidates_is_decided() -> None:
    none = _empty()
    found, deeper = within_search(none, none.open, SearchRule(np.empty(0, np.int64), 5, 1))
    assert (len(found), len(deeper)) == (0, 0)


def _empty() -> Ledger:
    flags, numbers = np.empty(0, bool), np.empty(0, np.int64)
    return Ledger(numbers, 0, np.empty(0, np.float32), numbers, flags, flags, flags, np.empty(0))


def test_unseen_candidates_are_made_ready_as_far_as_the_reranker_would_be_asked() -> None:
    rows = np.array([0, 0, 0, 0, 0, 1, 1])
    codes = np.zeros(7, np.int8)
    line = LineUp(np.arange(7), rows, codes, codes, (2,), 2)
    doubted = np.array([True, False, False, False, False, False, False])
    scored = np.array([True, False, False, False, True, True, False])
    assert made_ready(line, doubted, scored, 1).tolist() == [False, True, True, False, True, True, True]
    assert made_ready(line, doubted, scored, 2).tolist() == [False, True, True, True, True, True, True]
