"""Judging with a model in process: the form of its answers to each kind of question, and a whole run.

The model's weights are drawn at random, so what it says is nothing; only the decoding gives its answers their form.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from datagen.generation.conversation import converse
from datagen.judging.questions import OK, SPAN_NOT_FOUND, Question, Questioner, Said
from datagen.settings.judge import JudgeConfig
from tests.support.tiny_llama import ENGINE, Size, save_tiny_llama

if TYPE_CHECKING:
    from datagen.backends.llm_vllm import VLLMEngine

ROOM = {"max_model_len": 4096, "max_num_batched_tokens": 4096}
PASSAGES = ("Gout comes on overnight.", "Malaria is carried by mosquitoes.", "The kidneys clean the blood.")
WORDS = "gout malaria fever liver kidney nurse doctor farmer pilot teacher baker dose trial lawyer tax bridge".split()
BUDGET = 6


@pytest.fixture(scope="module")
def words_model(vllm_is_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that ends its texts, with room for the prompts."""
    folder = tmp_path_factory.mktemp("words")
    save_tiny_llama(folder, Size(positions=4096, ends_texts=True))
    return folder


@pytest.fixture(scope="module")
def judge(load: Callable[..., VLLMEngine], runner: asyncio.Runner, words_model: Path) -> Iterator[VLLMEngine]:
    engine = load(words_model, **ROOM)
    runner.run(engine.prepare())
    yield engine
    runner.run(engine.close())


@pytest.mark.parametrize("mode", ["grade", "span", "list"])
def test_an_answer_has_the_form_of_the_question(mode: str, judge: VLLMEngine, runner: asyncio.Runner) -> None:
    questioner = Questioner(JudgeConfig.model_validate({"mode": mode, "list_size": 3}), 42)
    n = 3 if mode == "list" else 1
    questions = [Question("q", f"what is {word}", "", tuple("abc")[:n], PASSAGES[:n]) for word in WORDS[:4]]
    for question in questions:
        said = runner.run(_ask(questioner, question, judge))
        assert len(said) == n
        for verdict in said:
            if mode == "span" and verdict.status != OK:
                assert verdict.status == SPAN_NOT_FOUND  # a model of random weights quotes nothing
            else:
                assert verdict.status == OK
                assert verdict.grade in ((0, 3) if mode == "span" else range(4))


async def _ask(questioner: Questioner, question: Question, judge: VLLMEngine) -> list[Said]:
    turns = await converse(questioner.request(question), judge.complete, questioner.reader(question), 0)
    return questioner.interpret(question, turns[-1])


def test_a_run_is_judged_by_a_model_in_process(words_model: Path, tmp_path: Path) -> None:
    texts = [" ".join(WORDS[(n * step) % len(WORDS)] for step in range(1, 8)) for n in range(120)]
    (tmp_path / "qrels").mkdir()
    rows = [json.dumps({"_id": f"d{n}", "title": "", "text": f"{text} {n}"}) for n, text in enumerate(texts)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows))
    asked = [json.dumps({"_id": f"q{n}", "text": " ".join(texts[n].split()[:3])}) for n in range(8)]
    (tmp_path / "queries.jsonl").write_text("\n".join(asked))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\td{n}\t1" for n in range(8))]
    (tmp_path / "qrels" / "train.tsv").write_text("\n".join(lines))
    command = [
        sys.executable,
        "-m",
        "datagen",
        "mine-negatives",
        "--beir",
        str(tmp_path),
        "--out",
        str(tmp_path / "run"),
    ]
    command += ["--teacher", "datagen.testing:HashingTeacher", "--reranker", "none", "--index", "blocked"]
    command += ["--judge", f"vllm:{words_model}", "--judge-budget", str(BUDGET), "--cache", str(tmp_path / "cache")]
    command += ["--set", f"llm.engine={json.dumps({**ENGINE, **ROOM})}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    judgements = pl.read_parquet(tmp_path / "run" / "judgements" / "*.parquet")
    assert len(judgements) == BUDGET
    assert set(judgements["status"]) == {"ok"}
    ledger = pl.read_parquet(tmp_path / "run" / "candidates" / "*.parquet")
    judged = ledger.join(judgements, on=["query_id", "doc_id"])
    assert not (judged.filter(pl.col("grade") >= 2)["decision"] == "negative").any()
    counts = json.loads((tmp_path / "run" / "report.json").read_text())["stages"]["judge"]
    assert counts["answers"] == BUDGET
