"""What the settings of the reranker become for a run."""

from __future__ import annotations

import pytest

from datagen.config import DenoiseConfig
from datagen.mining.lineup import denoise_rule


@pytest.mark.parametrize(
    ("unmarked", "margin"),
    [(None, 0.6), (2.0, 0.6), (1.5, 0.3), (1.0, 0.0)],
    ids=["not_known", "many", "some", "hardly_any"],
)
def test_the_margin_is_less_where_fewer_positives_are_unmarked(unmarked: float | None, margin: float) -> None:
    rule = denoise_rule(DenoiseConfig(margin=0.6, floor_quantile=0.1, promote_margin=0.2), unmarked)
    assert rule.margin == pytest.approx(margin)
    assert (rule.floor_quantile, rule.promote_margin) == (0.1, 0.2)
