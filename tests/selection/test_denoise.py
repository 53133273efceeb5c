"""The three-way decision of a second scorer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection.denoise import DenoiseRule, measure_scale, reranker_limits

RULE = DenoiseRule(margin=1.0, floor_quantile=0.0, promote_margin=2.0)


def test_limits_are_measured_in_spreads_of_the_positives() -> None:
    scores = np.array([1.0, 3.0, 5.0])
    scale = measure_scale(RULE, scores)
    assert (scale.spread, scale.floor) == (2.0, 1.0)
    below, above = reranker_limits(RULE, scale, scores, np.array([0, 1, 2, 3]))
    assert below.tolist() == [1.0, 1.0, 3.0]  # the weakest positive is held up by the floor
    assert above.tolist() == [5.0, 7.0, 9.0]


def test_a_query_without_positives_gets_the_floor_and_no_promotion() -> None:
    scale = measure_scale(RULE, np.array([1.0, 3.0, 5.0]))
    below, above = reranker_limits(RULE, scale, np.empty(0), np.array([0, 0]))
    assert below.tolist() == [1.0]
    assert above.tolist() == [np.inf]


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.floats(0.1, 10), st.floats(-5, 5))
def test_limits_move_with_the_scores(scores: list[float], factor: float, shift: float) -> None:
    starts = np.arange(len(scores) + 1)
    before, moved = np.array(scores), factor * np.array(scores) + shift
    for a, b in zip(
        reranker_limits(RULE, measure_scale(RULE, before), before, starts),
        reranker_limits(RULE, measure_scale(RULE, moved), moved, starts),
        strict=True,
    ):
        assert b == pytest.approx(factor * a + shift, abs=1e-6)
