"""What recipes need of a run: tasks first, several writers, nothing said twice, and an end when one repeats itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from datagen import pipeline, shards
from datagen.cli import app
from datagen.config import BRAINSTORM_STAGES, GENERATE_STAGES, RunConfig, build_config
from datagen.errors import ConfigError, InputError
from tests.support.llm_server import Server, start_server

Values = dict[str, Any]  # Any: settings, counts
PLAIN = """
description: a query for a passage, and nothing else
prompts: [{user: ask.j2}]
output: {query: {min_characters: 2}}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.set_script({})
    running.reset()
    return running


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A recipe with nothing in it but a question."""
    folder = tmp_path / "recipes" / "plain"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(PLAIN)
    (folder / "ask.j2").write_text("A query in JSON for this: {{ text }}")
    return folder.parent


def _config(folder: Path, server: Server, passages: int = 60, **values: Any) -> RunConfig:  # Any: settings
    lines = [json.dumps({"_id": f"d{n}", "text": f"Report {n}. Gout hurts in foot {n}."}) for n in range(passages)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    whole: Values = {
        "out": folder / "run",
        "stages": GENERATE_STAGES,
        "input": {"corpus": str(folder / "corpus.jsonl")},
    }
    generate = {"llm": "openai:test", "queries_per_passage": 1, **values.pop("generate", {})}
    return build_config({**whole, "generate": generate, "llm": {"base_url": server.url}, **values})


def _counts(config: RunConfig) -> Values:
    return pipeline.run(config).records[-1].counts


def test_brainstorm_alone_writes_different_tasks_for_each_group(tmp_path: Path, server: Server) -> None:
    server.set_script({"rules": [{"find": "", "items": {"tasks": 20}}]})
    generate = {"recipe": "e5"}
    config = _config(tmp_path, server, generate=generate, stages=BRAINSTORM_STAGES, input={}, brainstorm={"num": 100})
    counts = _counts(config)
    tasks = shards.read(tmp_path / "run" / "tasks")
    assert counts["accepted"] == len(tasks) == tasks["task"].n_unique() >= 100
    assert set(tasks["group"]) == {"short_long", "long_short", "short_short", "long_long"}
    assert set(tasks["generator"]) == {"openai:test"}


def test_brainstorm_of_a_recipe_without_tasks_says_so(tmp_path: Path, server: Server) -> None:
    with pytest.raises(InputError, match="'corpus' needs no tasks"):
        _counts(_config(tmp_path, server, stages=BRAINSTORM_STAGES))


def test_a_recipe_out_of_nothing_wants_a_number(tmp_path: Path, server: Server) -> None:
    server.set_script({"rules": [{"find": "", "items": {"tasks": 20}}]})
    with pytest.raises(ConfigError, match="--num"):
        _counts(_config(tmp_path, server, generate={"recipe": "e5"}, input={}, brainstorm={"num": 20}))


def test_a_recipe_that_reads_what_is_not_there_says_so(tmp_path: Path, server: Server) -> None:
    with pytest.raises(InputError, match="reads passages, and the input holds none"):
        _counts(_config(tmp_path, server, generate={"recipe": "corpus"}, input={}))


def test_several_writers_share_the_rows_and_are_told_apart(tmp_path: Path, server: Server, plain: Path) -> None:
    generate = {"llms": {"openai:big": 3, "openai:small": 1}, "recipe": "plain", "prompts": plain}
    counts = _counts(_config(tmp_path, server, 400, generate=generate))
    shares = {name: of["accepted"] for name, of in counts["generators"].items()}
    assert shares["openai:big"] + shares["openai:small"] == 400
    assert 0.68 < shares["openai:big"] / 400 < 0.82
    assert dict(shards.read(tmp_path / "run" / "queries")["generator"].value_counts().rows()) == shares
    assert set(counts["flow"]) == set(shares)


def test_a_collapsed_writer_is_stopped_within_500_requests(
    tmp_path: Path, server: Server, plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = "the answer of the writer to all that ends in {1} is always this one"
    server.set_script({"rules": [{"find": r"Report \d*?(\d)\.", "set": {"query": said}}]})
    config = _config(tmp_path, server, 3000, generate={"recipe": "plain", "prompts": plain})
    counts = _counts(config)
    assert counts["ended_by"] == "collapse"
    assert server.stats()["requests"] <= 500
    assert "repeats itself" in caplog.text


def test_a_near_duplicate_is_asked_otherwise_and_told_what_is_covered(
    tmp_path: Path, server: Server, plain: Path
) -> None:
    covered = "why does gout hurt so badly in the morning and in the night"
    rules = [
        {"find": r"Report (?:3|4)\.", "set": {"query": covered}},
        {"find": "too close to what is there", "set": {"query": "another thing altogether about {words}"}},
    ]
    server.set_script({"rules": rules})
    counts = _counts(_config(tmp_path, server, generate={"recipe": "plain", "prompts": plain}))
    assert counts["accepted"] == 60
    assert server.stats()["prompts"] == 61
    queries = shards.read(tmp_path / "run" / "queries")
    again = [json.loads(slots)["tried"] for slots in queries["slots"]]
    assert [tried for tried in again if tried] == [{"near_duplicate": covered}]


def test_queries_of_an_earlier_run_are_avoided(tmp_path: Path, server: Server, plain: Path) -> None:
    generate = {"recipe": "plain", "prompts": plain}
    first = _config(tmp_path, server, 30, generate=generate)
    _counts(first)
    again = _config(tmp_path, server, 30, out=tmp_path / "again", generate={**generate, "avoid": [tmp_path / "run"]})
    _counts(again)
    before, after = (shards.read(tmp_path / name / "queries") for name in ("run", "again"))
    assert set(before["query"]).isdisjoint(after["query"])
    tried = [json.loads(slots)["tried"]["near_duplicate"] for slots in after["slots"]]
    assert set(tried) == set(before["query"])


def test_two_runs_with_one_seed_are_equal(tmp_path: Path, server: Server) -> None:
    for name in ("one", "two"):
        _counts(_config(tmp_path, server, out=tmp_path / name, generate={"recipe": "corpus", "num": 50}))
    for table in ("queries", "pairs", "corpus", "generations", "dropped"):
        assert shards.read(tmp_path / "one" / table).equals(shards.read(tmp_path / "two" / table))


def test_recipes_are_listed_and_shown() -> None:
    listed = CliRunner().invoke(app, ["recipes"])
    assert listed.exit_code == 0
    names = [line.split()[0] for line in listed.output.splitlines()]
    assert set(names) >= {"e5", "corpus", "paraphrase", "augment", "hard-negatives", "translate", "enrich", "labels"}
    shown = CliRunner().invoke(app, ["recipes", "show", "corpus", "--llm", "openai:gpt-4o-mini"])
    assert shown.exit_code == 0
    assert "query_type" in shown.output
    assert "USD" in shown.output


def test_shares_of_writers_are_read_from_the_command_line(tmp_path: Path) -> None:
    command = [
        "generate",
        "--corpus",
        "c",
        "--out",
        str(tmp_path / "run"),
        "--llm",
        "openai:a=0.7",
        "--llm",
        "openai:b",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "say the share of each" in done.output
