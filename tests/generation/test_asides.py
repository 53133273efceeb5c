"""Questions beside the one that writes a row: what is offered, how it is shown and read, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from datagen.errors import ConfigError
from datagen.generation.recipes.asides import Chooser
from datagen.generation.recipes.load import Recipe, load_recipe
from datagen.generation.recipes.show import describe_recipe
from datagen.generation.recipes.slot_choices import Choice

Values = dict[str, Any]  # Any: YAML

SPEC: Values = {
    "description": "a recipe of the tests",
    "slots": {
        "kind": {"values": {"question": 6, "claim": 3, "double": 1}, "needs": {"double": "linked_text"}},
        "length": {"values": [5, 10], "when": {"kind": ["question"]}, "share": 0.5},
        "who": {"values_from": "people.txt"},
        "tone": {"values": ["polite", "rude"], "in_words": {"rude": "as one shouts"}},
    },
    "prompts": [{"user": "ask.j2"}],
    "choose": {"slots": ["kind", "length", "who"], "offered": {"who": 3}, "nearest": "who"},
    "output": {"query": {"min_words": 2}},
}
QUESTION = "{{ text }}\n{{ kind_options }}\n{{ length_options }}\n{{ who_options }}\n{{ kind_offered }}"
TOLD = {"title": "", "text": "a passage", "language": "", "linked_text": ""}


def _write(folder: Path, question: str | None = QUESTION, **choose: object) -> Path:
    home = folder / "mine"
    (home / "choose").mkdir(parents=True)
    spec = {**SPEC, "choose": {**SPEC["choose"], **choose}}
    (home / "recipe.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    (home / "people.txt").write_text("\n".join(f"person {number}" for number in range(500)))
    (home / "ask.j2").write_text("{{ text }} {{ kind }} {{ length }} {{ who }} {{ tone_in_words }}")
    if question is not None:
        (home / "choose" / "request.j2").write_text(question)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load_recipe("mine", _write(tmp_path))


@pytest.fixture
def chooser(recipe: Recipe) -> Chooser:
    assert recipe.chooser is not None
    return recipe.chooser


def test_offers_are_a_function_of_seed_and_row(chooser: Chooser) -> None:
    one, again, other = (chooser.offer(seed, "r1", TOLD) for seed in (1, 1, 2))
    assert one == again
    assert one["who"] != other["who"]
    assert chooser.offer(1, "r2", TOLD)["who"] != one["who"]


def test_what_a_row_cannot_have_is_not_offered(chooser: Chooser) -> None:
    assert set(chooser.offer(1, "r1", TOLD)["kind"]) == {"question", "claim"}
    assert set(chooser.offer(1, "r1", {**TOLD, "linked_text": "more"})["kind"]) == {"question", "claim", "double"}


def test_some_values_of_a_long_list_are_offered_without_repeats_and_by_weight(chooser: Chooser) -> None:
    seen = Counter(who for number in range(2000) for who in chooser.offer(1, f"r{number}", TOLD)["who"])
    assert seen.total() == 6000
    assert len(seen) == 500
    assert max(seen.values()) < 40


def test_the_first_of_the_offers_is_drawn_by_weight(chooser: Chooser) -> None:
    first = Counter(chooser.offer(1, f"r{number}", {**TOLD, "linked_text": "x"})["kind"][0] for number in range(2000))
    assert 0.55 < first["question"] / 2000 < 0.65
    assert 0.07 < first["double"] / 2000 < 0.13


def test_the_nearest_are_offered_in_an_order_that_shows_no_rank(chooser: Chooser) -> None:
    assert chooser.nearest[1] == 3
    assert len(chooser.nearest[0]) == 500
    nearest = ("person 7", "person 3", "person 99")
    firsts = Counter(chooser.offer(1, f"r{number}", TOLD, nearest)["who"][0] for number in range(600))
    assert set(firsts) == set(nearest)
    assert min(firsts.values()) > 150
    assert set(chooser.offer(1, "r1", TOLD, nearest)["who"]) == set(nearest)


def test_question_lists_letters_where_some_are_offered_and_values_elsewhere(chooser: Chooser) -> None:
    offers = {"kind": ("claim", "question"), "length": ("5", "10"), "who": ("person 7", "person 3")}
    (message,) = chooser.render(offers, TOLD)
    assert message["content"] == (
        "a passage\nclaim: claim\nquestion: question\n5: 5\n10: 10\nA: person 7\nB: person 3\nclaim, question"
    )
    enums = {name: field["enum"] for name, field in chooser.aside.schema["properties"].items()}
    assert enums == {"kind": ["claim", "double", "question"], "length": ["10", "5"], "who": ["A", "B", "C"]}


def test_answer_is_read_as_the_values_offered(chooser: Chooser) -> None:
    offers = {"kind": ("claim", "question"), "length": ("5", "10"), "who": ("person 7", "person 3")}
    taken = chooser.read({"kind": "question", "length": "5", "who": "B"}, offers)
    assert taken == {"kind": "question", "length": "5", "who": "person 3"}
    assert chooser.read({"kind": "double", "length": "5", "who": "C"}, offers) == {"length": "5"}
    assert chooser.explain("who", offers["who"]) == "`who` must be one of A, B"


def test_slots_chosen_are_drawn_with_no_share_but_under_their_conditions(recipe: Recipe) -> None:
    for number in range(50):
        row = f"r{number}"
        planned = recipe.draw(1, row, TOLD)
        asked = recipe.draw(1, row, TOLD, {"kind": "question", "length": "5", "who": "person 1"})
        assert (asked["kind"], asked["length"], asked["who"]) == ("question", "5", "person 1")
        assert asked["tone"] == planned["tone"]
        assert recipe.draw(1, row, TOLD, {"kind": "claim", "length": "5", "who": "person 1"})["length"] == ""


def test_a_value_with_nearly_all_of_the_weight_does_not_stop_the_drawing() -> None:
    choice = Choice.of("who", {f"v{number}": 1e12 if number == 0 else 1e-12 for number in range(200)})
    assert choice.sample(3, 1, "r1") == ("v0",)


@pytest.mark.parametrize(
    ("choose", "question", "message"),
    [
        pytest.param(
            {"slots": ["nobody"], "offered": {}, "nearest": ""}, QUESTION, "a slot of choose is 'nobody'", id="slot"
        ),
        pytest.param({"offered": {"tone": 2}}, QUESTION, "a slot of choose.offered is 'tone'", id="offered"),
        pytest.param({"nearest": "kind"}, QUESTION, "choose.nearest is 'kind'", id="nearest"),
        pytest.param({"offered": {"who": 27}}, QUESTION, "27", id="too-many-letters"),
        pytest.param({}, None, "request.j2 is missing", id="no-question"),
        pytest.param({}, "{{ tone_options }}", "'tone_options', which will have no value", id="unknown-variable"),
        pytest.param({}, "{{ 1 / 0 }}", "fails with", id="fails"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    tmp_path: Path, choose: dict[str, object], question: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("mine", _write(tmp_path, question, **choose))


def test_nearest_to_a_passage_needs_one(tmp_path: Path) -> None:
    home = _write(tmp_path) / "mine" / "recipe.yaml"
    home.write_text(home.read_text() + "reads: nothing\n")
    with pytest.raises(ConfigError, match="choose.nearest needs reads: passages or pairs"):
        load_recipe("mine", tmp_path)


def test_description_tells_of_the_first_question(recipe: Recipe) -> None:
    text = describe_recipe(recipe)
    assert "on request (--two-step) a first question" in text
    assert "choose kind, length, who (of 3 offered, the nearest to the passage)" in text
    assert "--two-step" in describe_recipe(load_recipe("corpus"))
    assert "--two-step" not in describe_recipe(load_recipe("paraphrase"))


def test_prompts_of_a_step_change_its_hash_and_not_that_of_the_recipe(tmp_path: Path) -> None:
    before = load_recipe("mine", _write(tmp_path))
    (tmp_path / "mine" / "choose" / "request.j2").write_text(QUESTION + " now")
    after = load_recipe("mine", tmp_path)
    assert before.fingerprint() == after.fingerprint()
    assert before.chooser is not None
    assert after.chooser is not None
    assert before.chooser.aside.hashed != after.chooser.aside.hashed
