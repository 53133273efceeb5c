from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.answer_schema import (
    MOST_CHARACTERS,
    MOST_ITEMS,
    OutputField,
    build_model,
    build_schema,
)
from datagen.json_text import drop_limits

OUTPUT = {
    "query": OutputField(min_characters=2, max_characters=9, description="what is searched for"),
    "label": OutputField(choices=("good", "bad")),
    "items": OutputField(type="list of text", min_items=1, max_items=2, max_words=1),
    "score": OutputField(type="number", minimum=0, maximum=5),
    "span": OutputField(required=False),
    "hops": OutputField(type="integer", required=False),
    "sure": OutputField(type="boolean", required=False),
    "more": OutputField(type="list of text", required=False, choices=("x", "y")),
}
MODEL = build_model(OUTPUT)
GOOD = {"query": "abc", "label": "good", "items": ["x"], "score": 2.5}
ABSENT: dict[str, object] = {"span": None, "hops": None, "sure": None, "more": []}


@pytest.mark.parametrize(
    ("change", "read"),
    [
        pytest.param({}, {}, id="only-what-is-required"),
        pytest.param({"query": " abc\n"}, {}, id="stripped"),
        pytest.param({"score": "2.5", "hops": "3", "sure": "true"}, {"hops": 3, "sure": True}, id="numbers-as-text"),
        pytest.param({"score": 3}, {"score": 3.0}, id="whole-number"),
        pytest.param(dict.fromkeys(ABSENT), {}, id="null"),
        pytest.param({"span": " None ", "more": []}, {}, id="absent-in-words"),
        pytest.param({"span": "none of it", "more": ["y"]}, {"span": "none of it", "more": ["y"]}, id="optional"),
    ],
)
def test_model_reads(change: dict[str, object], read: dict[str, object]) -> None:
    reading = read_answer(json.dumps({**GOOD, **change}), MODEL)
    assert (reading.values, reading.rung) == ({**GOOD, **ABSENT, **read}, "strict")


@pytest.mark.parametrize(
    ("name", "value", "reason", "complaint"),
    [
        ("query", "a", "too_short", "it must have at least 2 characters, not 1"),
        ("query", " ", "too_short", "it must not be blank"),
        ("query", "a" * 10, "too_long", "it must have at most 9 characters, not 10"),
        ("query", True, "wrong_types", "it must be a valid string"),
        ("query", 42, "wrong_types", "it must be a valid string"),
        ("label", "Good", "wrong_choice", "it must be one of good, bad"),
        ("items", [], "too_short", "it must have at least 1 items, not 0"),
        ("items", ["x", "y", "z"], "too_long", "it must have at most 2 items, not 3"),
        ("items", "x", "wrong_types", "it must be a valid list"),
        ("score", True, "wrong_types", "it must be a number"),
        ("score", 6, "wrong_value", "it must be less than or equal to 5"),
        ("score", "high", "wrong_types", "it must be a valid number, unable to parse string as a number"),
    ],
)
def test_model_refuses_with_words_for_the_language_model(name: str, value: object, reason: str, complaint: str) -> None:
    reading = read_answer(json.dumps({**GOOD, name: value}), MODEL)
    assert (reading.values, reading.reason, reading.complaint) == (None, reason, f"`{name}`: {complaint}")


def test_what_is_wrong_in_optional_fields_and_lists_is_left_out() -> None:
    broken = {"items": ["x", "x y"], "hops": 1.5, "sure": "perhaps", "more": ["x", "z"], "span": 3}
    reading = read_answer(json.dumps({**GOOD, **broken}), MODEL)
    assert (reading.values, reading.rung) == ({**GOOD, **ABSENT, "more": ["x"]}, "salvaged")


def test_schema_lists_all_fields_as_required_and_optional_ones_as_nullable() -> None:
    null, text = {"type": "null"}, {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS + 1}
    more = {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}, "minItems": 0, "maxItems": MOST_ITEMS}
    assert build_schema(OUTPUT) == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 2, "maxLength": 10, "description": "what is searched for"},
            "label": {"type": "string", "enum": ["good", "bad"]},
            "items": {"type": "array", "items": text, "minItems": 1, "maxItems": 2},
            "score": {"type": "number", "minimum": 0, "maximum": 5},
            "span": {"anyOf": [text, null]},
            "hops": {"anyOf": [{"type": "integer"}, null]},
            "sure": {"anyOf": [{"type": "boolean"}, null]},
            "more": {"anyOf": [more, null]},
        },
        "required": list(OUTPUT),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("field", "longest"), [(OutputField(max_characters=9), 9), (OutputField(), MOST_CHARACTERS)], ids=["stated", "not"]
)
def test_text_that_decoding_has_cut_off_is_refused(field: OutputField, longest: int) -> None:
    cut = build_schema({"query": field})["properties"]["query"]["maxLength"]
    model = build_model({"query": field})
    assert read_answer(json.dumps({"query": "a" * longest}), model).rung == "strict"
    assert read_answer(json.dumps({"query": "a" * cut}), model).reason == "too_long"


def test_schema_without_limits_keeps_everything_else() -> None:
    output = {**OUTPUT, "maximum": OutputField(type="integer", minimum=1)}
    text, null = {"type": "string"}, {"type": "null"}
    assert drop_limits(build_schema(output)) == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "what is searched for"},
            "label": {"type": "string", "enum": ["good", "bad"]},
            "items": {"type": "array", "items": text},
            "score": {"type": "number"},
            "span": {"anyOf": [text, null]},
            "hops": {"anyOf": [{"type": "integer"}, null]},
            "sure": {"anyOf": [{"type": "boolean"}, null]},
            "more": {"anyOf": [{"type": "array", "items": {"type": "string", "enum": ["x", "y"]}}, null]},
            "maximum": {"type": "integer"},
        },
        "required": list(output),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_characters": MOST_CHARACTERS + 1}, "min_characters is 100001, above 100000: state max_characters, too"),
        ({"type": "list of text", "min_items": MOST_ITEMS + 1}, "min_items is 1001, above 1000: state max_items, too"),
    ],
    ids=["characters", "items"],
)
def test_more_than_the_usual_limit_needs_one_of_its_own(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OutputField.model_validate(values)
