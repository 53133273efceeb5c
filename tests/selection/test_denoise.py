"""The three-way decision of a second scorer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection.arrays import Float64
from datagen.selection.denoise import (
    DenoiseRule,
    lowest_limits,
    measure_scale,
    middle_scores,
    reranker_limits,
    spared_limits,
)

POSITIVES = np.arange(1.0, 11.0)
ONE_EACH = np.arange(11)


def _limits(**numbers: float) -> tuple[list[float], list[float]]:
    rule = DenoiseRule(**{"margin": 0.5, "floor_quantile": 0.0, "promote_margin": 0.5, **numbers})
    below, above = reranker_limits(rule, measure_scale(POSITIVES[::-1]), POSITIVES, ONE_EACH)
    return below.tolist(), above.tolist()


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        pytest.param(0.0, POSITIVES.tolist(), id="not above the positive itself"),
        pytest.param(0.5, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5], id="half way down"),
        pytest.param(0.9, [1] * 10, id="a tenth, rounded up"),
        pytest.param(1.0, [1] * 10, id="the weakest of all"),
    ],
)
def test_a_margin_is_a_way_down_in_the_order_of_all_positives(margin: float, expected: list[float]) -> None:
    assert _limits(margin=margin)[0] == expected


def test_the_floor_holds_up_the_weakest_positives() -> None:
    assert _limits(floor_quantile=0.3)[0] == [3, 3, 3, 3, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        pytest.param(0.0, POSITIVES.tolist(), id="not below the positive"),
        pytest.param(0.5, [6, 6, 7, 7, 8, 8, 9, 9, 10, np.inf], id="half way up"),
        pytest.param(1.0, [10] * 9 + [np.inf], id="the best of all"),
    ],
)
def test_promotion_is_a_way_up_and_nothing_is_above_the_best(margin: float, expected: list[float]) -> None:
    assert _limits(promote_margin=margin)[1] == expected


def test_a_query_without_positives_gets_the_floor_and_no_promotion() -> None:
    rule = DenoiseRule(margin=0.5, floor_quantile=0.3, promote_margin=0.0)
    below, above = reranker_limits(rule, measure_scale(POSITIVES), np.empty(0), np.array([0, 0]))
    assert (below.tolist(), above.tolist()) == ([3], [np.inf])


def test_the_middle_of_several_positives_is_one_of_them() -> None:
    scores = np.array([5.0, 1.0, 2.0, 9.0, 7.0])
    assert middle_scores(scores, np.array([0, 3, 5])).tolist() == [2, 7]
    assert np.isnan(middle_scores(scores, np.array([0, 5, 5]))).tolist() == [False, True]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        pytest.param(0.0, [4.0, 9.0, -np.inf], id="none may be overruled"),
        pytest.param(0.5, [2.0, 9.0, -np.inf], id="half of them"),
        pytest.param(0.75, [1.0, 9.0, -np.inf], id="all but one"),
        pytest.param(1.0, [-np.inf, -np.inf, -np.inf], id="all"),
    ],
)
def test_a_share_of_the_candidates_stays(share: float, expected: list[float]) -> None:
    asked = np.array([3.0, 1.0, 4.0, 2.0, 9.0])
    assert spared_limits(asked, np.array([0, 4, 5, 5]), share).tolist() == expected


INCREASING: dict[str, Callable[[Float64], Float64]] = {
    "affine": lambda scores: 3 * scores - 7,
    "sigmoid": lambda scores: 1 / (1 + np.exp(-scores / 8)),
    "exp": lambda scores: np.exp(scores / 4),
    "cube": lambda scores: scores**3,
}


@pytest.mark.parametrize("change", INCREASING.values(), ids=INCREASING.keys())
@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=12),
    st.lists(st.integers(-40, 40), min_size=1, max_size=12),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_verdicts_are_the_same_under_any_increasing_change_of_the_scores(
    change: Callable[[Float64], Float64], positives: list[int], candidates: list[int], numbers: tuple[float, ...]
) -> None:
    before = _verdicts(np.array(positives) / 2, np.array(candidates) / 2, numbers)
    after = _verdicts(change(np.array(positives) / 2), change(np.array(candidates) / 2), numbers)
    assert before == after


def _verdicts(positives: Float64, candidates: Float64, numbers: tuple[float, ...]) -> list[list[str]]:
    """For each pair of positives as a query: what all candidates are for it."""
    starts = np.arange(0, len(positives) + 2, 2).clip(max=len(positives))
    scale = measure_scale(middle_scores(positives, starts)[: (len(positives) + 1) // 2])
    below, above = reranker_limits(DenoiseRule(*numbers[:3]), scale, positives, starts)
    spared = spared_limits(candidates, np.array([0, len(candidates)]), numbers[3])
    limits = np.fmax(below, spared)
    return [
        ["positive" if score >= high else "negative" if score <= low else "ignored" for score in candidates]
        for low, high in zip(limits, above, strict=True)
    ]


def test_the_lowest_scores_of_a_list_are_kept_and_a_short_list_whole() -> None:
    scores = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 9.0])
    assert lowest_limits(scores, np.array([0, 3, 3, 5, 6]), 2).tolist() == [2.0, np.inf, 5.0, np.inf]
