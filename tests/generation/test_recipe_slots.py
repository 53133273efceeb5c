from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from datagen.errors import ConfigError
from datagen.generation.recipes.slot_choices import Choice, Slot, build_choices

ROWS = [f"r{number}" for number in range(10_000)]
MOST_OFF = 300
"""6 standard deviations of a binomial count are at most this many of 10,000."""


def slot(**values: object) -> Slot:
    return Slot.model_validate(values)


def draw_all(choice: Choice, earlier: dict[str, str], variables: dict[str, str]) -> Counter[str]:
    return Counter(choice.draw(1, row, earlier, variables) for row in ROWS)


def assert_close(counts: Counter[str], expected: dict[str, float]) -> None:
    assert set(counts) == set(expected)
    assert all(abs(counts[value] - number) < MOST_OFF for value, number in expected.items())


def test_value_is_drawn_only_where_its_variable_is_not_empty(tmp_path: Path) -> None:
    slots = {"kind": slot(values={"a": 5, "b": 3, "c": 2}, needs={"b": "linked_text"})}
    (kind,) = build_choices(slots, [tmp_path], ["linked_text"])
    assert_close(draw_all(kind, {}, {"linked_text": "x"}), {"a": 5000, "b": 3000, "c": 2000})
    without = [kind.draw(1, row, {}, {"linked_text": ""}) for row in ROWS]
    assert_close(Counter(without), {"a": 10_000 * 5 / 7, "c": 10_000 * 2 / 7})
    assert [kind.draw(1, row, {}) for row in ROWS[:100]] == without[:100]  # not told is empty
    told = [kind.draw(1, row, {}, {"linked_text": "x"}) for row in ROWS]
    assert all(one == other for one, other in zip(told, without, strict=True) if one != "b")


def test_slot_is_drawn_only_where_the_variable_it_needs_is_not_empty(tmp_path: Path) -> None:
    (kind,) = build_choices({"kind": slot(values=["a"], needs="title", otherwise="none")}, [tmp_path], ["title"])
    assert kind.draw(1, "r", {}, {"title": "x"}) == "a"
    assert kind.draw(1, "r", {}, {"title": ""}) == "none"
    assert kind.instead == ("none",)


def test_nothing_is_drawn_where_no_value_can_be(tmp_path: Path) -> None:
    (kind,) = build_choices({"kind": slot(values=["a"], needs={"a": "title"})}, [tmp_path], ["title"])
    assert kind.draw(1, "r", {}) == ""


@pytest.mark.parametrize("barred", ["a", "b", "c"])
def test_unlike_takes_the_value_of_an_earlier_slot_away_and_keeps_the_other_weights(
    tmp_path: Path, barred: str
) -> None:
    weights = {"a": 5.0, "b": 3.0, "c": 2.0}
    slots = {"first": slot(values=weights), "second": slot(values=weights, unlike="first")}
    second = build_choices(slots, [tmp_path])[1]
    left = {value: weight for value, weight in weights.items() if value != barred}
    expected = {value: 10_000 * weight / sum(left.values()) for value, weight in left.items()}
    assert_close(draw_all(second, {"first": barred}, {}), expected)


def test_values_from_takes_words_from_the_file_and_files_from_the_first_folder_that_has_them(tmp_path: Path) -> None:
    part, recipe = tmp_path / "part", tmp_path
    part.mkdir()
    (recipe / "languages.csv").write_text('value,weight,in_words\nen,3,English\nde,1,"German, new"\n', "utf-8")
    (recipe / "places.txt").write_text("Oslo\n", "utf-8")
    (part / "places.txt").write_text("Rome\n", "utf-8")
    slots = {
        "language": slot(values_from="languages.csv", in_words={"en": "English of England"}),
        "place": slot(values_from="places.txt"),
    }
    language, place = build_choices(slots, [part, recipe])
    assert language.in_words == {"en": "English of England", "de": "German, new"}
    assert language.weights == {"de": 0.25, "en": 0.75}
    assert place.values == ("Rome",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"needs": "tilte"}, "unknown variable in slots.new.needs 'tilte': choose one of title", id="slot"),
        pytest.param({"needs": {"a": "tilte"}}, "unknown variable in slots.new.needs 'tilte'", id="value"),
        pytest.param({"unlike": "old"}, "unknown earlier slot in slots.new.unlike 'old'", id="unlike"),
        pytest.param({"unlike": "new"}, "unknown earlier slot in slots.new.unlike 'new'", id="unlike-itself"),
    ],
)
def test_names_that_are_not_there_are_refused(tmp_path: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_choices({"new": slot(values=["a"], **values)}, [tmp_path], ["title"])


def test_needs_of_a_value_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match="`needs` names 'b', which is none of the values"):
        slot(values=["a"], needs={"b": "title"})
