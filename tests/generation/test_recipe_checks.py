from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datagen.generation.outcome import Source
from datagen.generation.recipes.checks import Check

PASSAGE = 'one  two\nthree "four" five–six'
LONG = "The river Loire rises in the Massif Central and flows into the Atlantic Ocean near Saint-Nazaire."
GERMAN = "Die Loire entspringt im Zentralmassiv und mündet bei Saint-Nazaire in den Atlantischen Ozean."


def keeps(rule: dict[str, Any], value: object, passage: str = PASSAGE, **told: Any) -> bool:  # Any: settings, JSON
    check = Check(reason="wrong", field="query", **rule)
    source = Source("d1", None, passage, told.get("language"))
    return check.passes(value, source, told.get("values", {}), told.get("slots", {}))


@pytest.mark.parametrize(
    ("rule", "value", "passes"),
    [
        pytest.param({"in_passage": True}, "two three", True, id="quoted"),
        pytest.param({"in_passage": True}, "two four", False, id="not-quoted"),
        pytest.param({"in_passage": True}, ["one", "ten"], False, id="one-text-of-a-list"),
        pytest.param({"in_passage": True}, None, True, id="absent"),
        pytest.param({"in_passage": True}, 7, True, id="no-text"),
        pytest.param({"not_in_passage": True}, "One two: THREE four?", False, id="copied-but-for-case-and-marks"),
        pytest.param({"not_in_passage": True}, "two thre", True, id="half-a-word"),
        pytest.param({"not_in_passage": True}, "ten", True, id="not-copied"),
        pytest.param({"avoid": ["this text"]}, "what is in This Text?", False, id="avoided"),
        pytest.param({"avoid": ["this text"]}, "this texture", True, id="part-of-a-word"),
        pytest.param({"avoid": ["这段文字"]}, "在这段文字中", False, id="avoided-without-spaces"),
        pytest.param({"min_words": 2}, "one", False, id="too-few"),
        pytest.param({"max_words": 2}, "one two", True, id="just-enough"),
        pytest.param({"max_words": 2}, "one two three", False, id="too-many"),
        pytest.param({"passage_dependence": True}, "What does this passage say of rivers?", False, id="dependent"),
        pytest.param({"passage_dependence": True}, "which rivers flow into the Atlantic", True, id="independent"),
        pytest.param({"refusal": True}, "I'm sorry, but I can't help with that.", False, id="refused"),
        pytest.param({"refusal": True}, "why can't I reset my password", True, id="no-refusal"),
    ],
)
def test_check_passes(rule: dict[str, Any], value: object, passes: bool) -> None:  # Any: settings of a check
    assert keeps(rule, value) is passes
    assert Check(reason="wrong", field="query", **rule).explain().startswith("`query`: it must")


@pytest.mark.parametrize(
    ("most", "text", "passes"),
    [
        pytest.param(7, "the Loire flows into the Atlantic Ocean near Saint-Nazaire.", True, id="seven-words"),
        pytest.param(6, "the Loire flows into the Atlantic Ocean near Saint-Nazaire.", False, id="more-than-six"),
        pytest.param(0.8, "So the river Loire rises in the Massif Central?", False, id="nearly-all"),
        pytest.param(0.9, "So the river Loire rises in the Massif Central?", True, id="share-not-reached"),
        pytest.param(0.5, "Massif Central Atlantic Ocean", True, id="terms"),
        pytest.param(0.5, "", True, id="empty"),
    ],
)
def test_longest_copy_is_in_words_or_a_share_of_the_text(most: float, text: str, passes: bool) -> None:
    assert keeps({"longest_copy": most}, text, LONG) is passes


@pytest.mark.parametrize(
    ("slot", "text", "passes"),
    [
        pytest.param("short", "one two three", True, id="inside"),
        pytest.param("short", "one", False, id="below"),
        pytest.param("short", "one two three four", False, id="above"),
        pytest.param("long", "one two three four five", True, id="no-limit-above"),
        pytest.param("long", "one", False, id="below-without-limit-above"),
        pytest.param("any", "one", True, id="value-without-a-band"),
        pytest.param("short", "河流入海", True, id="letters-count-half"),
    ],
)
def test_length_band_follows_the_slot(slot: str, text: str, passes: bool) -> None:
    rule = {"length_band_of": "query_length", "bands": {"short": [2, 3], "long": [4, None]}}
    assert keeps(rule, text, slots={"query_length": slot}) is passes
    assert keeps(rule, text)


