"""The recipe e5: its slots have the published values and weights, and each part says what it must."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from datagen.generation.outcome import Source
from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.language_names import find_language
from datagen.generation.recipes.load import Recipe, load_recipe

ROWS = [f"row {number}" for number in range(20_000)]
CHI_SQUARE = {
    1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 6: 22.46, 7: 24.32, 8: 26.12, 9: 27.88, 10: 29.59, 97: 144.6,
    130: 184.8, 359: 447.9,
}  # fmt: skip
"""What a sum of squares passes once in 1,000 by chance, for each number of degrees of freedom."""
TASK = "Given a question about bees, find a text that answers it."
READ_TASKS = ("short_long", "long_short", "short_short", "long_long")
PARTS = (*READ_TASKS, "sts", "bitext")
ENGLISH = {"language": "en"}

QUERY_LENGTH = {"less than 5 words": 0.4, "5 to 15 words": 0.4, "at least 10 words": 0.2}
CLARITY = {"clear": 0.6, "understandable with some effort": 0.2, "ambiguous": 0.2}
HALF_OF_THREE = {"": 0.5, "high school": 0.5 / 3, "college": 0.5 / 3, "PhD": 0.5 / 3}
HALF_OF_THREE_LOWER = {"": 0.5, "elementary school": 0.5 / 3, "high school": 0.5 / 3, "college": 0.5 / 3}
UNIT = {"sentence": 0.9, "phrase": 0.05, "passage": 0.05}
THIRDS_HIGH = dict.fromkeys(["4", "4.5", "5"], 1 / 3)
THIRDS_LOW = dict.fromkeys(["2.5", "3", "3.5"], 1 / 3)
PUBLISHED: list[tuple[str, str, dict[str, float]]] = [
    ("short_long", "query_type", {"extremely long-tail": 0.4, "long-tail": 0.5, "common": 0.1}),
    ("short_long", "query_length", QUERY_LENGTH),
    ("short_long", "clarity", CLARITY),
    ("short_long", "difficulty", HALF_OF_THREE),
    ("short_long", "num_words", dict.fromkeys(["50", "100", "200", "300", "400", "500"], 1 / 6)),
    (
        "long_short",
        "num_words",
        {"less than 10": 0.1, "at least 10": 0.3, "at least 50": 0.2, "at least 100": 0.2, "at least 200": 0.2},
    ),
    ("long_short", "clarity", CLARITY),
    ("long_short", "difficulty", HALF_OF_THREE),
    ("sts", "unit", UNIT),
    ("sts", "high", THIRDS_HIGH),
    ("sts", "low", THIRDS_LOW),
    ("sts", "difficulty", HALF_OF_THREE_LOWER),
    ("bitext", "unit", UNIT),
    ("bitext", "high", THIRDS_HIGH),
    ("bitext", "low", THIRDS_LOW),
    ("bitext", "difficulty", HALF_OF_THREE_LOWER),
]


@pytest.fixture(scope="module")
def e5() -> Recipe:
    return load_recipe("e5")


@pytest.fixture(scope="module")
def drawn(e5: Recipe) -> dict[str, list[dict[str, str]]]:
    """The slots of all rows, by part."""
    rows: dict[str, list[dict[str, str]]] = {name: [] for name in PARTS}
    for row in ROWS:
        rows[e5.for_row(3, row).name].append(e5.for_row(3, row).draw(3, row, ENGLISH))
    return rows


def source(group: str) -> Source:
    return Source("row", None, "", None, {"task": TASK, "group": group, "topic": "bees"})


def chi_square(counts: Mapping[str, int], weights: Mapping[str, float]) -> float:
    names = sorted(weights)
    seen = np.array([counts.get(name, 0) for name in names], dtype=np.float64)
    wanted = np.array([weights[name] for name in names], dtype=np.float64)
    wanted *= seen.sum() / wanted.sum()
    return float(((seen - wanted) ** 2 / wanted).sum())


def assert_as_planned(counts: Mapping[str, int], weights: Mapping[str, float]) -> None:
    assert set(counts) <= set(weights)
    assert chi_square(counts, weights) < CHI_SQUARE[len(weights) - 1]


def as_listed(recipe: Recipe, slot: str) -> dict[str, float]:
    return next(choice.weights for choice in recipe.choices if choice.name == slot)


def test_chi_square_sees_weights_that_were_made_equal() -> None:
    rows = {"a": 6667, "b": 6667, "c": 6666}
    assert chi_square(rows, {"a": 0.4, "b": 0.4, "c": 0.2}) > 100 * CHI_SQUARE[2]


def test_parts_have_rows_by_their_weights(e5: Recipe, drawn: dict[str, list[dict[str, str]]]) -> None:
    assert set(e5.parts) == set(PARTS)
    assert_as_planned({name: len(rows) for name, rows in drawn.items()}, e5.spec.parts)


@pytest.mark.parametrize(("part", "slot", "weights"), PUBLISHED, ids=[f"{part}-{slot}" for part, slot, _ in PUBLISHED])
def test_slots_have_the_published_values_and_weights(
    drawn: dict[str, list[dict[str, str]]], part: str, slot: str, weights: dict[str, float]
) -> None:
    assert_as_planned(Counter(row[slot] for row in drawn[part]), weights)


@pytest.mark.parametrize("part", PARTS)
def test_order_of_the_rules_and_wordings_are_drawn_alike(drawn: dict[str, list[dict[str, str]]], part: str) -> None:
    orders = Counter(row["rule_order"] for row in drawn[part])
    assert len(orders) == 8
    assert len({"".join(sorted(order)) for order in orders}) == 1
    assert_as_planned(orders, dict.fromkeys(orders, 1 / 8))
    assert_as_planned(Counter(row["wording"] for row in drawn[part]), dict.fromkeys(["request", "scene", "dataset"], 1))


def test_languages_follow_the_plan(e5: Recipe, drawn: dict[str, list[dict[str, str]]]) -> None:
    lines = (e5.folder / "languages.csv").read_text(encoding="utf-8").splitlines()
    plan = {row["value"]: float(row["weight"]) for row in csv.DictReader(line for line in lines if line[0] != "#")}
    assert Counter(plan.values()) == {0.431: 1, 0.029: 13, 0.0023: 84}
    assert plan["en"] == 0.431
    rows = [row for part in ("short_long", "long_short", "sts") for row in drawn[part]]
    assert_as_planned(Counter(row["language"] for row in rows), plan)
    assert_as_planned(Counter(row["source_language"] for row in drawn["bitext"]), plan)


def test_bitext_has_two_languages(drawn: dict[str, list[dict[str, str]]]) -> None:
    assert all(row["source_language"] != row["target_language"] for row in drawn["bitext"])
    foreign = Counter(row["target_language"] == "en" for row in drawn["bitext"] if row["source_language"] == "de")
    assert_as_planned(
        {"en": foreign[True], "other": foreign[False]}, {"en": 0.431, "other": 0.377 - 0.029 + 84 * 0.0023}
    )


def test_brainstorm_draws_groups_and_topics_by_weight(e5: Recipe) -> None:
    storm = e5.brainstorm
    assert storm is not None
    rows = [storm.draw(3, row) for row in ROWS]
    groups = as_listed(storm, "group")
    assert set(groups) == set(READ_TASKS)
    assert_as_planned(Counter(row["group"] for row in rows), groups)
    topics = as_listed(storm, "topic")
    assert len(topics) == 360
    assert_as_planned(Counter(row["topic"] for row in rows), topics)


def test_corpus_draws_its_slots_by_weight() -> None:
    corpus = load_recipe("corpus")
    told = {"title": "t", "text": "x", "language": "en", "linked_text": "y"}
    rows = [corpus.draw(3, row, told) for row in ROWS]
    for slot in ("query_type", "query_length", "difficulty", "persona", "wording"):
        assert_as_planned(Counter(filter(None, (row[slot] for row in rows))), as_listed(corpus, slot))


def test_two_draws_are_equal(drawn: dict[str, list[dict[str, str]]]) -> None:
    again = load_recipe("e5")
    for name, rows in drawn.items():
        mine = [row for row in ROWS if again.for_row(3, row).name == name]
        assert [again.parts[name].draw(3, row, ENGLISH) for row in mine[:300]] == rows[:300]


ANSWERS: dict[str, dict[str, str]] = {
    "short_long": {"user_query": "why bees dance", "positive_document": "p" * 80, "hard_negative_document": "n" * 80},
    "long_short": {"input_text": "My hive hums.", "label": "swarming", "misleading_label": "robbing"},
    "short_short": {"input": "bee keeper", "positive_document": "one who looks after hives"},
    "long_long": {"input": "a" * 120, "positive_document": "b" * 120},
    "sts": {"S1": "Bees fly.", "S2": "Bees are in flight.", "S3": "Bees fly at night."},
    "bitext": {"S1": "Bees fly.", "S2": "Bienen fliegen.", "S3": "Bienen fliegen nachts."},
}


@pytest.mark.parametrize("name", PARTS)
def test_schema_lists_the_published_keys_and_written_fills_the_roles(e5: Recipe, name: str) -> None:
    part, answer = e5.parts[name], ANSWERS[name]
    assert part.schema["required"] == list(part.schema["properties"]) == list(answer)
    assert read_answer(json.dumps(answer), part.answer_model).rung == "strict"
    slots = {**part.draw(1, "r"), "query_length": "at least 10 words"}
    written = part.written(answer, source(name), slots)
    texts = [written.query, written.passage, written.negative]
    assert [text for text in texts if text is not None] == list(answer.values())
    assert written.instruction == (TASK if name in READ_TASKS else slots["instruction"])
    assert part.kind(slots) == name


DRAWN = {
    "query_length": "5 to 15 words", "num_words": "50", "language": "en", "source_language": "en",
    "target_language": "de",
}  # fmt: skip
GOOD: dict[str, dict[str, str]] = {
    "short_long": {
        "user_query": "why do my bees dance on the comb",
        "positive_document": "A forager that comes home with news runs in a figure of eight. The angle of its run "
        "tells the others where the flowers are, and the length of it how far they have to fly.",
        "hard_negative_document": "Comb is built from wax that young workers sweat out in small scales. They chew it "
        "soft, and hang in chains while they build, so that the rows come out straight.",
    },
    "long_short": {
        "input_text": "Since Monday the hive has been humming all night, and the queen has not been seen for a week.",
        "label": "about to swarm",
        "misleading_label": "robbed by wasps",
    },
    "short_short": {"input": "keeper of bees", "positive_document": "someone who looks after hives for honey"},
    "long_long": {
        "input": "The orchard stood in full flower when the hives arrived on a lorry, at night and under nets. " * 2,
        "positive_document": "Growers pay for pollination by the box, and a good spring brings the best price of all. "
        "Drivers know the roads that are smooth enough for their load.",
    },
    "sts": {
        "S1": "Two keepers lift the roof of the hive.",
        "S2": "The top of the beehive is taken off by two beekeepers.",
        "S3": "Three keepers lift the roof of the hive.",
    },
    "bitext": {
        "S1": "The keeper lifts the roof of the hive at noon.",
        "S2": "Die Imkerin hebt mittags das Dach des Bienenstocks ab.",
        "S3": "Die Imkerin hebt abends das Dach des Bienenstocks ab.",
    },
}
GERMAN = "Wir haben im Herbst die Kästen eingewintert und gehofft, dass der Winter nicht zu lang wird. " * 2
REFUSAL = "I'm sorry, but I can't help with that request."
BROKEN = [
    ("short_long", {"user_query": REFUSAL}, "refusal"),
    ("short_long", {"positive_document": GERMAN}, "wrong_language"),
    ("short_long", {"user_query": "what does the passage say about the dance"}, "query_depends_on_passage"),
    ("short_long", {"user_query": " ".join(["why do bees dance"] * 8)}, "query_length"),
    ("short_long", {"positive_document": "They dance to show the others where the flowers are."}, "document_length"),
    ("short_long", {"user_query": "where the flowers are"}, "query_in_document"),
    ("short_long", {"hard_negative_document": GOOD["short_long"]["positive_document"]}, "negative_like_positive"),
    ("long_short", {"label": "humming"}, "label_leak"),
    ("long_short", {"misleading_label": "queen"}, "label_leak"),
    ("long_short", {"misleading_label": "About to swarm."}, "same_label"),
    ("long_short", {"input_text": "It hums."}, "text_length"),
    ("short_short", {"positive_document": "Keeper of the bees"}, "same_text_twice"),
    ("long_long", {"positive_document": GERMAN}, "wrong_language"),
    ("sts", {"S3": "Two keepers lift the roof of the hive!"}, "same_text_twice"),
    ("bitext", {"S2": GOOD["bitext"]["S1"]}, "wrong_language"),
    ("bitext", {"S3": GOOD["bitext"]["S2"]}, "same_text_twice"),
]


@pytest.mark.parametrize("name", PARTS)
def test_good_answer_breaks_no_check(e5: Recipe, name: str) -> None:
    slots = {**e5.parts[name].draw(1, "r"), **DRAWN}
    assert e5.parts[name].check(GOOD[name], source(name), slots) == ""


@pytest.mark.parametrize(("name", "change", "reason"), BROKEN)
def test_broken_answer_is_refused_with_its_reason(e5: Recipe, name: str, change: dict[str, str], reason: str) -> None:
    slots = {**e5.parts[name].draw(1, "r"), **DRAWN}
    slots["num_words"] = "at least 50" if reason == "text_length" else slots["num_words"]
    assert e5.parts[name].check({**GOOD[name], **change}, source(name), slots) == reason


def test_every_language_of_the_plan_can_be_checked(e5: Recipe) -> None:
    for choice in e5.parts["short_long"].choices:
        for code, name in choice.in_words.items() if choice.name == "language" else ():
            assert find_language(code) is not None
            assert find_language(code) == find_language(name)


@pytest.mark.parametrize("name", PARTS)
def test_prompt_says_what_the_slots_say(e5: Recipe, name: str) -> None:
    part = e5.parts[name]
    for row in ROWS[:100]:
        slots = part.draw(5, row)
        system, user = part.render(slots, part.variables(source(name)))
        said = [slots[slot] for slot in ("num_words", "query_length", "high", "low", "difficulty") if slot in slots]
        said += [part_of for slot in slots if slot.endswith("language") for part_of in [in_words(part, slots, slot)]]
        assert all(text in user["content"] for text in said)
        assert (f"<task>\n{TASK}\n</task>" in user["content"]) is (name in READ_TASKS)
        rules = re.findall(r"^- \S.*[.]$", user["content"], re.MULTILINE)
        missing = "difficulty" in slots and not slots["difficulty"]
        assert len(rules) == len(slots["rule_order"]) - missing
        assert "JSON" in system["content"]


def in_words(part: Recipe, slots: Mapping[str, str], slot: str) -> str:
    words = next(choice.in_words for choice in part.choices if choice.name == slot)
    return words[slots[slot]]


def test_rules_stand_in_the_order_drawn(e5: Recipe) -> None:
    part = e5.parts["sts"]
    slots = {**part.draw(5, "row"), "difficulty": "college"}
    prompts = [part.render({**slots, "rule_order": order}, {})[1]["content"] for order in ("abcdef", "fedcba")]
    rules = [re.findall(r"^- (.*)$", prompt, re.MULTILINE) for prompt in prompts]
    assert rules[0] == rules[1][::-1]


def test_brainstorm_keeps_classification_away_from_what_everybody_names(e5: Recipe) -> None:
    storm = e5.brainstorm
    assert storm is not None
    avoided = ["sentiment", "subject", "field", "genre", "topic", "spam", "urgency", "language"]
    for group in READ_TASKS:
        slots = {**storm.draw(1, "row"), "group": group, "topic": "bees"}
        text = storm.render(slots, {})[1]["content"]
        assert "<topic>\nbees\n</topic>" in text
        rule = next((line for line in text.splitlines() if "Keep away from" in line), "")
        assert [word for word in avoided if word in rule] == (avoided if group == "long_short" else [])
