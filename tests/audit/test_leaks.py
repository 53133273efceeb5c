from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from datagen.audit.leaks import measure_leaks
from tests.support.audits import material_of

WORDS = "heart lung liver kidney bone skin nerve vein cell gland muscle joint brain spine hand foot eye ear".split()


def test_style_leaks_when_negatives_open_alike() -> None:
    rng = np.random.default_rng(3)
    rows = [
        (f"q{n}", [_passage(rng, 12)], ["As an overview: " + _passage(rng, 9), "As an overview: " + _passage(rng, 9)])
        for n in range(60)
    ]
    leaks = measure_leaks(material_of(*rows), 1000, 0)
    assert leaks["style_auc"]["low"] > 0.95
    assert leaks["passages"] == 180


def test_length_leaks_when_positives_are_shorter() -> None:
    rng = np.random.default_rng(3)
    rows = [(f"q{n}", [_passage(rng, 5)], [_passage(rng, 25)]) for n in range(60)]
    leaks = measure_leaks(material_of(*rows), 1000, 0)
    assert leaks["length_auc"]["value"] > 0.95
    assert leaks["length_auc"]["low"] <= leaks["length_auc"]["value"] <= leaks["length_auc"]["high"]


def test_nothing_leaks_when_both_are_drawn_alike() -> None:
    rng = np.random.default_rng(3)
    rows = [(f"q{n}", [_passage(rng, 12)], [_passage(rng, 12)]) for n in range(150)]
    leaks = measure_leaks(material_of(*rows), 200, 0)
    assert leaks["passages"] == 200
    assert leaks["style_auc"]["low"] < 0.5 < leaks["style_auc"]["high"]


def test_nothing_is_said_when_there_are_few_passages() -> None:
    assert measure_leaks(material_of(("q", ["a"], ["b"])), 1000, 0) == {}


def _passage(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(WORDS, words))


def test_leaks_are_not_measured_when_scikit_learn_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert measure_leaks(material_of(("q", ["a"], ["b"])), 1000, 0) == {}
    assert "takes scikit-learn" in caplog.text
