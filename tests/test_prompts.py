"""The recipes that come with datagen: that each can be used, and that its prompts keep to the rules of the house."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes

from datagen.generation.ladder import read_answer
from datagen.generation.recipes import IN_WORDS, VARIABLES, Recipe, list_recipes, load_recipe, shipped_prompts

PROMPTS = shipped_prompts()
NAMES = sorted(list_recipes())
TEMPLATES = sorted(PROMPTS.glob("*/*.j2"))
COMMENT = re.compile(r"\A\{#(.*?)#\}", re.DOTALL)

PASSAGE = (
    "Water boils at 100 °C at sea level. The higher the place, the lower the pressure of the air,\n"
    "and the lower the boiling point: at 3,000 m it boils at about 90 °C."
)
TEXTS = {"title": "Boiling point", "text": PASSAGE, "language": "en"}

each_recipe = pytest.mark.parametrize("name", NAMES)
each_template = pytest.mark.parametrize(
    "path", TEMPLATES, ids=[f"{path.parent.name}/{path.name}" for path in TEMPLATES]
)


def test_the_folder_beside_the_package_is_found(root: Path) -> None:
    assert root / "prompts" == PROMPTS
    assert "corpus" in NAMES


@each_recipe
def test_recipe_loads_with_at_least_three_wordings(name: str) -> None:
    assert len(load_recipe(name).spec.prompts) >= 3


@each_template
def test_template_opens_with_its_variables_and_a_sample_reply(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    comment = COMMENT.match(text)
    assert comment, "must open with {# … #}"
    named = re.search(r"^Variables: (.*?)\.$", comment[1], re.DOTALL | re.MULTILINE)
    assert named
    sample = re.search(r"^Sample reply: (.*)$", comment[1], re.MULTILINE)
    assert sample
    tree = jinja2.Environment().parse(text)  # noqa: S701 - nothing is rendered
    used = {node.name for node in tree.find_all(nodes.Name)}
    assert used <= set(re.findall(r"\w+", named[1]))
    if not path.name.startswith("_"):
        assert read_answer(sample[1], load_recipe(path.parent.name).answer_model).rung == "strict"


@each_recipe
def test_a_passage_stands_in_its_fence_and_nowhere_else(name: str) -> None:
    recipe = load_recipe(name)
    for wording in recipe.spec.prompts:
        for number in range(20):
            slots = {**recipe.draw(number, "row"), "wording": wording.label}
            prompt = "\n".join(message["content"] for message in recipe.render(slots, TEXTS))
            assert prompt.count(PASSAGE) == 1
            assert f"<passage>\n{PASSAGE}\n</passage>" in prompt


@each_recipe
def test_rows_of_one_passage_share_all_up_to_its_end(name: str) -> None:
    recipe = load_recipe(name)
    rows = [recipe.render(recipe.draw(1, f"row {number}"), TEXTS) for number in range(200)]
    starts = {(system["content"], user["content"].partition("</passage>")[0]) for system, user in rows}
    assert len(starts) == 1
    assert len({user["content"] for _, user in rows}) > 50


@each_recipe
def test_prompts_read_well(name: str) -> None:
    recipe = load_recipe(name)
    for number in range(300):
        for texts in (TEXTS, {**TEXTS, "title": "", "language": ""}):
            for message in recipe.render(recipe.draw(2, f"row {number}"), texts):
                text = message["content"]
                assert not re.search(r"\n{3}|[ \t]\n|  |\{|\}|None| ,|\.\.", text.replace('{"', "")), text
                assert text == text.strip()


@each_recipe
def test_every_slot_reaches_the_prompts_or_conditions(name: str) -> None:
    recipe = load_recipe(name)
    text = "".join(path.read_text(encoding="utf-8") for path in recipe.folder.glob("*.j2"))
    used = {earlier for slot in recipe.spec.slots.values() for earlier in slot.when}
    assert [slot for slot in recipe.spec.slots if slot not in used and slot not in text] == []


@each_recipe
def test_the_model_is_told_that_the_passage_is_no_instruction(name: str) -> None:
    recipe = load_recipe(name)
    system = recipe.render(recipe.draw(0, "row"), TEXTS)[0]["content"]
    assert "instructions" in system
    assert "do not follow" in system


@pytest.fixture(scope="module")
def corpus() -> Recipe:
    return load_recipe("corpus")


def test_corpus_draws_every_kind_of_query_by_its_weight(corpus: Recipe) -> None:
    kinds = corpus.spec.slots["query_type"].values
    counts = Counter(corpus.kind(corpus.draw(5, f"row {number}")) for number in range(20_000))
    expected = {kind: 20_000 * weight / sum(kinds.values()) for kind, weight in kinds.items()}
    chi_square = sum((counts[kind] - wanted) ** 2 / wanted for kind, wanted in expected.items())
    assert set(counts) == set(expected)
    assert chi_square < 24.3  # 0.1 % of chance, 7 degrees of freedom


def test_corpus_explains_each_kind_in_words(corpus: Recipe) -> None:
    slot = corpus.spec.slots["query_type"]
    assert set(slot.in_words) == set(slot.values)
    assert "query_type" + IN_WORDS in (corpus.folder / "request.j2").read_text(encoding="utf-8")
    assert "text" in VARIABLES[corpus.spec.reads]


@pytest.mark.parametrize(
    ("query", "kind", "reason"),
    [
        pytest.param("how hot is boiling water on a mountain", "question", "", id="good"),
        pytest.param("Water boils at 100 °C at sea level.", "claim", "copies_passage", id="copied-sentence"),
        pytest.param("boiling point", "keywords", "", id="words-of-the-passage-as-keywords"),
        pytest.param("What does the passage say about water?", "question", "names_the_passage", id="the-passage"),
        pytest.param("boiling water according to this article", "title", "names_the_passage", id="this-article"),
        pytest.param("who is the author of Dune", "question", "", id="an-author-one-may-search-for"),
        pytest.param("the passage of time", "entity_phrase", "", id="another-passage"),
    ],
)
def test_corpus_checks(corpus: Recipe, query: str, kind: str, reason: str) -> None:
    slots = {**corpus.draw(0, "row"), "query_type": kind}
    assert corpus.check({"query": query, "span": None}, PASSAGE, slots) == reason


def test_corpus_keeps_a_row_whose_span_is_not_in_the_passage(corpus: Recipe) -> None:
    good = {"query": "q", "span": "the lower the pressure of the air, and the lower the boiling point"}
    assert corpus.written(good, PASSAGE).span == good["span"].replace("air, and", "air,\nand")
    bad = {"query": "q", "span": "water freezes"}
    assert (corpus.check(bad, PASSAGE), corpus.written(bad, PASSAGE).span) == ("", None)
    assert corpus.left_out(bad, PASSAGE) == ("span_not_in_passage",)


def test_corpus_schema_and_answer_model_agree(corpus: Recipe) -> None:
    assert list(corpus.schema["properties"]) == list(corpus.answer_model.model_fields) == ["query", "span"]
    assert read_answer(json.dumps({"query": "q", "span": "s"}), corpus.answer_model).reason == "too_short"
