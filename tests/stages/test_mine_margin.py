"""The learned margin, from the words and vectors of a corpus to the ledger and the training data."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.config import build_config
from datagen.errors import ConfigError

N_DOCUMENTS, N_QUERIES = 150, 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the default margin over documents of random words; query i has most words of document i."""
    folder = tmp_path_factory.mktemp("margin")
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(60)]
    texts = [" ".join(random.choice(words, 8, replace=False)) for _ in range(N_DOCUMENTS)]
    documents = [{"_id": f"d{number}", "text": text} for number, text in enumerate(texts)]
    queries = [{"_id": f"q{number}", "text": texts[number].rpartition(" ")[0]} for number in range(N_QUERIES)]
    pairs = [f"q{number}\td{number}\t1" for number in range(N_QUERIES)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    (folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *pairs]), encoding="utf-8")
    return _mine(folder)


def _mine(folder: Path, **mine: object) -> Path:
    settings = {
        "out": folder / "run",
        "cache": folder / "cache",
        "input": {"beir": str(folder)},
        "teacher": {"model": "datagen.testing:HashingTeacher"},
        "denoise": {"reranker": "none"},
        "mine": {"candidates": 10, "max_candidates": 40, **mine},
    }
    return pipeline.run(build_config(settings)).path


def test_every_candidate_but_the_known_positives_has_its_chance(run: Path) -> None:
    ledger = shards.read(run / "candidates")
    known = ledger["reason"] == "known_positive"
    assert known.sum() == N_QUERIES
    assert ledger.filter(known)["p_false_negative"].null_count() == N_QUERIES
    chances = ledger.filter(~known)["p_false_negative"]
    assert chances.null_count() == 0
    assert chances.is_between(0, 1).all()
    assert chances.n_unique() > N_QUERIES


def test_the_chance_of_each_negative_is_in_the_training_data(run: Path) -> None:
    chosen = shards.read(run / "candidates").filter(pl.col("decision") == "negative")
    rows = shards.read(run / "train", ["query_id", "negatives"]).explode("negatives").unnest("negatives")
    assert len(rows) == 5 * N_QUERIES
    both = rows.join(chosen, on=["query_id", "doc_id"], suffix="_ledger")
    assert len(both) == len(rows)
    assert both["p_false_negative"].to_list() == both["p_false_negative_ledger"].to_list()


def test_a_file_of_coefficients_takes_the_place_of_the_packaged_ones(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.parent, tmp_path / "other"))
    model = json.loads(resources.files("datagen.selection").joinpath("doubt.json").read_text(encoding="utf-8"))
    file = tmp_path / "own.json"
    chances = []
    for intercept in (-3.0, 3.0):
        file.write_text(json.dumps({**model, "intercept": intercept}), encoding="utf-8")
        ledger = shards.read(_mine(folder, margin_model=str(file)) / "candidates")
        chances.append(float(ledger["p_false_negative"].mean()))  # type: ignore[arg-type]  # a number
    assert chances[0] < 0.5 < chances[1]


def test_a_file_of_coefficients_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.margin_model"):
        _mine(tmp_path, margin_model=str(tmp_path / "nowhere.json"))
