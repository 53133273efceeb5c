"""The denoise stage within whole runs, with a reranker that needs no weights."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.backends.protocols import Float32, RerankPairs
from datagen.config import DenoiseConfig, build_config, merge
from datagen.pipeline import RunResult
from datagen.testing import OverlapReranker

Run: TypeAlias = Callable[..., RunResult]

WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]
MINE = {"margin_policy": "absolute", "margin": 0, "candidates": 60, "max_candidates": 60}


class SquashedReranker(OverlapReranker):
    """The same order, other numbers."""

    scale = "squashed"

    def score(self, pairs: RerankPairs) -> Float32:
        """Scores passed through an increasing function."""
        return np.asarray(1 / (1 + np.exp(-20 * (super().score(pairs) - 0.9))), np.float32)


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 queries of four words, two of them from their positive."""
    folder = tmp_path_factory.mktemp("beir")
    chance = random.Random(7)
    documents = [" ".join(chance.choices(WORDS, k=10)) for _ in range(300)]
    (folder / "qrels").mkdir()
    rows = [json.dumps({"_id": f"d{i}", "title": "", "text": text}) for i, text in enumerate(documents)]
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    texts = [" ".join([*chance.sample(text.split(), 2), *chance.choices(WORDS, k=2)]) for text in documents[:200]]
    asked = [json.dumps({"_id": f"q{i}", "text": text}) for i, text in enumerate(texts)]
    (folder / "queries.jsonl").write_text("\n".join(asked))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(200))]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Mines with these settings of `denoise`, into a folder of this name."""
    monkeypatch.setattr("datagen.storage._sync", lambda _: None)

    def call(name: str = "run", **denoise: object) -> RunResult:
        base = {
            "out": tmp_path / name,
            "cache": tmp_path / "cache",
            "input": {"beir": str(beir)},
            "teacher": {"model": "datagen.testing:HashingTeacher"},
            "denoise": {"reranker": "datagen.testing:OverlapReranker", "round_size": 4},
            "mine": MINE,
        }
        return pipeline.run(build_config(merge(base, {"denoise": denoise})))

    return call


def test_an_increasing_change_of_the_scores_changes_nothing_but_the_scores(run: Run) -> None:
    plain = run("plain", promote_depth=3, promote_margin=0.2)
    squashed = run(
        "squashed", promote_depth=3, promote_margin=0.2, reranker=f"{SquashedReranker.__module__}:SquashedReranker"
    )
    verdicts = ["query_id", "doc_id", "decision", "reason", "tier"]
    assert _ledger(plain).select(verdicts).equals(_ledger(squashed).select(verdicts))
    assert not _ledger(plain)["reranker_score"].equals(_ledger(squashed)["reranker_score"])
    reasons = set(_ledger(plain)["reason"])
    assert {"reranker", "selected", "promoted"} <= reasons


def test_the_report_names_the_scale_and_where_the_positives_lie(run: Run) -> None:
    counts = _counts(run())
    assert counts["reranker_scale"] == OverlapReranker.scale
    assert 0 <= counts["margin"] <= DenoiseConfig().margin
    told = counts["positive_scores"]
    assert list(told) == ["5%", "25%", "50%", "75%", "95%"]
    assert sorted(told.values()) == list(told.values())
    assert set(told.values()) <= {0.0, 0.25, 0.3333, 0.5, 0.6667, 0.75, 1.0}


@pytest.mark.parametrize("spare", [0, 10])
def test_no_query_asks_for_more_than_it_may(run: Run, spare: int) -> None:
    ledger = _ledger(run(spare_candidates=spare, margin=1, max_overruled=1))
    asked = _scored(ledger).group_by("query_id").len()["len"]
    assert asked.max() == 5 + spare


def test_a_query_with_its_negatives_asks_no_more(run: Run) -> None:
    scored = _scored(_ledger(run(margin=0, max_overruled=1)))
    numbered = scored.with_columns(place=pl.int_range(pl.len()).over("query_id"), asked=pl.len().over("query_id"))
    before_the_last_round = numbered.filter(pl.col("place") < pl.col("asked") - 4, pl.col("reason") != "reranker")
    assert (numbered["asked"] == 8).any()  # two rounds of four
    assert before_the_last_round.group_by("query_id").len()["len"].max() == 4


def test_of_a_query_that_is_left_too_few_some_stay_that_score_lowest(run: Run) -> None:
    none, half = (_scored(_ledger(run(f"run-{share}", margin=1, max_overruled=share))) for share in (1.0, 0.5))
    clean = none.group_by("query_id").agg(clean=(pl.col("reason") != "reranker").sum())
    lacking = half.join(clean.filter(pl.col("clean") < 5), on="query_id", how="semi").group_by("query_id")
    shares = lacking.agg(share=(pl.col("reason") == "reranker").mean())["share"]
    assert len(shares)
    assert shares.max() <= 0.5  # type: ignore[operator]
    highest = half.filter(pl.col("reason") != "reranker").group_by("query_id").agg(high=pl.col("reranker_score").max())
    doubted = half.filter(pl.col("reason") == "reranker").join(highest, on="query_id")
    assert (doubted["reranker_score"] > doubted["high"]).all()


def _ledger(result: RunResult) -> pl.DataFrame:
    return shards.read(result.path / "candidates")


def _scored(ledger: pl.DataFrame) -> pl.DataFrame:
    """The eligible candidates that the reranker was asked about."""
    eligible = pl.col("reason").is_in(["surplus", "selected", "reranker"])
    return ledger.filter(eligible, pl.col("reranker_score").is_not_null())


def _counts(result: RunResult) -> Mapping[str, Any]:  # Any: JSON counts
    return {record.name: record.counts for record in result.records}["denoise"]
