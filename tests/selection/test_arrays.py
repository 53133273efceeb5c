"""Arrays that stand for lists, against plain Python loops."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection.arrays import (
    Lists,
    connect,
    count_before,
    count_per_row,
    first_of_kind,
    pair_products,
    quantile_per_row,
    robust_spread,
    starts_of,
)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=40)


def _lists(pairs: list[tuple[int, int]]) -> Lists:
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return Lists.from_pairs(array[:, 0], array[:, 1], 5)


@given(PAIRS)
def test_lists_hold_each_row_sorted_without_repeats(pairs: list[tuple[int, int]]) -> None:
    lists = _lists(pairs)
    assert len(lists) == 5
    for row in range(5):
        expected = sorted({value for r, value in pairs if r == row})
        assert lists.values[lists.starts[row] : lists.starts[row + 1]].tolist() == expected
    assert lists.rows.tolist() == [r for r, _ in sorted(set(pairs))]


@given(PAIRS, st.lists(st.integers(0, 4), max_size=6))
def test_lists_take_gives_the_lists_of_the_rows_in_order(pairs: list[tuple[int, int]], rows: list[int]) -> None:
    lists = _lists(pairs)
    taken = lists.take(np.array(rows, np.int64))
    expected = [sorted({v for r, v in pairs if r == row}) for row in rows]
    assert [taken.values[a:b].tolist() for a, b in itertools.pairwise(taken.starts)] == expected
    assert taken.sizes.tolist() == [len(values) for values in expected]


@given(PAIRS, PAIRS)
def test_lists_contains_agrees_with_sets(pairs: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    array = np.array(asked, np.int64).reshape(-1, 2)
    found = _lists(pairs).contains(array[:, 0], array[:, 1])
    assert found.tolist() == [pair in set(pairs) for pair in asked]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans())))
def test_counts_along_rows_agree_with_loops(items: list[tuple[int, bool]]) -> None:
    items.sort(key=lambda item: item[0])
    rows = np.array([row for row, _ in items], np.int64)
    flags = np.array([flag for _, flag in items], bool)
    starts = starts_of(rows, 4)
    before = [sum(f for r, f in items[:i] if r == row) for i, (row, _) in enumerate(items)]
    assert count_before(flags, starts).tolist() == before
    assert count_per_row(flags, starts).tolist() == [sum(f for r, f in items if r == row) for row in range(4)]


def test_first_of_kind_looks_only_at_allowed_places_of_the_same_row() -> None:
    rows = np.array([0, 0, 0, 1, 1])
    kinds = np.array([7, 7, 7, 7, 8])
    allowed = np.array([False, True, True, True, True])
    assert first_of_kind(rows, kinds, allowed).tolist() == [False, True, False, True, True]
    assert not first_of_kind(rows, kinds, np.zeros(5, bool)).any()


@given(st.lists(st.lists(st.floats(-2, 2), max_size=6), min_size=1, max_size=5), st.floats(0, 1))
def test_quantile_per_row_equals_numpy(rows: list[list[float]], q: float) -> None:
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    found = quantile_per_row(np.array([x for row in rows for x in row], np.float64), starts, q)
    expected = [np.quantile(row, q) if row else np.nan for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_pair_products_equals_plain_products_across_blocks() -> None:
    random = np.random.default_rng(0)
    left = random.standard_normal((200, 16)).astype(np.float32)
    right = random.standard_normal((50, 16)).astype(np.float32)
    left_index = np.sort(random.integers(0, 200, 700))
    left_index = left_index[(left_index < 64) | (left_index >= 128)]  # one block without any pair
    right_index = random.integers(0, 50, len(left_index))
    found = pair_products(left, right, left_index, right_index)
    np.testing.assert_allclose(found, (left[left_index] * right[right_index]).sum(axis=1), atol=1e-5)


def test_robust_spread_is_the_median_distance_from_the_median() -> None:
    assert robust_spread(np.array([[1.0, 2.0, 4.0, 100.0, 3.0]])).tolist() == [1.0]


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_connect_numbers_the_components(links: list[tuple[int, int]]) -> None:
    left, right = (np.array([link[end] for link in links], np.int64) for end in (0, 1))
    component = [{node} for node in range(12)]
    for first, second in links:
        whole = component[first] | component[second]
        for node in whole:
            component[node] = whole
    found = connect(left, right, 12)
    assert set(found.tolist()) == set(range(len({frozenset(nodes) for nodes in component})))
    for node, whole in enumerate(component):
        assert set(np.flatnonzero(found == found[node]).tolist()) == whole


def test_connect_follows_a_long_chain_in_any_order() -> None:
    order = np.random.default_rng(0).permutation(500)
    assert not connect(order[:-1], order[1:], 500).any()
