"""Every recipe that comes with datagen, from nothing to tables, with a real server: `--num 60` ends with 60 rows."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.config import GENERATE_STAGES, build_config
from datagen.generation.recipes.load import list_recipes, load_recipe, shipped_prompts
from tests.support.llm_server import Server, start_server

NUM = 60
WORDS = (
    "gout malaria fever liver kidney blood virus cell nerve joint heart lung skin bone muscle brain dose trial".split()
)
GERMAN = "Der Patient fragt nach {words} und danach, wie lange die Behandlung mit Tabletten dauert und was sie kostet."
RULES: dict[str, list[dict[str, Any]]] = {  # Any: JSON
    "e5": [
        {"find": "", "items": {"tasks": 20}},
        {"find": "", "words": {"user_query": 7, "positive_document": 200, "hard_negative_document": 200}},
        {"find": "", "words": {"input": 40, "input_text": 100}},
        {"find": "less than 10", "words": {"input_text": 9}},
    ],
    "labels": [
        {"find": r"<label>\n(.*?)\n</label>", "set": {"label": "{1}", "misleading_label": "quite another {words}"}},
    ],
    "translate": [{"find": "German", "set": {"query": GERMAN, "passage": GERMAN + " " + GERMAN}}],
}
LANGUAGES = {"translate": "value,weight,in_words\nde,1,German\n", "e5": "value,weight,in_words\nen,1,English\n"}

Inputs = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server() as running:
        yield running


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """An input for each thing that a recipe may read."""
    folder, chance = tmp_path_factory.mktemp("inputs"), random.Random(1)
    texts = [f"Report {n}. " + " ".join(chance.choices(WORDS, k=50)) + "." for n in range(80)]
    asked = [f"what about {' '.join(chance.choices(WORDS, k=4))} {n}" for n in range(80)]
    corpus = [{"_id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    pairs = [{"anchor": query, "positive": text} for query, text in zip(asked, texts, strict=True)]
    for name, rows in (("corpus", corpus), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {"passages": {"corpus": str(folder / "corpus.jsonl")}, "pairs": {"pairs": str(folder / "pairs.jsonl")}}


def _run(name: str, server: Server, inputs: Inputs, folder: Path) -> pl.DataFrame:
    recipe = load_recipe(name)
    server.reset()
    server.set_script({"rules": RULES.get(name, [])})
    shutil.copytree(shipped_prompts() / name, folder / "prompts" / name)
    if name in LANGUAGES:  # as a user would who wants one language
        (folder / "prompts" / name / "languages.csv").write_text(LANGUAGES[name])
    config = build_config(
        {
            "out": folder / name,
            "stages": GENERATE_STAGES,
            "input": inputs.get(recipe.reads, {}),
            "brainstorm": {"num": NUM},
            "generate": {"llm": "openai:test", "recipe": name, "num": NUM, "prompts": folder / "prompts"},
            "llm": {"base_url": server.url},
        }
    )
    counts = pipeline.run(config).records[-1].counts
    assert counts["accepted"] == NUM, counts["rejected_by_reason"]
    return shards.read(folder / name / "generations").filter(pl.col("status") == "accepted")


@pytest.mark.parametrize("name", sorted(list_recipes()))
def test_recipe_ends_with_the_rows_wanted(name: str, server: Server, inputs: Inputs, tmp_path: Path) -> None:
    rows = _run(name, server, inputs, tmp_path)
    recipe = load_recipe(name)
    assert len(rows) == NUM
    for row in rows.iter_rows(named=True):
        part = recipe.for_row(42, row["row_id"])
        part.answer_model.model_validate_json(row["answer"])
        assert set(part.spec.slots) <= set(json.loads(row["slots"]))
    corpus, pairs = (shards.read(tmp_path / name / table) for table in ("corpus", "pairs"))
    assert set(pairs["doc_id"]) <= set(corpus["doc_id"])
    if recipe.brainstorm:
        assert len(shards.read(tmp_path / name / "tasks")) >= NUM
