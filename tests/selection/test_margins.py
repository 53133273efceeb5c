"""The margin policies: exact semantics, sign safety, invariance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datagen.errors import ConfigError
from datagen.selection.margins import MarginRule, PositiveScores, score_limits


def _scores(lists: list[list[float]], floor: float = -np.inf, spread: float = 0.1) -> PositiveScores:
    starts = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    flat = np.array([x for row in lists for x in row], np.float64)
    return PositiveScores(flat, starts, np.full(len(lists), floor), np.full(len(lists), spread))


@pytest.mark.parametrize(
    ("policy", "positive", "limit"),
    [
        ("relative", 0.8, 0.76),
        ("relative", -0.5, -0.525),  # a peer's 0.95 * p would raise it to -0.475
        ("absolute", 0.8, 0.75),
        ("absolute", -0.5, -0.55),
        ("spread", 0.8, 0.795),
        ("spread", -0.5, -0.505),
    ],
)
def test_one_positive_gives_the_documented_limit(policy: str, positive: float, limit: float) -> None:
    rule = MarginRule(policy, 0.05)  # type: ignore[arg-type]
    assert score_limits(rule, _scores([[positive]])) == pytest.approx([limit])


def test_the_learned_margin_limits_no_score() -> None:
    assert score_limits(MarginRule("adaptive", 0.1), _scores([[0.5], [0.2]])).tolist() == [np.inf, np.inf]


def test_unknown_policy_lists_those_that_exist() -> None:
    with pytest.raises(
        ConfigError, match="unknown margin policy 'fixed': choose one of absolute, adaptive, relative, spread"
    ):
        score_limits(MarginRule("fixed", 0.1), _scores([[0.5]]))  # type: ignore[arg-type]


def test_a_query_without_positives_has_no_limit() -> None:
    assert score_limits(MarginRule("relative", 0.05), _scores([[], [0.5]])).tolist() == [np.inf, 0.475]


@pytest.mark.parametrize(
    ("which", "limit"), [("min", 0.3), ("own", 0.5), ("quantile", 0.5)], ids=["min", "own", "quantile"]
)
def test_positive_score_chooses_what_the_margin_looks_at(which: str, limit: float) -> None:
    # own: 0.9 - 0.1 = 0.8, median: 0.7 - 0.1 = 0.6, but no candidate may beat the weakest (0.4) by more than 0.1.
    rule = MarginRule("absolute", 0.1, which)  # type: ignore[arg-type]
    assert score_limits(rule, _scores([[0.9, 0.7, 0.4]])) == pytest.approx([limit])


def test_a_weak_positive_does_not_erase_the_negatives_of_its_query() -> None:
    alone = score_limits(MarginRule("spread", 0.5), _scores([[0.8]], floor=0.6))
    beside_weak = score_limits(MarginRule("spread", 0.5), _scores([[0.8, 0.7, -0.9]], floor=0.6))
    assert alone == pytest.approx([0.75])
    assert beside_weak == pytest.approx([0.65])


def test_a_positive_below_the_floor_counts_as_the_floor() -> None:
    assert score_limits(MarginRule("spread", 0.5), _scores([[0.1]], floor=0.6)) == pytest.approx([0.55])


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=4), min_size=1, max_size=4),
    st.floats(-1, 1),
    st.floats(0.01, 1),
    st.floats(0.01, 100),
    st.floats(-10, 10),
    st.sampled_from(["min", "own", "quantile"]),
)
def test_spread_limit_moves_with_the_scores(
    lists: list[list[float]], floor: float, spread: float, scale: float, shift: float, which: str
) -> None:
    rule = MarginRule("spread", 0.5, which)  # type: ignore[arg-type]
    before = score_limits(rule, _scores(lists, floor, spread))
    moved = [[scale * x + shift for x in row] for row in lists]
    after = score_limits(rule, _scores(moved, scale * floor + shift, scale * spread))
    np.testing.assert_allclose(after, scale * before + shift, rtol=1e-9, atol=1e-9)


@given(st.floats(-1, 1), st.floats(0, 1), st.sampled_from(["relative", "absolute", "spread"]))
def test_a_margin_never_raises_the_limit_above_the_positive(positive: float, margin: float, policy: str) -> None:
    assume(abs(positive) > 1e-6)
    rule = MarginRule(policy, margin)  # type: ignore[arg-type]
    assert score_limits(rule, _scores([[positive]]))[0] <= positive
