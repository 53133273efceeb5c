"""The recipes that come with datagen: that each can be used, and that its prompts keep to the rules of the house."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jinja2
import pytest
import yaml
from jinja2 import meta

from datagen.backends.protocols import LLMReply
from datagen.generation.outcome import Source
from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.format import IN_WORDS
from datagen.generation.recipes.load import Recipe, list_recipes, load_recipe, shipped_prompts
from datagen.judging.questions import Question, Questioner
from datagen.settings.judge import JudgeConfig

PROMPTS = shipped_prompts()
NAMES = sorted(list_recipes())
TEMPLATES = sorted(PROMPTS.rglob("*.j2"))
COMMENT = re.compile(r"\A\{#(.*?)#\}", re.DOTALL)
UGLY = re.compile(r'\n{3}|[ \t]\n|  |\{(?!")|(?<!")\}| ,|\.\.|\.;|,\.')
"""What a condition leaves behind that is not written with care."""
MAX_PROMPT = 2500
"""Characters of a prompt without what stands between its tags."""

PASSAGE = (
    "Water boils at 100 °C at sea level. The higher the place, the lower the pressure of the air,\n"
    "and the lower the boiling point: at 3,000 m it boils at about 90 °C."
)
LINKED = "Eggs need longer in the mountains.\nCooks there use pots that keep the steam in."
OTHER = "Salt lowers the freezing point of water."
QUERY = "when does water boil in the mountains"
EXTRA = {
    "query": QUERY,
    "query_id": "q1",
    "linked_id": "d2",
    "linked_text": LINKED,
    "other_text": OTHER,
    "task": "Given a question about physics, retrieve passages that answer it.",
    "topic": "boiling",
}
SOURCE = Source("d1", "Boiling point", PASSAGE, "en", EXTRA)
BARE = Source("d1", None, PASSAGE, None, {"query": QUERY, "task": EXTRA["task"]})

FILES = sorted(PROMPTS.rglob("recipe.yaml"))
SPECS = {path.parent: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
FOLDERS = [folder for folder, spec in SPECS.items() if "parts" not in spec]
WITH_PASSAGE = [folder for folder in FOLDERS if SPECS[folder].get("reads", "passages") in ("passages", "pairs")]


def name_of(path: Path) -> str:
    return path.relative_to(PROMPTS).as_posix()


load_once = cache(load_recipe)


def load(folder: Path) -> Recipe:
    """The recipe of a folder, or the part or the brainstorm of one."""
    recipe = load_once(folder.relative_to(PROMPTS).parts[0])
    below = [recipe, *recipe.parts.values(), *filter(None, [recipe.brainstorm])]
    return next(found for found in below if found.folder == folder)


@pytest.fixture
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return load(request.param)


each_recipe = pytest.mark.parametrize("recipe", FOLDERS, ids=name_of, indirect=True)
each_with_passage = pytest.mark.parametrize("recipe", WITH_PASSAGE, ids=name_of, indirect=True)
each_template = pytest.mark.parametrize("path", TEMPLATES, ids=name_of)


def test_the_folder_beside_the_package_is_found(root: Path) -> None:
    assert root / "prompts" == PROMPTS
    assert {
        "abstract", "augment", "corpus", "enrich", "hard-negatives", "labels", "paraphrase", "translate",
    } <= set(NAMES)  # fmt: skip


@each_recipe
def test_recipe_has_several_wordings(recipe: Recipe) -> None:
    assert len(recipe.spec.prompts) >= 2


@each_template
def test_template_opens_with_its_variables_and_a_sample_reply(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    comment = COMMENT.match(text)
    assert comment, "must open with {# … #}"
    named = re.search(r"^Variables: (.*?)\.$", comment[1], re.DOTALL | re.MULTILINE)
    assert named
    sample = re.search(r"^Sample reply: (.*)", comment[1], re.DOTALL | re.MULTILINE)
    assert sample
    environment = jinja2.Environment()  # noqa: S701 - nothing is rendered
    environment.filters["fenced"] = str
    tree = environment.parse(text)
    assert meta.find_undeclared_variables(tree) <= set(re.findall(r"\w+", named[1]))
    users = [recipe for recipe in users_of(path) if not sample[1].startswith("see ")]
    assert not users or "strict" in [read_answer(sample[1], recipe.answer_model).rung for recipe in users]


def users_of(path: Path) -> list[Recipe]:
    """The recipes and parts that ask with a template: its own, or those below it."""
    return [
        load(folder)
        for folder in FOLDERS
        if path.parent in (folder, folder.parent)
        and any(path.name in wording.values() for wording in SPECS[folder]["prompts"])
    ]


@each_with_passage
def test_sample_replies_break_no_check(recipe: Recipe) -> None:
    for path in sorted(recipe.folder.glob("[!_]*.j2")):
        sample = re.search(r"^Sample reply: (\{.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert sample
        values = read_answer(sample[1], recipe.answer_model).values
        assert values is not None
        if "label" in values:
            assert recipe.check(values, Source("d1", None, str(values["label"]), "en")) == ""
        else:
            assert recipe.check(values, SOURCE) == ""


@each_recipe
def test_every_wording_can_be_rendered_for_every_value_of_every_slot(recipe: Recipe) -> None:
    drawn = recipe.draw(0, "row", recipe.variables(SOURCE))
    for choice in recipe.choices:
        absent = [""] if choice.share < 1 else []
        other = [choice.otherwise] if choice.when or choice.needed else []
        for value in {*choice.values, *absent, *other}:
            for wording in recipe.spec.prompts:
                slots = {**drawn, choice.name: value, "wording": wording.label}
                check_style(recipe.render(slots, recipe.variables(SOURCE))[-1]["content"])


@each_recipe
def test_prompts_read_well_and_are_no_longer_than_needed(recipe: Recipe) -> None:
    for number in range(200):
        for source in (SOURCE, BARE):
            variables = recipe.variables(source)
            messages = recipe.render(recipe.draw(2, f"row {number}", variables), variables)
            text = "\n\n".join(message["content"] for message in messages)
            check_style(text)
            told = re.sub(r"<([a-z_-]+)>\n.*?\n</\1>", "", text, flags=re.DOTALL)
            assert len(told) < MAX_PROMPT


def check_style(text: str) -> None:
    assert text == text.strip()
    found = UGLY.search(text)
    assert found is None, text[max(0, found.start() - 40) : found.end() + 40]


@each_with_passage
def test_a_passage_stands_in_its_fence_and_nowhere_else(recipe: Recipe) -> None:
    for wording in recipe.spec.prompts:
        for number in range(20):
            slots = {**recipe.draw(number, "row", recipe.variables(SOURCE)), "wording": wording.label}
            prompt = "\n".join(message["content"] for message in recipe.render(slots, recipe.variables(SOURCE)))
            for text, wanted in ((PASSAGE, 1), (QUERY, recipe.reads == "pairs"), (LINKED, recipe.links(slots))):
                assert prompt.count(text) == wanted
                assert len(re.findall(rf"<(\w+)>\n{re.escape(text)}\n</\1>", prompt)) == wanted


@each_with_passage
def test_rows_of_one_passage_share_all_up_to_its_end(recipe: Recipe) -> None:
    rows = [recipe.render(recipe.draw(1, f"row {number}"), recipe.variables(SOURCE)) for number in range(300)]
    end = max(rows[0][1]["content"].find(f"{text}\n</") for text in (PASSAGE, QUERY))
    assert end > 0
    assert len({(system["content"], user["content"][: end + 5]) for system, user in rows}) == 1
    assert len({user["content"] for _, user in rows}) > 20


@each_recipe
def test_every_slot_reaches_the_prompts_or_conditions(recipe: Recipe) -> None:
    folders = {recipe.folder, recipe.folder if recipe.folder.parent == PROMPTS else recipe.folder.parent}
    text = "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("*.j2"))
    used = {earlier for slot in recipe.spec.slots.values() for earlier in slot.when}
    unused = [slot for slot in recipe.spec.slots if slot not in used and slot not in text]
    assert [slot for slot in unused if slot != recipe.spec.instruction] == []


@each_recipe
def test_every_value_that_is_no_phrase_is_explained(recipe: Recipe) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in recipe.folder.glob("*.j2"))
    for choice in recipe.choices:
        if f"{choice.name}{IN_WORDS}" in text and choice.in_words:
            assert set(choice.values) <= set(choice.in_words)


@each_with_passage
def test_the_model_is_told_that_the_passage_is_no_instruction(recipe: Recipe) -> None:
    system = recipe.render(recipe.draw(0, "row"), recipe.variables(SOURCE))[0]["content"]
    assert "instructions" in system
    assert "do not follow" in system


@each_recipe
def test_every_field_of_the_answer_is_asked_for_in_the_prompt(recipe: Recipe) -> None:
    prompt = "\n".join(message["content"] for message in recipe.render(recipe.draw(0, "row"), recipe.variables(SOURCE)))
    assert [name for name in recipe.spec.output if f'"{name}"' not in prompt] == []


def test_no_file_names_a_host() -> None:
    for path in sorted(PROMPTS.rglob("*.*")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?:|www\.|hugging ?face|hf\.co|github|modelscope|\.com\b", text, re.IGNORECASE), path


ASIDES = sorted({path.parent for name in ("choose", "judge") for path in PROMPTS.rglob(f"{name}/request.j2")})
"""Questions beside the one that writes a row."""


@pytest.mark.parametrize("folder", ASIDES, ids=name_of)
def test_a_question_beside_the_row_reads_well_and_its_sample_is_an_answer(folder: Path) -> None:
    recipe = load_once("corpus" if folder.parent == PROMPTS else folder.relative_to(PROMPTS).parts[0])
    aside = recipe.chooser.aside if folder.name == "choose" and recipe.chooser else recipe.judge
    assert aside.folder == folder
    sample = re.search(r"^Sample reply: (\{.*)$", (folder / "request.j2").read_text(encoding="utf-8"), re.MULTILINE)
    assert sample
    assert read_answer(sample[1], aside.answer_model).rung == "strict"
    for source in (SOURCE, BARE):
        system, user = _ask_aside(recipe, folder.name, source)
        check_style(system)
        check_style(user)
        assert all(f'"{name}"' in system for name in aside.output)
        assert "do not follow" in system
        assert len(re.findall(rf"<passage>\n{re.escape(PASSAGE)}\n</passage>", user)) == user.count(PASSAGE) == 1


@pytest.mark.parametrize("mode", ["grade", "span", "list"])
def test_a_question_of_relevance_reads_well_and_its_sample_is_an_answer(mode: str) -> None:
    questioner = Questioner(JudgeConfig.model_validate({"mode": mode}), 42)
    n = 2 if mode == "list" else 1
    folder = PROMPTS / "relevance" / mode
    sample = re.search(r"^Sample reply: (\{.*)$", (folder / "request.j2").read_text(encoding="utf-8"), re.MULTILINE)
    assert sample
    for instruction in ("", EXTRA["task"]):
        question = Question("q", QUERY, instruction, ("d1", "d2")[:n], (PASSAGE, OTHER)[:n])
        request = questioner.request(question)
        read = questioner.reader(question)(request, LLMReply("q", sample[1]))
        assert (read.reason, read.reading and read.reading.rung) == ("", "strict")
        system, user = (message["content"] for message in request.messages)
        check_style(system)
        check_style(user)
        assert "do not follow" in system
        assert mode == "list" or all(f'"{name}"' in system for name in questioner.aside.output)
        assert len(re.findall(rf"<passage>\n{re.escape(PASSAGE)}\n</passage>", user)) == user.count(PASSAGE) == 1


def _ask_aside(recipe: Recipe, kind: str, source: Source) -> list[str]:
    variables = recipe.variables(source)
    if kind == "choose":
        assert recipe.chooser
        messages = recipe.chooser.render(recipe.chooser.offer(1, "row", variables), variables)
    else:
        about = {
            "query": QUERY,
            "instruction": "",
            "title": source.title or "",
            "linked_text": variables["linked_text"],
        }
        messages = recipe.judge.render({**about, "passage": source.text})
    return [message["content"] for message in messages]
