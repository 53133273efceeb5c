"""Adversarial passages in whole runs: kept out by the stages clean and mine, and listed with why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.backends.protocols import Float32, Role
from datagen.config import build_config, merge
from datagen.pipeline import RunResult
from datagen.settings.input import InputConfig
from datagen.testing import HashingTeacher
from tests.support.inputs import load

STUFFED = " ".join(["cheap", "pills", "online"] * 20)
N = 400


class LeaningTeacher(HashingTeacher):
    """A teacher whose query vectors lean towards the passage that begins with `zzz`."""

    def encode(self, texts: list[str], role: Role) -> Float32:  # type: ignore[override]  # lists alone are asked for
        vectors = super().encode(texts, role)
        vectors[:, 0] = 0
        lean = np.zeros(vectors.shape[1], np.float32)
        lean[0] = 1.0
        if role == "query":
            vectors = vectors + np.float32(1.2) * lean
        else:
            vectors[[text.startswith("zzz") for text in texts]] = lean
        unit: Float32 = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        return unit.astype(np.float32)


def _run(folder: Path, more: dict[str, str], **over: Any) -> RunResult:  # Any: settings not yet validated
    """Mine for a query to each of some passages, with others among them."""
    texts = load(InputConfig(corpus="packaged:medquad-sample")).corpus["text"].head(N).to_list()
    documents = {**{f"d{n}": text for n, text in enumerate(texts)}, **more}
    pl.DataFrame({"_id": list(documents), "text": list(documents.values())}).write_ndjson(folder / "corpus.jsonl")
    queries = {f"q{n}": " ".join(text.split()[:7]) for n, text in enumerate(texts)}
    pl.DataFrame({"_id": list(queries), "text": list(queries.values())}).write_ndjson(folder / "queries.jsonl")
    pairs = {"query_id": list(queries), "doc_id": [f"d{n}" for n in range(N)], "score": [1] * N}
    pl.DataFrame(pairs).write_csv(folder / "qrels.tsv", separator="\t")
    files = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.tsv"}
    base = {
        "out": folder / "run",
        "cache": folder / "cache",
        "input": {name: str(folder / file) for name, file in files.items()},
        "teacher": {"model": "tests.stages.test_adversarial:LeaningTeacher"},
        "denoise": {"reranker": "none"},
        "mine": {"candidates": 30, "max_candidates": 60},
    }
    return pipeline.run(build_config(merge(base, over)))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("attacked")
    return _run(folder, {"stuffed": STUFFED, "magnet": "zzz nothing that anybody asks for"})


def _counts(run: RunResult, stage: str) -> dict[str, Any]:  # Any: JSON counts
    return next(record.counts for record in run.records if record.name == stage)


def test_stuffed_passage_is_dropped_with_why(attacked: RunResult) -> None:
    dropped = shards.read(attacked.path / "dropped").filter(pl.col("reason") == "adversarial")
    assert dropped.select("stage", "key").rows() == [("clean", "stuffed")]
    assert json.loads(dropped["payload"][0])["why"] == "stuffed: 3 different words in 60"
    assert _counts(attacked, "clean")["adversarial"] == [
        {"doc_id": "stuffed", "why": "stuffed: 3 different words in 60"}
    ]


def test_passage_near_to_most_queries_is_no_negative(attacked: RunResult) -> None:
    ledger = shards.read(attacked.path / "candidates").filter(pl.col("doc_id") == "magnet")
    assert len(ledger) > N / 2
    assert {*ledger["reason"]} == {"adversarial"}
    assert {*ledger["decision"]} == {"ignored"}
    told = _counts(attacked, "mine")["adversarial"]
    assert [row["doc_id"] for row in told] == ["magnet"]


def test_card_lists_both(attacked: RunResult) -> None:
    card = (attacked.path / "README.md").read_text(encoding="utf-8")
    assert "| stuffed | stuffed: 3 different words in 60 |" in card
    assert "| magnet | near to " in card


def test_nothing_is_kept_out_when_both_are_off(tmp_path: Path) -> None:
    more = {"stuffed": STUFFED, "magnet": "zzz nothing that anybody asks for"}
    run = _run(tmp_path, more, clean={"adversarial": False}, mine={"adversarial": False})
    assert shards.read(run.path / "corpus").height == N + 2
    ledger = shards.read(run.path / "candidates")
    assert not ledger["reason"].eq("adversarial").any()
    assert len(ledger.filter(pl.col("doc_id") == "magnet")) > N / 2
    assert "adversarial" not in _counts(run, "clean")


def test_natural_passages_lose_nothing(tmp_path: Path) -> None:
    run = _run(tmp_path, {}, teacher={"model": "datagen.testing:HashingTeacher"})
    assert shards.read(run.path / "corpus").height == N
    assert not shards.read(run.path / "candidates")["reason"].eq("adversarial").any()


def test_soft_labels_are_written_for_positives_and_negatives(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        {},
        teacher={"model": "datagen.testing:HashingTeacher"},
        denoise={"reranker": "datagen.testing:OverlapReranker"},
        export={"soft_labels": True},
    )
    rows = shards.read(run.path / "train")
    columns = {
        name: rows.select(pl.col(name).explode()).unnest(name).filter(pl.col("doc_id").is_not_null())
        for name in ("positives", "negatives")
    }
    labels = {name: frame["soft_label"] for name, frame in columns.items()}
    assert all(values.null_count() == 0 and values.is_between(0, 1).all() for values in labels.values())
    assert labels["positives"].mean() > 0.6 > labels["negatives"].mean()  # type: ignore[operator]  # numbers
    scores = columns["negatives"].filter(pl.col("teacher_score").is_not_null())
    assert scores.select(pl.corr("reranker_score", "soft_label", method="spearman")).item() > 0.3


def test_soft_labels_are_null_unless_asked_for(attacked: RunResult) -> None:
    rows = shards.read(attacked.path / "train")
    assert rows.select(pl.col("negatives").explode().struct.field("soft_label").count()).item() == 0
