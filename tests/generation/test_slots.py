from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.generation.slots import digest, shuffled, uniform, weighted_choice, weighted_order

WEIGHTS = {"a": 1.0, "b": 3.0, "c": 0.0}


def test_uniform_is_the_same_in_every_version() -> None:
    assert uniform(42, "kind", "d1") == 0.28337734191595354
    assert digest("a", 1).hex() == "52a3697a19594b2c"
    assert shuffled(6, "seed", "x") == [5, 0, 2, 3, 4, 1]


def test_uniform_fills_the_range_evenly() -> None:
    counts = Counter(int(uniform(7, "row", number) * 10) for number in range(20_000))
    assert set(counts) == set(range(10))
    assert all(abs(count - 2000) < 200 for count in counts.values())


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_digest_differs_when_names_are_divided_differently(first: list[str], second: list[str]) -> None:
    assert (digest(*first) == digest(*second)) == (first == second)


def test_weighted_order_leaves_out_names_of_no_weight() -> None:
    assert sorted(weighted_order(WEIGHTS, 1, "d")) == ["a", "b"]


def test_weighted_order_draws_first_by_weight() -> None:
    firsts = Counter(weighted_order(WEIGHTS, 1, "d", number)[0] for number in range(20_000))
    assert firsts["b"] / 20_000 == pytest.approx(0.75, abs=0.01)


def test_weighted_order_draws_second_by_weight_among_the_rest() -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 7.0}
    orders = [weighted_order(weights, 1, number) for number in range(20_000)]
    seconds = Counter(order[1] for order in orders if order[0] == "c")
    assert seconds["b"] / seconds.total() == pytest.approx(2 / 3, abs=0.02)


def test_weighted_order_keeps_the_others_in_order_when_a_name_is_added() -> None:
    for number in range(200):
        with_more = weighted_order({**WEIGHTS, "new": 2.0}, 1, number)
        assert tuple(name for name in with_more if name != "new") == weighted_order(WEIGHTS, 1, number)


def test_weighted_order_ignores_the_order_of_the_weights() -> None:
    assert weighted_order(dict(reversed(WEIGHTS.items())), 1, "d") == weighted_order(WEIGHTS, 1, "d")


def test_weighted_choice_is_the_first_of_the_order() -> None:
    assert weighted_choice(WEIGHTS, 3, "x") == weighted_order(WEIGHTS, 3, "x")[0]


def test_weighted_choice_needs_a_weight() -> None:
    with pytest.raises(ValueError, match="at least one weight must be above 0"):
        weighted_choice({"a": 0.0}, 1)


@given(st.integers(0, 50), st.text())
def test_shuffled_holds_every_number_once(count: int, seed: str) -> None:
    assert sorted(shuffled(count, seed)) == list(range(count))


def test_shuffled_puts_each_number_first_equally_often() -> None:
    firsts = Counter(shuffled(4, seed)[0] for seed in range(8000))
    assert all(abs(count - 2000) < 200 for count in firsts.values())
