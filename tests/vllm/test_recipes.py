"""The form of every recipe's answers: its prompts and its schema, vLLM's own decoding, datagen's own reader.

The model's weights are drawn at random, so what it says is nothing; only the decoding gives its answers their form.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from datagen import shards
from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.generation.outcome import PlannedRow
from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.load import Recipe, list_recipes, load_recipe, shipped_prompts
from datagen.generation.row_plan import numbered_row
from datagen.generation.row_sources import RowSources
from datagen.generation.rows import RowWriter
from datagen.generation.tasks import Task, Tasks
from datagen.settings.generate import GenerateConfig
from datagen.tables import SCHEMAS
from tests.support.tiny_llama import Size, save_tiny_llama

if TYPE_CHECKING:
    from datagen.backends.llm_vllm import VLLMEngine

ROWS = 8
SEED = 42
WITH_NEGATIVES = "corpus-with-negatives"
"""The recipe `corpus` as a user sets it who wants a hard negative for every other query."""
PASSAGES = [
    "Gout comes on overnight, mostly in the big toe: the joint is hot, red and very sore. It passes after a week.",
    "Malaria is carried by mosquitoes. Fever and chills come some ten days after the bite, later in some cases.",
    "The kidneys clean the blood. Where they fail, a machine does it three times a week, for four hours each time.",
    "A virus needs a cell to multiply. Outside of one it lasts for hours on steel, and for days on some plastics.",
]
QUERIES = ["sore red toe in the morning", "how is malaria carried", "what does dialysis do", "do viruses last on steel"]
KINDS = {"text": str, "number": float, "integer": int, "boolean": bool, "list of text": list}


def _names() -> Iterator[str]:
    for name in list_recipes():
        recipe = load_recipe(name)
        yield from (f"{name}/{part}" for part in recipe.parts)
        yield from [f"{name}/brainstorm"] if recipe.brainstorm else []
        yield from [] if recipe.parts else [name]
    yield WITH_NEGATIVES


@pytest.fixture(scope="module")
def words_engine(
    load: Callable[..., VLLMEngine], runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VLLMEngine]:
    """An engine whose model ends its texts, with room for the prompts of all recipes."""
    folder = tmp_path_factory.mktemp("words")
    save_tiny_llama(folder, Size(positions=16_384, ends_texts=True))
    engine = load(folder, max_model_len=16_384, max_num_batched_tokens=16_384)
    runner.run(engine.prepare())
    yield engine
    runner.run(engine.close())


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe that asks for negatives."""
    folder = tmp_path_factory.mktemp("prompts")
    shutil.copytree(shipped_prompts() / "corpus", folder / WITH_NEGATIVES)
    path = folder / WITH_NEGATIVES / "recipe.yaml"
    text = path.read_text()
    assert text.count("share: 0 ") == 1
    path.write_text(text.replace("share: 0 ", "share: 0.5 "))
    return folder


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small corpus, queries for it and pairs of both."""
    folder = tmp_path_factory.mktemp("tables")
    ids = [str(number) for number in range(len(PASSAGES))]
    columns: dict[str, dict[str, Any]] = {  # Any: a column, or one value for all of it
        "corpus": {"doc_id": ids, "text": PASSAGES, "language": "en", "origin": "user"},
        "queries": {"query_id": ids, "query": QUERIES, "language": "en", "origin": "user"},
        "pairs": {"query_id": ids, "doc_id": ids, "relevance": 1.0, "source": "user"},
    }
    for name, given in columns.items():
        frame = pl.DataFrame(given).select(
            (pl.col(column) if column in given else pl.lit(None)).alias(column) for column in SCHEMAS[name].names
        )
        shards.write_parts(folder / name, name, [frame.to_arrow().cast(SCHEMAS[name])])
    return folder


@pytest.mark.parametrize("name", list(_names()))
def test_answers_have_the_form_of_the_recipe(
    name: str, words_engine: VLLMEngine, runner: asyncio.Runner, tables: Path, prompts: Path
) -> None:
    whole, _, below = name.partition("/")
    recipe = load_recipe(whole, prompts)
    asked = recipe.brainstorm if below == "brainstorm" and recipe.brainstorm else recipe
    part = asked.parts.get(below, asked)
    settings = GenerateConfig(llm="vllm:words", queries_per_passage=ROWS // len(PASSAGES))
    tasks = Tasks(Task(group, group, f"Given a text, find its like ({group}).", "") for group in asked.parts)
    writer = RowWriter(asked, settings, SEED, tasks)
    requests = [writer.request(row) for row in _rows(asked, part, settings, tables)]
    replies = runner.run(_all(words_engine, requests))
    assert len(replies) == ROWS
    for reply in replies:
        _check_form(part, reply)
    if name == WITH_NEGATIVES:
        assert {request.slots["write_negative"] for request in requests} == {"yes", ""}


def _rows(recipe: Recipe, part: Recipe, settings: GenerateConfig, tables: Path) -> list[PlannedRow]:
    """The first planned rows of a recipe, or of one part of it."""
    sources = RowSources(recipe, settings, SEED, tables.joinpath)
    rows = (numbered_row(number, SEED) for number in itertools.count()) if sources.is_numbered else sources.rows()
    return list(itertools.islice((row for row in rows if recipe.for_row(SEED, row.row_id) is part), ROWS))


async def _all(engine: VLLMEngine, requests: Sequence[LLMRequest]) -> list[LLMReply]:
    return await asyncio.gather(*map(engine.complete, requests))


def _check_form(recipe: Recipe, reply: LLMReply) -> None:
    """All fields and no other, each of its type, read as they stand."""
    reading = read_answer(reply.text, recipe.answer_model, reply.finish_reason)
    seen = (reply.detail, reading.complaint, reply.text)
    assert (reply.error, reply.finish_reason, reading.rung) == (None, "stop", "strict"), seen
    assert list(json.loads(reply.text)) == list(recipe.spec.output)
    for name, field in recipe.spec.output.items():
        value = (reading.values or {})[name]
        assert isinstance(value, KINDS[field.type]) or (value is None and not field.required), seen
        texts = value if isinstance(value, list) else [value]
        assert not field.choices or set(texts) <= {*field.choices, None}, seen
