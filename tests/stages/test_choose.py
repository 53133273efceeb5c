"""The choose stage within whole runs, with backends that need no weights."""

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
from datagen.config import TeacherConfig, build_config, merge
from datagen.errors import ConfigError
from datagen.pipeline import RunResult
from datagen.testing import HashingTeacher

Values: TypeAlias = dict[str, Any]  # Any: settings not yet validated
Run: TypeAlias = Callable[..., RunResult]

WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]
RERANKED = {"denoise": {"reranker": "datagen.testing:OverlapReranker", "margin": 1, "round_size": 4}}
CHOICES: dict[str, Values] = {
    "random": {"method": "random"},
    "tiers": {"method": "tiers"},
    "simans": {"method": "simans"},
    "diverse": {"diversity": 0.5},
    "capped": {"hub_cap": 4, "method": "tiers"},
    "csls": {"hubness": "csls"},
}


def _write(folder: Path, order: list[int]) -> Path:
    """Random sentences; each query is made of words of its positive, queries in this order."""
    chance = random.Random(7)
    documents = [" ".join(chance.choices(WORDS, k=10)) for _ in range(900)]
    words = [[*chance.sample(text.split(), 2), *chance.choices(WORDS, k=2)] for text in documents[: len(order)]]
    queries = [" ".join(found) for found in words]
    (folder / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": f"d{i}", "title": "", "text": text}) for i, text in enumerate(documents)]
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    asked = [json.dumps({"_id": f"q{i}", "text": queries[i]}) for i in order]
    (folder / "queries.jsonl").write_text("\n".join(asked))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in order)]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Mines 600 queries with this choice, in the order given, into a folder of this name."""
    monkeypatch.setattr("datagen.storage._sync", lambda _: None)

    def call(choice: Values, name: str = "run", order: list[int] | None = None, **over: object) -> RunResult:
        order = order or list(range(600))
        folder = tmp_path / f"beir-{'-'.join(map(str, order[:9]))}"
        base = {
            "out": tmp_path / name,
            "cache": tmp_path / "cache",
            "input": {"beir": str(folder if folder.exists() else _write(folder, order))},
            "teacher": {"model": "datagen.testing:HashingTeacher"},
            "denoise": {"reranker": "none"},
            "mine": {"query_block": 512, "choice": choice},
        }
        return pipeline.run(build_config(merge(base, over)))

    return call


def _counts(result: RunResult) -> Mapping[str, Any]:  # Any: JSON counts
    return {record.name: record.counts for record in result.records}["choose"]


def _ledger(result: RunResult) -> pl.DataFrame:
    return shards.read(result.path / "candidates")


def _lists(result: RunResult) -> pl.DataFrame:
    negatives = pl.col("negatives").list.eval(pl.element().struct.field("doc_id"))
    return shards.read(result.path / "train").select("query_id", negatives).sort("query_id")


@pytest.mark.parametrize("choice", CHOICES.values(), ids=list(CHOICES))
def test_the_outcome_depends_neither_on_blocks_nor_on_the_order_of_the_queries(run: Run, choice: Values) -> None:
    blocks = run(choice, "blocks")
    assert len(list((blocks.path / "candidates").iterdir())) == 2
    whole = run(choice, "whole", mine={"query_block": 4096})
    order = list(range(600))
    random.Random(3).shuffle(order)
    shuffled = run(choice, "shuffled", order)
    assert _lists(blocks).equals(_lists(whole))
    assert _lists(blocks).equals(_lists(shuffled))
    assert not _lists(blocks).equals(_lists(run({}, "plain")))


@pytest.mark.parametrize("choice", [{}, *CHOICES.values()], ids=["top", *CHOICES])
def test_with_a_reranker_only_what_it_left_is_taken_and_nothing_lacks(run: Run, choice: Values) -> None:
    result = run(choice, **RERANKED)
    ledger = _ledger(result)
    negatives = ledger.filter(pl.col("decision") == "negative")
    assert (negatives["reason"] == "selected").all()
    assert (ledger.filter(pl.col("reason") == "selected")["decision"] == "negative").all()
    assert negatives["reranker_score"].null_count() == 0
    assert negatives["tier"].null_count() == 0
    assert ledger.filter(pl.col("decision") != "negative")["tier"].null_count() == len(ledger) - len(negatives)
    doubted = ledger.filter(pl.col("reason") == "reranker").group_by("query_id").len()
    left = ledger.filter(pl.col("reason") == "surplus").group_by("query_id").len()
    wanted = 7 if choice.get("method") == "tiers" else 5
    short = ledger.group_by("query_id").agg(n=(pl.col("decision") == "negative").sum()).filter(pl.col("n") < wanted)
    assert len(doubted)
    assert len(left)
    if "hub_cap" not in choice:
        assert len(short) < 30
        unscored = ledger.join(short, on="query_id", how="semi").filter(pl.col("reranker_score").is_null())
        assert not (unscored["reason"] == "surplus").any() or choice.get("method") == "tiers"


def test_tiers_are_written_and_counted(run: Run) -> None:
    result = run({"method": "tiers", "tiers": [2, 3, 1]})
    rows = shards.read(result.path / "train").select("query_id", "negatives").explode("negatives").unnest("negatives")
    counts = _counts(result)
    of_tier = dict(rows["tier"].value_counts().iter_rows())
    assert counts["tiers"] == of_tier
    assert sum(of_tier.values()) == counts["negatives"]
    assert (1100 < of_tier["hard"] <= 1200, 1700 < of_tier["medium"] < 1900, 550 < of_tier["easy"] < 700) == (True,) * 3
    full = rows.filter(pl.col("tier") == "hard").group_by("query_id").len().filter(pl.col("len") >= 2)
    assert counts["queries_short_of_tier"]["hard"] == 600 - len(full)
    ranks = rows.group_by("tier").agg(pl.col("rank").mean()).sort("rank")
    assert ranks["tier"].to_list() == ["hard", "medium", "easy"]


def test_a_short_tier_is_counted_and_the_next_one_stands_in(run: Run) -> None:
    counts = _counts(
        run(
            {"method": "tiers", "tiers": [60, 2, 0]},
            mine={"max_candidates": 100, "margin_policy": "spread"},
        )
    )
    assert counts["queries_short_of_tier"].keys() == {"hard", "medium"}
    assert counts["queries_short_of_tier"]["hard"] == 600
    assert counts["tiers"]["medium"] > 2 * 600
    assert counts["tiers"]["easy"] > 0
    assert counts["queries_short"] > 0


def test_no_document_serves_more_queries_than_the_cap(run: Run) -> None:
    plain, capped = run({}, "plain"), run({"hub_cap": 6}, "capped")
    uses = _ledger(plain).filter(pl.col("decision") == "negative").group_by("doc_id").len()
    assert _counts(plain)["hubs"]["most_used"][0]["queries"] == uses["len"].max()
    assert _counts(plain)["hubs"]["documents_used"] == len(uses)
    assert uses["len"].max() > 6  # type: ignore[operator]
    hubs = _counts(capped)["hubs"]
    assert hubs["most_used"][0]["queries"] == 6
    assert hubs["gini"] < _counts(plain)["hubs"]["gini"]
    assert _counts(capped)["negatives"] == _counts(plain)["negatives"]
    assert "None is a negative of more than 6 queries." in (capped.path / "README.md").read_text()


def test_another_cap_costs_no_search_and_no_score(run: Run) -> None:
    before = {record.name: record for record in run({"hub_cap": 6}, **RERANKED).records}
    after = {record.name: record for record in run({"hub_cap": 9, "diversity": 0.3}, **RERANKED).records}
    changed = {name for name, record in after.items() if before[name].fingerprint != record.fingerprint}
    assert changed == {"choose", "export"}


def test_diverse_negatives_are_less_alike(run: Run) -> None:
    plain, diverse = (_alike(run({"diversity": weight}, f"run-{weight}")) for weight in (0.0, 0.6))
    assert diverse < plain - 0.05


def _alike(result: RunResult) -> float:
    """Mean cosine of two negatives of one query."""
    rows = shards.read(result.path / "train")["negatives"].to_list()
    teacher = HashingTeacher(TeacherConfig())
    vectors = np.stack([teacher.encode([item["text"] for item in row], "document") for row in rows])
    near = vectors @ vectors.transpose(0, 2, 1)
    return float(near[:, ~np.eye(5, dtype=bool)].mean())


def test_csls_prefers_what_is_near_to_few_queries(run: Run) -> None:
    result = run({"hubness": "csls"})
    ledger = _ledger(result)
    documents = shards.read(result.path / "corpus")
    queries = shards.read(result.path / "queries")
    teacher = HashingTeacher(TeacherConfig())
    cosines = (
        teacher.encode(documents["text"].to_list(), "document") @ teacher.encode(queries["query"].to_list(), "query").T
    )
    r = documents.select("doc_id", r=pl.Series(np.sort(cosines, axis=1)[:, -10:].mean(axis=1)))
    open_ = ledger.filter(pl.col("reason").is_in(["surplus", "selected"])).join(r, on="doc_id")
    scored = open_.with_columns(csls=2 * pl.col("teacher_score") - pl.col("r"), negative=pl.col("reason") == "selected")
    worst = scored.group_by("query_id").agg(
        taken=pl.col("csls").filter("negative").min(), left=pl.col("csls").filter(~pl.col("negative")).max()
    )
    assert (worst["taken"] >= worst["left"] - 2e-3).all()


def test_a_part_that_was_written_before_a_kill_is_kept(run: Run, tmp_path: Path) -> None:
    first = run({"hub_cap": 6})
    lists = _lists(first)
    done = tmp_path / "run" / ".stages" / "choose"
    record = json.loads((done / "stage.json").read_text())
    (done / "stage.json").unlink()
    parts = sorted((done / "candidates").iterdir())
    parts[1].unlink()
    kept = parts[0].stat().st_ino
    done.rename(done.parent / f".partial-choose-{record['fingerprint']}")
    again = run({"hub_cap": 6})
    assert sorted((again.path / "candidates").iterdir())[0].stat().st_ino == kept
    assert _lists(again).equals(lists)


def test_tiers_without_their_method_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"mine\.choice: tiers are given but the method is 'top': set method"):
        build_config({"out": "r", "input": {"beir": "b"}, "mine": {"choice": {"tiers": [1, 1, 1]}}})
