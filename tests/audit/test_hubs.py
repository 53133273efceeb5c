from __future__ import annotations

import numpy as np
import pytest

from datagen.audit.findings import HUB
from datagen.audit.hubs import find_hubs, most_by_chance
from tests.support.audits import found, material_of


def test_passage_of_improbably_many_queries_is_found_beyond_what_even_use_explains() -> None:
    rows = [(f"q{n}", [f"p{n}"], ["hub", f"a{n}", f"b{n}"]) for n in range(60)]
    findings, figures = find_hubs(material_of(*rows))
    limit = figures["limit"]
    assert found(findings, HUB) == [(row, "negative", 0) for row in range(limit, 60)]
    assert set(findings["score"]) == {60.0}
    assert figures["hubs"] == 1
    assert figures["gini"] > 0.3


def test_even_use_has_no_hubs() -> None:
    rows = [(f"q{n}", [f"p{n}"], [f"n{n}", f"n{(n + 1) % 60}"]) for n in range(60)]
    findings, figures = find_hubs(material_of(*rows))
    assert findings.is_empty()
    assert figures["hubs"] == 0


@pytest.mark.parametrize("mean", [0.1, 1.0, 7.5], ids=str)
def test_chance_limit_is_exceeded_by_no_passage_in_99_of_100_draws(mean: float) -> None:
    limit = most_by_chance(mean, 200)
    highest = np.random.default_rng(1).poisson(mean, (2000, 200)).max(axis=1)
    assert (highest > limit).mean() <= 0.013
    assert (highest > limit - 1).mean() > 0.008


def test_chance_limit_of_no_use_is_none() -> None:
    assert most_by_chance(0.0, 10) == 0
