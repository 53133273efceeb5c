"""A whole `datagen generate` with a model in process, and with the same model behind vLLM's server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.support.tiny_llama import ENGINE

PASSAGES = 15
RECIPE = """\
description: what a model of random weights can answer
reads: passages
slots:
  query_type:
    values: {question: 1, keywords: 1}
prompts:
  - {name: ask, system: system.j2, user: ask.j2}
output:
  query:
    description: the search query
    min_characters: 2
    max_characters: 60
query: query
tally: query_type
"""


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder with a recipe whose prompts are short."""
    folder = tmp_path / "recipes" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "system.j2").write_text("Write a query.\n")
    (folder / "ask.j2").write_text('{{ text | fenced("passage") }}\n{{ query_type }}\n')
    return folder.parent


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A few short passages."""
    path = tmp_path / "corpus.jsonl"
    texts = [f"The fox number {n} asks what stands below, and nobody answers it at all." for n in range(PASSAGES)]
    path.write_text("".join(json.dumps({"doc_id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    return path


def test_model_in_process_writes_queries_and_what_it_answered_is_kept(
    tiny_model: Path, recipes: Path, corpus: Path, tmp_path: Path
) -> None:
    options = ["--llm", f"vllm:{tiny_model}", "--set", f"llm.engine={json.dumps(ENGINE)}"]
    done = generate(recipes, corpus, tmp_path / "run", *options)
    counts = counts_of(tmp_path / "run")
    assert (counts["asked"], counts["answers_from_journal"]) == (2 * PASSAGES, 0)
    queries = pl.read_parquet(tmp_path / "run" / "queries" / "*.parquet")
    assert len(queries) == counts["accepted"] > 0
    assert set(queries["generator"]) == {f"vllm:{tiny_model}"}
    assert "INFO 1" not in done.stdout, "a line of vLLM's own log"


def test_answers_are_not_asked_for_again_when_a_cap_is_raised(
    tiny_model: Path, recipes: Path, corpus: Path, tmp_path: Path
) -> None:
    options = ["--llm", f"vllm:{tiny_model}", "--set", f"llm.engine={json.dumps(ENGINE)}"]
    generate(recipes, corpus, tmp_path / "run", *options, "--max-requests", "12")
    before = counts_of(tmp_path / "run")
    generate(recipes, corpus, tmp_path / "run", *options)
    after = counts_of(tmp_path / "run")
    assert before["ended_by"] == "max_requests"
    assert after["answers_from_journal"] == before["answers"] > 0


def test_model_behind_the_server_writes_queries(
    server: str, recipes: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "no key is asked for")
    generate(recipes, corpus, tmp_path / "run", "--llm", "openai:tiny", "--base-url", server)
    counts = counts_of(tmp_path / "run")
    assert counts["asked"] == 2 * PASSAGES
    assert counts["accepted"] > 0


def generate(recipes: Path, corpus: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "datagen", "generate", "--corpus", str(corpus), "--out", str(out)]
    command += ["--recipe", "tiny", "--prompts", str(recipes), "--answer-tokens", "128", *options]
    done = subprocess.run(
        [*command, "--set", "generate.max_query_words=500"], check=False, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def counts_of(run: Path) -> dict[str, Any]:  # Any: JSON values
    return dict(json.loads((run / "report.json").read_text())["stages"]["generate"])
