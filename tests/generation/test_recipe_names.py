"""Names in a recipe: those that are taken, and those of fields and slots that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from datagen.errors import ConfigError
from datagen.generation.recipes.load import load_recipe

Values = dict[str, Any]  # Any: YAML

SPEC: Values = {
    "description": "a recipe of the tests",
    "slots": {"kind": {"values": ["question"]}, "length": {"values": ["short"]}},
    "prompts": [{"user": "user.j2"}],
    "output": {"query": {}, "negative": {"required": False}},
    "negative": "negative",
}


def _write(folder: Path, **changed: object) -> Path:
    """A folder of recipes with one, and its recipe.yaml."""
    home = folder / "mine"
    home.mkdir()
    (home / "user.j2").write_text("{{ text }}")
    (home / "recipe.yaml").write_text(yaml.safe_dump({**SPEC, **changed}, sort_keys=False))
    return home / "recipe.yaml"


def _refusal(folder: Path, **changed: object) -> str:
    path = _write(folder, **changed)
    with pytest.raises(ConfigError) as caught:
        load_recipe("mine", folder)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["doc_id", "sample", "span", "tried"])
def test_slot_cannot_be_called_like_what_is_stored_beside_it(tmp_path: Path, name: str) -> None:
    said = _refusal(tmp_path, slots={name: {"values": ["a"]}})
    assert f"a slot cannot be called {name!r}: that name has a meaning of its own" in said


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"field": "z", "refusal": True}, "a field of checks.0 is 'z', but the output has query, negative"),
        ({"field": "query", "unlike": "z"}, "a field of checks.0 is 'z', but the output has query, negative"),
        ({"field": "query", "label_leak": "z"}, "a field of checks.0 is 'z', but the output has query, negative"),
        ({"field": "query", "language_of": "z"}, "a slot of checks.0 is 'z', but the slots are kind, length"),
        (
            {"field": "query", "length_band_of": "z", "bands": {"short": [1, 2]}},
            "a slot of checks.0 is 'z', but the slots are kind, length",
        ),
        (
            {"field": "query", "refusal": True, "when": {"z": ["question"]}},
            "unknown earlier slot in checks.0.when 'z': choose one of kind, length",
        ),
    ],
    ids=["field", "unlike", "label_leak", "language_of", "length_band_of", "when"],
)
def test_check_of_what_is_not_there_is_refused_with_what_is(tmp_path: Path, rule: Values, message: str) -> None:
    assert message in _refusal(tmp_path, checks=[{"reason": "wrong", **rule}])


@pytest.mark.parametrize("name", ["also_linked", "negative_when", "language_when"])
@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("z=question", "unknown earlier slot in {} 'z': choose one of kind, length"),
        ("kind=z", "unknown value of the slot kind in {} 'z'"),
    ],
    ids=["slot", "value"],
)
def test_condition_on_what_is_not_there_is_refused(tmp_path: Path, name: str, condition: str, message: str) -> None:
    assert message.format(name) in _refusal(tmp_path, **{name: condition})


def test_recipe_whose_names_are_all_there_is_taken(tmp_path: Path) -> None:
    check = {"reason": "same", "field": "negative", "unlike": "query", "when": {"kind": ["question"]}}
    _write(tmp_path, checks=[check], negative_when="kind=question")
    assert load_recipe("mine", tmp_path).spec.checks[0].fields == ("negative", "query")