@pytest.mark.parametrize(
    ("slot", "text", "passes"),
    [
        pytest.param("German", "wo mündet die Loire in das Meer", True, id="as-asked"),
        pytest.param("German", "where does the Loire flow into the sea", False, id="other"),
        pytest.param("same", "where does the Loire flow into the sea", True, id="same"),
        pytest.param("same", "wo mündet die Loire in das Meer", False, id="not-the-same"),
        pytest.param("", "wo mündet die Loire in das Meer", True, id="absent"),
        pytest.param("Klingon", "wo mündet die Loire in das Meer", True, id="unknown-name"),
    ],
)
def test_language_follows_the_slot(slot: str, text: str, passes: bool) -> None:
    assert keeps({"language_of": "language"}, text, LONG, language="en", slots={"language": slot}) is passes


@pytest.mark.parametrize("declared", [None, "de", "Klingon", "en"], ids=["none", "right", "unknown", "wrong"])
def test_language_of_passage_is_found_when_it_is_not_declared_rightly(declared: str | None) -> None:
    rule = {"language_of": "passage"}
    assert keeps(rule, "wo mündet die Loire in das Meer", GERMAN, language=declared)
    assert not keeps(rule, "où la Loire se jette-t-elle dans la mer", GERMAN, language=declared)


@pytest.mark.parametrize(
    ("rule", "value", "other", "passes"),
    [
        pytest.param("label_leak", "I want my refunds now", "refund", False, id="leak"),
        pytest.param("label_leak", "I want my money back", "refund", True, id="no-leak"),
        pytest.param("label_leak", "I want my money back", ["refund", "money"], False, id="one-of-several-labels"),
        pytest.param("label_leak", "I want my money back", None, True, id="no-label"),
        pytest.param("unlike", "The river is long.", "The river is long", False, id="same"),
        pytest.param("unlike", "The river is long.", "A desert is dry.", True, id="other"),
        pytest.param("unlike", "The river is long.", None, True, id="nothing-to-be-like"),
    ],
)
def test_check_looks_at_another_field(rule: str, value: str, other: object, passes: bool) -> None:
    assert keeps({rule: "other"}, value, values={"query": value, "other": other}) is passes


def test_check_tells_which_fields_and_slots_it_names() -> None:
    leak = Check(reason="leak", field="text", label_leak="label")
    band = Check(reason="length", field="text", length_band_of="size", bands={"5": [1, 9]})  # type: ignore[dict-item]
    passage = Check(reason="language", field="text", language_of="passage")
    assert (leak.fields, leak.slots) == (("text", "label"), ())
    assert (band.fields, band.slots) == (("text",), ("size",))
    assert (passage.slots, Check(reason="x", field="text", language_of="tongue").slots) == ((), ("tongue",))


def test_check_applies_where_its_slots_say_so() -> None:
    check = Check(reason="wrong", field="query", refusal=True, when={"kind": ("claim",)})
    assert check.applies({"kind": "claim"})
    assert not check.applies({"kind": "title"})
    assert not check.applies({})


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="no-rule"),
        pytest.param({"refusal": True, "min_words": 2}, id="two-rules"),
        pytest.param({"length_band_of": "size"}, id="no-bands"),
        pytest.param({"refusal": True, "bands": {"a": [1, 2]}}, id="bands-for-nothing"),
        pytest.param({"length_band_of": "size", "bands": {"a": [5, 2]}}, id="band-upside-down"),
        pytest.param({"longest_copy": 0}, id="no-copy-at-all"),
    ],
)
def test_check_refuses_what_it_cannot_mean(settings: dict[str, Any]) -> None:  # Any: settings of a check
    with pytest.raises(ValidationError):
        Check(reason="wrong", field="query", **settings)


def test_explanation_names_numbers_and_fields() -> None:
    assert "at most 7 words" in Check(reason="x", field="query", max_words=7).explain()
    assert "`label`" in Check(reason="x", field="query", label_leak="label").explain()
    assert Check(reason="x", field="query", refusal=True, complaint="Try again").explain() == "Try again"


def test_good_rows_of_real_sets_pass_and_planted_faults_do_not(
    shared_data: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An installed datagen has no benchmarks beside it.
    monkeypatch.syspath_prepend(root)
    from benchmarks.generation_checks import MEANT, broken
    from benchmarks.planted import foreign_rows, plant_faults, read_rows

    rng = random.Random(3)
    good = read_rows([shared_data / name for name in ("cranfield", "xquad-en")], 600, rng)
    faults = plant_faults(good, 40, rng)
    faults["wrong language"] = foreign_rows(shared_data / "xquad-xlingual", good, 40, rng)
    caught = {
        fault: sum(not broken(row).isdisjoint(MEANT[fault]) for row in rows) / 40 for fault, rows in faults.items()
    }
    # Near-duplicates are found by novelty; of refusals in words held out more than half.
    assert {fault for fault, share in caught.items() if share < 0.95} == {"near-duplicate", "refusal, held out"}
    assert sum(bool(broken(row)) for row in good) / len(good) <= 0.02
