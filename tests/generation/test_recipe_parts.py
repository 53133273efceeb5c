"""Recipes with parts and a brainstorm, and what a recipe may read."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from datagen.errors import ConfigError
from datagen.generation.extractive.parsing import Written
from datagen.generation.outcome import Source
from datagen.generation.recipes.load import Recipe, load_recipe

Values = dict[str, Any]  # Any: YAML
PART: Values = {
    "description": "a part",
    "reads": "tasks",
    "slots": {"language": {"values_from": "languages.csv"}},
    "prompts": [{"system": "_system.j2", "user": "ask.j2"}],
    "output": {"q": {}, "p": {}, "n": {}},
    "query": "q",
    "positive": "p",
    "negative": "n",
    "instruction": "task",
}
LONE: Values = {
    "description": "a part that reads nothing",
    "reads": "nothing",
    "slots": {"told": {"values": {"a": 1}, "in_words": {"a": "Find the like."}}},
    "prompts": [{"user": "ask.j2"}],
    "output": {"query": {}, "p": {}},
    "positive": "p",
    "instruction": "told",
}
STORM: Values = {
    "description": "tasks",
    "reads": "nothing",
    "slots": {"group": {"values": {"short": 3, "long": 1}}, "topic": {"values": ["bees"]}},
    "prompts": [{"user": "ask.j2"}],
    "output": {"list": {"type": "list of text"}},
    "tasks": "list",
}
FILES: dict[str, Values] = {
    "": {"description": "with parts", "parts": {"short": 3, "long": 1, "lone": 1}},
    "short": PART,
    "long": PART,
    "lone": LONE,
    "brainstorm": STORM,
}
TEMPLATES = {
    "_system.j2": "You write.",
    "languages.csv": "value,weight,in_words\nen,1,English\n",
    "short/ask.j2": "{{ task }} {{ group }} in {{ language_in_words }}",
    "long/ask.j2": "long {{ task }} on {{ topic }}",
    "long/_system.j2": "You write much.",
    "lone/ask.j2": "{{ group }} {{ told_in_words }}",
    "brainstorm/ask.j2": "{{ group }} {{ topic }}",
}
TASK = Source("t1", None, "", None, {"task": "Find it.", "group": "short", "topic": "bees"})


def write(folder: Path, specs: dict[str, Values] | None = None, templates: dict[str, str] | None = None) -> Path:
    for name, content in {**TEMPLATES, **(templates or {})}.items():
        path = folder / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for name, spec in (FILES if specs is None else specs).items():
        (folder / "mine" / name / "recipe.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return folder


def changed(part: str, **values: object) -> dict[str, Values]:
    specs = copy.deepcopy(FILES)
    specs[part] |= values
    return specs


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load_recipe("mine", write(tmp_path))


def test_rows_get_parts_by_weight_whatever_the_other_rows(recipe: Recipe) -> None:
    names = [recipe.for_row(1, f"r{number}").name for number in range(10_000)]
    expected = {"short": 6000, "long": 2000, "lone": 2000}
    counts = Counter(names)
    assert set(counts) == set(expected)
    assert all(abs(counts[name] - number) < 300 for name, number in expected.items())
    assert [recipe.for_row(1, f"r{number}").name for number in reversed(range(100))] == names[99::-1]
    assert [recipe.for_row(2, f"r{number}").name for number in range(100)] != names[:100]


def test_a_recipe_without_parts_is_the_part_of_every_row(recipe: Recipe) -> None:
    assert recipe.parts["short"].for_row(1, "r") is recipe.parts["short"]


def test_part_says_its_name_in_the_slot_group_and_in_the_report(recipe: Recipe) -> None:
    for name, part in recipe.parts.items():
        slots = part.draw(1, "r", part.variables(TASK))
        assert slots["group"] == part.group == part.kind(slots) == name
    assert recipe.reads == "tasks"


def test_parts_that_read_tasks_and_have_rows_name_the_groups_of_tasks(tmp_path: Path, recipe: Recipe) -> None:
    assert recipe.task_groups == ("short", "long")
    fewer = load_recipe("mine", write(tmp_path / "b", changed("", parts={"short": 1, "long": 0, "lone": 1})))
    assert fewer.task_groups == ("short",)
    assert fewer.parts["short"].task_groups == ("short",)
    assert fewer.parts["lone"].task_groups == ()


def test_part_takes_files_that_it_lacks_from_the_recipe_above(recipe: Recipe) -> None:
    short, long = recipe.parts["short"], recipe.parts["long"]
    system, user = short.render(short.draw(1, "r"), short.variables(TASK))
    assert (system["content"], user["content"]) == ("You write.", "Find it. short in English")
    system, user = long.render(long.draw(1, "r"), long.variables(TASK))
    assert (system["content"], user["content"]) == ("You write much.", "long Find it. on bees")


def test_written_fills_all_roles(recipe: Recipe) -> None:
    short = recipe.parts["short"]
    assert short.written({"q": "a", "p": "b", "n": "c"}, TASK, {"language": "en"}) == Written(
        "a", "b", None, "c", "Find it."
    )
    lone = recipe.parts["lone"]
    nothing = Source("1", None, "", None)
    assert lone.written({"query": "a", "p": "b"}, nothing, lone.draw(1, "r")) == Written(
        "a", "b", instruction="Find the like."
    )


def test_brainstorm_writes_tasks_and_no_query(recipe: Recipe) -> None:
    storm = recipe.brainstorm
    assert storm is not None
    slots = storm.draw(1, "r")
    assert slots["group"] in ("short", "long")
    assert storm.written({"list": ["a", "b"]}, Source("1", None, "", None), slots) == Written("", tasks=("a", "b"))


def test_fingerprint_follows_the_files_of_all_parts(tmp_path: Path) -> None:
    seen = {load_recipe("mine", write(tmp_path)).fingerprint()}
    for name in ("languages.csv", "_system.j2", "short/ask.j2", "lone/recipe.yaml", "brainstorm/ask.j2"):
        path = tmp_path / "mine" / name
        path.write_text(path.read_text(encoding="utf-8") + "\n# more\n", encoding="utf-8")
        seen.add(load_recipe("mine", tmp_path).fingerprint())
    assert len(seen) == 6


PAIR: Values = {
    "description": "a negative for a pair",
    "reads": "pairs",
    "for_query": "source",
    "prompts": [{"user": "ask.j2"}],
    "output": {"negative": {}},
    "negative": "negative",
}
LINKED: Values = {
    "description": "queries over two passages",
    "slots": {"kind": {"values": ["one", "two"], "needs": {"two": "linked_text"}}},
    "prompts": [{"user": "ask.j2"}],
    "output": {"query": {}},
    "also_linked": "kind=two",
}


def load_one(folder: Path, spec: Values, prompt: str) -> Recipe:
    write(folder, {"": spec}, {"ask.j2": prompt})
    return load_recipe("mine", folder)


def test_recipe_that_adds_to_a_query_writes_none(tmp_path: Path) -> None:
    recipe = load_one(tmp_path / "a", PAIR, "{{ query }} | {{ text }} | {{ other_text }}")
    source = Source("d1", None, "t", "en", {"query": "q", "query_id": "7", "other_text": "o"})
    assert recipe.variables(source) == {"query": "q", "title": "", "text": "t", "language": "en", "other_text": "o"}
    assert recipe.render(recipe.draw(1, "r"), recipe.variables(source))[0]["content"] == "q | t | o"
    assert recipe.written({"negative": "n"}, source) == Written("", negative="n")


def test_linked_passage_is_a_positive_where_the_slot_says_so(tmp_path: Path) -> None:
    recipe = load_one(tmp_path / "a", LINKED, "{{ text }}{{ linked_text }}")
    followed = recipe.variables(Source("d1", None, "t", None, {"linked_text": "u"}))
    alone = recipe.variables(Source("d1", None, "t", None))
    assert {recipe.draw(1, f"r{number}", followed)["kind"] for number in range(50)} == {"one", "two"}
    assert {recipe.draw(1, f"r{number}", alone)["kind"] for number in range(50)} == {"one"}
    assert recipe.links({"kind": "two"})
    assert not recipe.links({"kind": "one"})
    assert not recipe.links({})


WRONG = [
    pytest.param(changed("", parts={"short": 0}), "one of the parts needs a weight", id="no-weight"),
    pytest.param(changed("", parts={"short": 1, "other": 1}), "other/recipe.yaml", id="no-folder"),
    pytest.param(changed("", parts={"../short": 1}), "is no name", id="outside"),
    pytest.param(changed("", output={"q": {}}), "a recipe with parts has no 'output' of its own", id="own-output"),
    pytest.param(changed("short", parts={"x": 1}), "no 'reads' of its own", id="parts-and-prompts"),
    pytest.param({**FILES, "short": FILES[""]}, "short/recipe.yaml: a part cannot have parts", id="parts-of-a-part"),
    pytest.param(
        changed("lone", slots={"group": {"values": ["a"]}}, instruction=""),
        "a slot cannot be called 'group'",
        id="group",
    ),
    pytest.param(changed("lone", reads="passages"), "the parts read passages, tasks", id="mixed"),
    pytest.param(changed("lone", output={"p": {}}), "query is 'query', but the output has p", id="no-query"),
    pytest.param(changed("lone", instruction="task"), "instruction is 'task', but the slots", id="instruction"),
    pytest.param(
        changed("short", output={"q": {}, "p": {"type": "list of text"}, "n": {}}),
        "positive is 'p', which must be a text, not a list of text",
        id="positive",
    ),
    pytest.param(changed("short", variant=True, positive=""), "variant: true needs `positive`", id="variant"),
    pytest.param(
        changed("short", for_query="source"), "for_query: source needs reads: pairs, not tasks", id="for-query"
    ),
    pytest.param(changed("short", also_linked="language=en"), "also_linked needs reads: passages", id="also-linked"),
    pytest.param(
        {key: value for key, value in FILES.items() if key != "brainstorm"}, "there must be a brainstorm", id="no-storm"
    ),
    pytest.param(changed("brainstorm", reads="passages"), "must have `reads: nothing`", id="storm-reads"),
    pytest.param(changed("brainstorm", tasks="tasks"), "tasks is 'tasks', but the output has list", id="storm-field"),
    pytest.param(changed("brainstorm", output={"list": {}}), "must be a list of text", id="storm-type"),
    pytest.param(
        changed("brainstorm", slots={"topic": {"values": ["bees"]}}, prompts=[{"user": "bare.j2"}]),
        "must have a slot 'group'",
        id="storm-group",
    ),
    pytest.param(
        changed("brainstorm", slots={**STORM["slots"], "group": {"values": ["short"]}}),
        "has no value 'long', which reads tasks",
        id="storm-value",
    ),
]


@pytest.mark.parametrize(("specs", "message"), WRONG)
def test_wrong_recipes_are_refused_with_file_and_reason(tmp_path: Path, specs: dict[str, Values], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("mine", write(tmp_path, specs, {"brainstorm/bare.j2": "x", "brainstorm/ask.j2": "{{ topic }}"}))
    assert str(tmp_path / "mine") in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("template", "content", "message"),
    [
        pytest.param("lone/ask.j2", "{{ task }}", "lone/ask.j2 uses 'task'", id="reads-nothing"),
        pytest.param("short/ask.j2", "{{ text }}", "short/ask.j2 uses 'text'", id="reads-tasks"),
        pytest.param("brainstorm/ask.j2", "{{ tpic }}", "brainstorm/ask.j2 uses 'tpic'", id="brainstorm"),
        pytest.param("short/ask.j2", "{{ {'x': 1}[language] }}", "short/ask.j2 fails with", id="value-forgotten"),
    ],
)
def test_prompts_of_parts_are_tried_before_a_run(tmp_path: Path, template: str, content: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("mine", write(tmp_path, None, {template: content}))
    assert message in str(caught.value)
