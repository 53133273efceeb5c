from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from datagen.audit.findings import ROUND_TRIP
from datagen.audit.material import Material
from datagen.audit.ranks import find_missed
from datagen.audit.teaching import open_teaching
from datagen.backends.registry import Registry
from datagen.progress import SilentProgress
from tests.support.audits import found, material_of, run_config

WORDS = "heart lung liver kidney bone skin nerve vein cell gland muscle joint brain spine".split()


@pytest.mark.parametrize(("wanted", "missed"), [(1, [(1, "positive", 0)]), (100, [])], ids=["first", "any"])
def test_positive_that_the_teacher_does_not_find_is_found(
    tmp_path: Path, wanted: int, missed: list[tuple[object, ...]]
) -> None:
    rows = [(f"{word} pain", [f"pain of the {word}"], [f"{word} pain is rare"]) for word in WORDS[2:]]
    material = material_of(
        ("heart pain", ["heart pain"], ["lung"]),
        ("lung pain", ["something else altogether"], ["lung pain"]),
        *((query, negatives, positives) for query, positives, negatives in rows),
    )
    findings = _find(tmp_path, material, wanted)
    assert [one for one in found(findings, ROUND_TRIP) if one[0] in (0, 1)] == missed


def test_other_positives_of_a_query_do_not_push_one_down(tmp_path: Path) -> None:
    positives = ["heart pain now", "heart pain", "heart pain at night", "the heart and its pain"]
    others: list[tuple[str, list[str], list[str]]] = [(f"{word} rash", [f"{word} rash"], []) for word in WORDS]
    findings = _find(tmp_path, material_of(("heart pain", positives, []), *others), 1)
    assert found(findings) == []


def _find(tmp_path: Path, material: Material, wanted: int) -> pl.DataFrame:
    config = run_config(tmp_path)
    backends = Registry(config)
    teaching = open_teaching(config, backends, material, wanted, SilentProgress())
    return find_missed(material, teaching, wanted, SilentProgress())
