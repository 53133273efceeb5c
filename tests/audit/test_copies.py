from __future__ import annotations

from pathlib import Path

from datagen.audit.copies import find_copies
from datagen.audit.findings import NEAR_TEXT, POSITIVE_TEXT, SIBLING_POSITIVE
from datagen.progress import SilentProgress
from datagen.settings.closure import ClosureConfig
from tests.support.audits import found, material_of

LONG = "the treatment of gout is rest and ice and a drug against pain that your doctor chooses for you and your kidneys"


def test_negative_that_equals_a_positive_is_found_when_only_case_and_punctuation_differ(tmp_path: Path) -> None:
    material = material_of(("what is gout", ["Gout is a disease."], ["something else", "gout is a disease"]))
    findings = find_copies(material, ClosureConfig(), tmp_path, SilentProgress())
    assert found(findings) == [(0, "negative", 1)]
    assert findings["fault"].to_list() == [POSITIVE_TEXT]


def test_positive_of_a_query_that_asks_the_same_is_found_among_the_negatives(tmp_path: Path) -> None:
    material = material_of(
        ("what is the treatment of gout", ["rest"], ["ice", "snow"]),
        ("What is the treatment of gout?", ["ice"], ["rain"]),
        ("who was Goethe", ["a poet"], ["ice"]),
    )
    findings = find_copies(material, ClosureConfig(), tmp_path, SilentProgress())
    assert found(findings, SIBLING_POSITIVE) == [(0, "negative", 0)]
    assert len(findings) == 1


def test_negative_in_nearly_the_words_of_a_positive_is_found(tmp_path: Path) -> None:
    material = material_of(("gout", [LONG], [LONG.replace("your doctor", "a doctor"), "snow"]))
    findings = find_copies(material, ClosureConfig(near_text=0.6), tmp_path, SilentProgress())
    assert found(findings) == [(0, "negative", 0)]
    assert findings["fault"].to_list() == [NEAR_TEXT]


def test_nearly_equal_texts_are_left_alone_when_they_are_not_looked_at(tmp_path: Path) -> None:
    material = material_of(("gout", [LONG], [LONG.replace("your doctor", "a doctor")]))
    assert find_copies(material, ClosureConfig(near_text=None), tmp_path, SilentProgress()).is_empty()


def test_data_without_negatives_has_no_copies(tmp_path: Path) -> None:
    assert find_copies(material_of(("a", ["b"], [])), ClosureConfig(), tmp_path, SilentProgress()).is_empty()
