"""Hubs: the cap over all queries at once, how they are measured, CSLS."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection.arrays import Bool, Int64, UInt64
from datagen.selection.choice import ChoiceRule, Eligible, LineUp, choose_first, draw_keys, line_up
from datagen.selection.hubs import choose_within, claims, mean_of_nearest, measure_hubs

Case = tuple[LineUp, Int64, UInt64]
RULES = [ChoiceRule("top", (2,)), ChoiceRule("tiers", (2, 1, 1))]

lists_of_documents = st.lists(st.lists(st.integers(0, 9), max_size=8, unique=True), min_size=1, max_size=12)
each_rule = pytest.mark.parametrize("rule", RULES, ids=["top", "tiers"])


def _case(lists: list[list[int]], names: list[int], rule: ChoiceRule) -> Case:
    """The candidates of some queries, by document; `names` are the hashes of the queries."""
    rows = np.repeat(np.arange(len(lists)), [len(found) for found in lists])
    documents = np.array([document for found in lists for document in found], np.int64)
    keys = draw_keys(5, np.array(names).astype(np.uint64)[rows], documents.astype(np.uint64))
    line = line_up(rule, Eligible(rows, len(lists), np.zeros(len(rows), np.float32), np.zeros(len(lists)), keys))
    return line, documents[line.places], claims(line, keys[line.places])


def _pairs(case: Case, chosen: Bool, names: list[int]) -> set[tuple[int, int]]:
    return {(names[row], int(document)) for row, document in zip(case[0].rows[chosen], case[1][chosen], strict=True)}


@each_rule
@given(lists=lists_of_documents, cap=st.integers(1, 3), order=st.randoms(use_true_random=False))
def test_the_order_of_the_queries_changes_nothing(
    rule: ChoiceRule, lists: list[list[int]], cap: int, order: random.Random
) -> None:
    names = list(range(len(lists)))
    case = _case(lists, names, rule)
    order.shuffle(names)
    shuffled = _case([lists[name] for name in names], names, rule)
    straight = _pairs(case, choose_within(*case, cap), sorted(names))
    assert _pairs(shuffled, choose_within(*shuffled, cap), names) == straight


@each_rule
@given(lists=lists_of_documents, cap=st.integers(1, 3))
def test_the_outcome_is_stable(rule: ChoiceRule, lists: list[list[int]], cap: int) -> None:
    line, documents, claim = _case(lists, list(range(len(lists))), rule)
    chosen = choose_within(line, documents, claim, cap)
    assert np.bincount(documents[chosen], minlength=1).max() <= cap
    for place in np.flatnonzero(~chosen):
        held = chosen & (line.rows == line.rows[place])
        held[place] = True
        of_query = line.take(np.flatnonzero(held))
        would_take = line.places[place] in of_query.places[choose_first(of_query)]
        rivals = chosen & (documents == documents[place])
        would_be_kept = rivals.sum() < cap or (claim[rivals] > claim[place]).any()
        assert not (would_take and would_be_kept)


@given(lists=lists_of_documents, cap=st.integers(1, 3))
def test_no_query_is_better_off_in_another_stable_outcome(lists: list[list[int]], cap: int) -> None:
    """One at a time, as Gale and Shapley have it, in an order of its own."""
    line, documents, claim = _case(lists, list(range(len(lists))), RULES[0])
    chosen, open_ = np.zeros(len(line.rows), bool), np.ones(len(line.rows), bool)
    while True:
        some = [p for p in np.flatnonzero(open_ & ~chosen)[::-1] if chosen[line.rows == line.rows[p]].sum() < 2]
        best = [p for p in some if not (open_ & ~chosen & (line.rows == line.rows[p]))[:p].any()]
        if not best:
            break
        chosen[best[0]] = True
        rivals = np.flatnonzero(chosen & (documents == documents[best[0]]))
        if len(rivals) > cap:
            refused = rivals[np.argmax(claim[rivals])]
            chosen[refused] = open_[refused] = False
    assert choose_within(line, documents, claim, cap).tolist() == chosen.tolist()


def test_a_hub_goes_to_the_queries_that_have_it_in_front() -> None:
    lists = [[1, 9, 2], [9, 3, 4], [9, 5, 6], [7, 8, 9]]
    line, documents, claim = _case(lists, [0, 1, 2, 3], ChoiceRule("top", (2,)))
    assert np.bincount(documents[choose_first(line)])[9] == 3
    chosen = choose_within(line, documents, claim, 2)
    assert [documents[chosen & (line.rows == row)].tolist() for row in range(4)] == [[1, 2], [9, 3], [9, 5], [7, 8]]


def test_a_cap_that_nothing_reaches_changes_nothing() -> None:
    case = _case([[1, 2, 3], [1, 2, 3]], [0, 1], RULES[0])
    assert choose_within(*case, 2).tolist() == choose_first(case[0]).tolist()
    assert choose_within(*_case([[]], [0], RULES[0]), 1).tolist() == []


def test_a_query_whose_line_runs_out_stays_short() -> None:
    line, documents, claim = _case([[1, 2], [1, 2], [1]], [0, 1, 2], RULES[0])
    chosen = choose_within(line, documents, claim, 1)
    assert sorted(documents[chosen].tolist()) == [1, 2]


def test_equal_claims_are_drawn_and_places_count_before_them() -> None:
    line, _, claim = _case([[1, 2]] * 50, list(range(50)), RULES[0])
    first, second = claim[line.places % 2 == 0], claim[line.places % 2 == 1]
    assert first.max() < second.min()
    assert len(np.unique(claim)) == 100


@pytest.mark.parametrize(
    ("uses", "n_documents", "gini", "top"),
    [
        ([], 10, 0.0, 0.0),
        ([3] * 10, 10, 0.0, 0.1),
        ([7], 10, 0.9, 1.0),
        ([1, 3], 2, 0.25, 0.75),
        ([1] * 198 + [51, 51], 200, 0.33, 102 / 300),
    ],
    ids=["none", "even", "one", "two", "two-hubs"],
)
def test_hubs_are_measured(uses: list[int], n_documents: int, gini: float, top: float) -> None:
    assert measure_hubs(np.array(uses, np.int64), n_documents) == pytest.approx((gini, top))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any))
def test_gini_is_half_the_mean_difference_in_units_of_the_mean(uses: list[int]) -> None:
    counts = np.array(uses)
    expected = np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())
    assert measure_hubs(counts[counts > 0], len(counts))[0] == pytest.approx(expected)


def test_mean_of_nearest_looks_at_the_k_nearest_queries() -> None:
    documents = np.array([[1, 0], [0, 1]], np.float32)
    queries = np.array([[1, 0], [0.6, 0.8], [0, -1]], np.float32)
    assert mean_of_nearest(documents, queries, 2).tolist() == pytest.approx([0.8, 0.4])
    assert mean_of_nearest(documents, queries, 10).tolist() == pytest.approx([1.6 / 3, -0.2 / 3])
