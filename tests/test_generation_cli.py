"""The commands around generation as a person types them, with a real server: generate, why, retry, reparse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from datagen import shards
from tests.support.llm_server import Server, start_server

OWN_LLM = """
import json
from datagen.backends.protocols import LLMReply

class Parrot:
    name = "parrot"

    def __init__(self, settings):
        self.settings = settings

    async def complete(self, request):
        passage = request.messages[-1]["content"]
        return LLMReply(request.row_id, json.dumps({"query": f"what says {hash(passage) % 10**9} about gout"}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server() as running:
        yield running


@pytest.fixture
def corpus(tmp_path: Path, server: Server) -> Path:
    server.set_script({})
    server.reset()
    lines = [
        json.dumps({"_id": f"d{number}", "text": f"Report {number}. Gout hurts in foot {number}."})
        for number in range(12)
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    return tmp_path / "corpus.jsonl"


def _datagen(*arguments: object, cwd: Path | None = None) -> str:
    command = [sys.executable, "-m", "datagen", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _generate(corpus: Path, server: Server, *more: object) -> str:
    options = ("--llm", "openai:test", "--base-url", server.url, "--corpus", corpus, "--out", corpus.parent / "run")
    return _datagen("generate", "--queries-per-passage", 1, *options, *more)


def test_generate_then_why_retry_and_reparse(corpus: Path, server: Server) -> None:
    run = corpus.parent / "run"
    server.set_script({"faults": [{"kind": "never_good", "rows": "Report 3."}]})
    told = _generate(corpus, server)
    assert "no_json" in told
    assert "accepted 11" in told
    (bad,) = shards.read(run / "dropped")["key"]
    why = _datagen("why", run, bad)
    assert "I would rather talk about something else today." in why
    assert "not written: no_json" in why
    server.set_script({})
    assert "accepted 12" in _datagen("retry", run, "--reason", "no_json", "--max-tokens", "2x")
    assert server.stats()["resent"] == 1
    asked = server.stats()["requests"]
    assert "not written" not in _datagen("why", run, bad)
    assert "accepted" not in _datagen("reparse", run, "--set", "generate.min_query_words=1", "--quiet")
    assert len(shards.read(run / "queries")) == 12
    assert server.stats()["requests"] == asked


def test_generate_in_the_batch_lane_writes_the_same_rows(corpus: Path, server: Server) -> None:
    _generate(corpus, server)
    online = shards.read(corpus.parent / "run" / "queries")
    batch = ("--lane", "batch", "--set", "llm.batch_poll_seconds=0.1")
    _generate(corpus, server, "--out", corpus.parent / "batch", *batch)
    assert shards.read(corpus.parent / "batch" / "queries").equals(online)
    stats = server.stats()
    _generate(corpus, server, *batch)  # the first run's answers are those of this lane, too
    assert server.stats()["requests"] == stats["requests"]


def test_generate_with_a_class_of_ones_own(corpus: Path) -> None:
    (corpus.parent / "own_llm.py").write_text(OWN_LLM)
    out = corpus.parent / "own"
    _datagen("generate", "--llm", "own_llm:Parrot", "--corpus", corpus, "--out", out, "--num", 5, cwd=corpus.parent)
    queries = shards.read(out / "queries")
    assert len(queries) == 5
    assert set(queries["generator"]) == {"own_llm:Parrot"}
    assert shards.read(out / "generations").filter(pl.col("status") == "accepted").height == 5


def test_a_recipe_of_ones_own_is_asked(corpus: Path, server: Server) -> None:
    recipe = corpus.parent / "recipes" / "terse"
    recipe.mkdir(parents=True)
    (recipe / "recipe.yaml").write_text(
        "description: terse\nprompts: [{user: ask.j2}]\noutput: {query: {type: text, description: the query}}\n"
    )
    (recipe / "ask.j2").write_text("A query for: {{ text }}")
    _generate(corpus, server, "--recipe", "terse", "--prompts", recipe.parent)
    prompts = shards.read(corpus.parent / "run" / "generations")["prompt"]
    assert prompts[0] == "[user]\nA query for: Report 0. Gout hurts in foot 0."
