"""The commands as functions, and a run as a person looks at it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import datagen
from datagen import pipeline
from datagen.config import build_config
from datagen.errors import ConfigError, RunFolderError
from datagen.runs import Run
from datagen.tables import SCHEMAS

WORDS = ("liver", "heart", "lung", "bone", "skin", "brain", "blood", "nerve")
MODELS: dict[str, Any] = {  # Any: settings not yet validated
    "teacher": {"model": "datagen.testing:HashingTeacher"},
    "denoise": {"reranker": "none"},
}


@pytest.fixture(scope="module")
def pairs() -> pl.DataFrame:
    texts = [f"{a} and {b} work {n}" for n, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)]
    return pl.DataFrame({"anchor": [f"how do {text}" for text in texts], "positive": texts})


@pytest.fixture(scope="module")
def run(pairs: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("api")
    return datagen.mine(home / "run", pairs=pairs, cache=str(home / "cache"), mine={"num_negatives": 2}, **MODELS)


def test_the_public_names_stay() -> None:
    assert set(datagen.__all__) == {"__version__", "batch_sampler", "generate", "load_run", "mine"}
    assert set(datagen.__all__) <= set(dir(datagen))
    assert list(inspect.signature(datagen.mine).parameters) == [
        "out", "beir", "corpus", "queries", "qrels", "pairs", "run", "fresh", "quiet", "settings",
    ]  # fmt: skip
    assert list(inspect.signature(datagen.generate).parameters) == [
        "out", "corpus", "beir", "pairs", "fresh", "quiet", "settings",
    ]  # fmt: skip
    public = {name for name in dir(Run) if not name.startswith("_")}
    assert public == {
        "candidates", "corpus", "counts", "dropped", "pairs", "queries", "records", "scan", "settings", "table",
        "tables", "train",
    }  # fmt: skip


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = datagen.nothing


def test_mine_takes_a_frame_and_gives_the_run(run: Run, pairs: pl.DataFrame) -> None:
    assert len(run.queries) == len(run.train) == len(pairs)
    assert run.train.schema.names() == SCHEMAS["train"].names
    assert run.train["negatives"].list.len().max() == 2
    assert run.settings["mine"]["num_negatives"] == 2
    assert run.counts["export"]["rows"] == len(pairs)
    assert set(run.tables) >= {"corpus", "queries", "pairs", "candidates", "train"}
    assert "train 64" in repr(run)


@pytest.mark.parametrize("kind", ["arrow", "columns"])
def test_every_kind_of_frame_is_the_same_input(kind: str, run: Run, pairs: pl.DataFrame) -> None:
    given: pa.Table | dict[str, list[str]] = pairs.to_arrow() if kind == "arrow" else pairs.to_dict(as_series=False)
    again = datagen.mine(run.path, pairs=given, cache=run.settings["cache"], mine={"num_negatives": 2}, **MODELS)
    assert again.train.equals(run.train)
    assert run.settings["input"] == again.settings["input"]


def test_a_function_does_what_the_pipeline_does(run: Run, tmp_path: Path) -> None:
    values = {**run.settings, "out": str(tmp_path / "again")}
    assert datagen.load_run(pipeline.run(build_config(values)).path).train.equals(run.train)


def test_generated_queries_are_mined_in_the_same_folder(pairs: pl.DataFrame, tmp_path: Path) -> None:
    corpus = pairs.select(text=pl.col("positive") + ". The " + pl.col("positive") + " keep the body well in old age.")
    written = datagen.generate(tmp_path / "run", corpus=corpus, cache=str(tmp_path / "cache"), **MODELS)
    assert len(written.queries)
    assert "train" not in written.tables
    with pytest.raises(RunFolderError, match="has no table 'train': it has corpus"):
        _ = written.train
    mined = datagen.mine(run=written.path)
    assert set(mined.train["query_id"]) <= set(written.queries["query_id"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"pairs": object()}, "pairs is a object", id="no-frame"),
        pytest.param({"pairs": "p.jsonl", "mine": {"margn": 1}}, "unknown setting 'mine.margn'", id="setting"),
        pytest.param({"run": "runs/x", "pairs": "p.jsonl"}, "leave out --out", id="input-beside-run"),
    ],
)
def test_wrong_calls_are_one_sentence(given: dict[str, Any], message: str, tmp_path: Path) -> None:  # Any: settings
    out = None if "run" in given else tmp_path
    with pytest.raises((ConfigError, RunFolderError), match=message):
        datagen.mine(out, **given)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"holds no run\.json"):
        datagen.load_run(tmp_path)
