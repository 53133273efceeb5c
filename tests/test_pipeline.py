"""Whole runs, end to end, with backends that need no weights."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pyarrow.parquet as pq
import pytest

from datagen import pipeline, shards
from datagen.config import RunConfig, build_config, merge
from datagen.errors import ConfigError, RunFolderError
from datagen.tables import SCHEMAS

WORDS = [
    f"{a}{b}" for a in ("liver", "heart", "lung", "bone", "skin") for b in ("cell", "pain", "gene", "cure", "test")
]


def _beir(folder: Path, n_documents: int = 300, n_queries: int = 40) -> Path:
    """A folder of random sentences; each query is made of words of its positive."""
    chance = random.Random(7)
    (folder / "qrels").mkdir(parents=True)
    documents = [" ".join(chance.choices(WORDS, k=12)) for _ in range(n_documents)]
    queries = [" ".join(chance.sample(documents[i * 3].split(), 4)) for i in range(n_queries)]
    rows = [json.dumps({"_id": f"d{i}", "title": "", "text": text}) for i, text in enumerate(documents)]
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    (folder / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": f"q{i}", "text": q}) for i, q in enumerate(queries))
    )
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i * 3}\t1" for i in range(n_queries))]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., RunConfig]:
    beir = _beir(tmp_path / "beir")

    def make(**over: Any) -> RunConfig:  # Any: nested settings
        base = {
            "out": tmp_path / "run",
            "cache": tmp_path / "cache",
            "page": False,
            "input": {"beir": str(beir)},
            "teacher": {"model": "datagen.testing:HashingTeacher"},
            "denoise": {"reranker": "datagen.testing:OverlapReranker"},
        }
        return build_config(merge(base, over))

    return make


def _digest(run: Path) -> str:
    files = sorted((run / "train").glob("*.parquet"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_a_run_writes_the_whole_file_contract(configure: Callable[..., RunConfig]) -> None:
    config = configure()
    result = pipeline.run(config)
    assert [record.name for record in result.records] == ["clean", "embed", "mine", "denoise", "choose", "export"]
    for name in ("corpus", "queries", "pairs", "candidates", "dropped", "train"):
        schema = pq.read_schema(next((config.out / name).glob("*.parquet")))
        assert schema.remove_metadata() == SCHEMAS[name], name
    for name in ("run.json", "report.json", "README.md"):
        assert (config.out / name).stat().st_size > 0
    rows = datasets.load_dataset("parquet", data_dir=str(config.out / "train"), split="train")
    assert len(rows) == 40
    assert datasets.load_dataset(str(config.out), "candidates", split="train").num_rows > 1000


def test_every_training_row_follows_from_the_ledger(configure: Callable[..., RunConfig]) -> None:
    config = configure()
    pipeline.run(config)
    rows = shards.read(config.out / "train").to_dicts()
    ledger = shards.read(config.out / "candidates")
    texts = dict(shards.read(config.out / "corpus").select("doc_id", "text").iter_rows())
    assert [row["query_id"] for row in rows] == [f"q{i}" for i in range(40)]
    for row in rows:
        of_query = ledger.filter(pl.col("query_id") == row["query_id"])
        negatives = of_query.filter(pl.col("decision") == "negative")
        assert [item["doc_id"] for item in row["negatives"]] == negatives["doc_id"].to_list()
        assert [item["doc_id"] for item in row["positives"]] == [f"d{3 * int(row['query_id'][1:])}"]
        for item in row["positives"] + row["negatives"]:
            assert item["text"] == texts[item["doc_id"]]
            assert item["reranker_score"] is not None
        best = row["positives"][0]["reranker_score"]
        assert all(item["reranker_score"] <= best for item in row["negatives"])


def test_every_candidate_has_a_decision_and_a_reason(configure: Callable[..., RunConfig]) -> None:
    config = configure()
    pipeline.run(config)
    ledger = shards.read(config.out / "candidates")
    assert set(ledger["decision"]) <= {"negative", "ignored", "positive"}
    assert (ledger.filter(pl.col("decision") == "negative")["reason"] == "selected").all()
    assert ledger.select("query_id", "doc_id").is_unique().all()
    known = ledger.filter(pl.col("reason") == "known_positive")
    assert len(known) == 40


def test_a_second_run_does_nothing_and_says_the_same(configure: Callable[..., RunConfig]) -> None:
    first = pipeline.run(configure())
    before = {path: path.stat().st_mtime_ns for path in (first.path / "train").iterdir()}
    second = pipeline.run(configure())
    assert second.records == first.records
    assert {path: path.stat().st_mtime_ns for path in (first.path / "train").iterdir()} == before


@pytest.mark.parametrize(
    ("over", "redone"),
    [
        ({"mine": {"margin": 0.9}}, {"mine", "denoise", "choose", "export"}),
        ({"denoise": {"margin": 0.9}}, {"denoise", "choose", "export"}),
        ({"mine": {"choice": {"hub_cap": 9}}}, {"denoise", "choose", "export"}),
        ({"mine": {"choice": {"method": "tiers"}}}, {"denoise", "choose", "export"}),
        ({"export": {"rows_per_shard": 7}}, {"export"}),
        ({"denoise": {"reranker": "none"}}, {"mine", "choose", "export"}),
        ({"mine": {"query_block": 600}, "denoise": {"batch_tokens": 999}}, {"mine", "denoise", "choose", "export"}),
    ],
)
def test_a_changed_setting_redoes_only_what_it_affects(
    configure: Callable[..., RunConfig],
    over: dict[str, Any],  # Any: nested settings
    redone: set[str],
) -> None:
    before = {record.name: record for record in pipeline.run(configure()).records}
    after = {record.name: record for record in pipeline.run(configure(**over)).records}
    changed = {name for name, record in after.items() if before[name].fingerprint != record.fingerprint}
    assert changed == redone
    assert ("denoise" in after) == (over.get("denoise", {}).get("reranker") != "none")


def test_changed_and_changed_back_gives_the_same_bytes(configure: Callable[..., RunConfig]) -> None:
    config = configure()
    pipeline.run(config)
    digest = _digest(config.out)
    pipeline.run(configure(mine={"num_negatives": 2}))
    assert _digest(config.out) != digest
    pipeline.run(configure())
    assert _digest(config.out) == digest


def test_other_input_in_the_same_folder_is_refused(configure: Callable[..., RunConfig], tmp_path: Path) -> None:
    pipeline.run(configure())
    other = _beir(tmp_path / "other", n_documents=100, n_queries=20)
    with pytest.raises(RunFolderError, match=r"holds a run over other input .* --fresh"):
        pipeline.run(configure(input={"beir": str(other)}))
    assert len(shards.read(tmp_path / "run" / "train")) == 40
    pipeline.run(configure(input={"beir": str(other)}), fresh=True)
    assert len(shards.read(tmp_path / "run" / "train")) == 20


def test_the_reranker_stops_once_a_query_has_its_clean_negatives(configure: Callable[..., RunConfig]) -> None:
    config = configure(denoise={"round_size": 6})
    counts = {record.name: record.counts for record in pipeline.run(config).records}["denoise"]
    ledger = shards.read(config.out / "candidates")
    asked = ledger.filter(pl.col("reranker_score").is_not_null())
    assert counts["pairs_scored"] == len(asked)
    assert (ledger.filter(pl.col("reranker_score").is_null())["reason"] != "selected").all()
    per_query = ledger.group_by("query_id").agg(
        first=((pl.col("reason") == "selected") | (pl.col("reason") == "reranker")).sum(),
        asked=(pl.col("reranker_score").is_not_null() & (pl.col("reason") != "known_positive")).sum(),
    )
    assert (per_query["asked"] >= per_query["first"]).all()
    assert (per_query.filter(pl.col("first") <= 6)["asked"] == 6).all()


def test_what_both_scorers_put_above_the_positive_is_promoted_on_request(
    configure: Callable[..., RunConfig], tmp_path: Path
) -> None:
    beir = _beir(tmp_path / "better")
    query = json.loads((beir / "queries.jsonl").read_text().splitlines()[0])["text"]
    with (beir / "corpus.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"_id": "better", "text": f"{query} {query} indeed"}))
    plain = configure(input={"beir": str(beir)})
    pipeline.run(plain)
    asked = configure(input={"beir": str(beir)}, denoise={"promote_depth": 3, "promote_margin": 0})
    for config, decision in ((plain, "ignored"), (asked, "positive")):
        pipeline.run(config)
        row = shards.read(config.out / "candidates").filter(pl.col("query_id") == "q0", pl.col("doc_id") == "better")
        assert row["decision"].to_list() == [decision]
    promoted = shards.read(asked.out / "train").to_dicts()[0]["positives"]
    assert {item["doc_id"] for item in promoted} >= {"d0", "better"}


def test_unknown_backends_list_what_exists(configure: Callable[..., RunConfig]) -> None:
    with pytest.raises(ConfigError, match=r"unknown index 'annoy': choose one of auto, blocked, flat, hnsw, ivf"):
        pipeline.run(configure(mine={"index": "annoy"}))
    with pytest.raises(ConfigError, match=r"unknown LLM 'gpt': choose one of extractive"):
        pipeline.run(configure(stages=["clean", "generate"], generate={"llm": "gpt"}), fresh=True)


def test_a_corpus_smaller_than_the_number_of_candidates_gives_what_there_is(
    configure: Callable[..., RunConfig], tmp_path: Path
) -> None:
    tiny = _beir(tmp_path / "tiny", n_documents=6, n_queries=2)
    result = pipeline.run(configure(input={"beir": str(tiny)}))
    counts = {record.name: record.counts for record in result.records}["choose"]
    assert counts["queries"] == 2
    assert counts["queries_with_all_negatives"] + counts["queries_short"] + counts["queries_without_negatives"] == 2
    assert counts["candidates"] == 12


def test_a_query_that_stays_short_of_negatives_has_its_reason(
    configure: Callable[..., RunConfig], tmp_path: Path
) -> None:
    tiny = _beir(tmp_path / "short", n_documents=40, n_queries=5)
    config = configure(
        input={"beir": str(tiny)}, mine={"num_negatives": 30, "margin_policy": "absolute", "margin": 0.5}
    )
    result = pipeline.run(config)
    counts = {record.name: record.counts for record in result.records}
    lists = {row["query_id"]: len(row["negatives"]) for row in shards.read(config.out / "train").to_dicts()}
    short = {query for query, n in lists.items() if n < 30}
    rows = shards.read(config.out / "dropped").filter(pl.col("stage") == "export")
    assert short
    assert set(rows["key"]) == short
    assert rows["reason"].str.starts_with("short_of_negatives: ").all()
    for row in rows.to_dicts():
        payload = json.loads(row["payload"])
        assert payload["negatives"] == lists[row["key"]]
        assert sum(item["rows"] for item in payload["by_reason"]) == payload["candidates"] == 40
    assert sum(n for key, n in counts["export"].items() if key.startswith("short_by_")) == len(short)


def test_a_query_whose_text_is_in_the_corpus_never_meets_itself(
    configure: Callable[..., RunConfig], tmp_path: Path
) -> None:
    beir = _beir(tmp_path / "self")
    text = json.loads((beir / "queries.jsonl").read_text().splitlines()[0])["text"]
    with (beir / "corpus.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"_id": "echo", "text": f"{text.upper()}!"}))
    config = configure(
        input={"beir": str(beir)}, denoise={"reranker": "none"}, mine={"margin_policy": "absolute", "margin": 0}
    )
    pipeline.run(config)
    echo = shards.read(config.out / "candidates").filter(pl.col("query_id") == "q0", pl.col("doc_id") == "echo")
    assert echo["reason"].to_list() == ["query_text"]


def test_generate_then_mine_in_the_same_folder(configure: Callable[..., RunConfig], tmp_path: Path) -> None:
    sample = importlib.resources.files("datagen") / "data" / "medquad_sample.jsonl.gz"
    lines = gzip.decompress(sample.read_bytes()).splitlines()[:80]
    (tmp_path / "passages.jsonl").write_bytes(b"\n".join(lines))
    generated = configure(input={"beir": None, "corpus": str(tmp_path / "passages.jsonl")})
    pipeline.run(generated.model_copy(update={"stages": ("clean", "generate")}))
    queries = shards.read(generated.out / "queries").height
    assert queries > 0
    result = pipeline.run(generated)
    assert [record.name for record in result.records] == [
        "clean",
        "generate",
        "embed",
        "verify",
        "mine",
        "denoise",
        "choose",
        "export",
    ]
    dropped = {record.name: record.counts for record in result.records}["verify"]["queries_dropped"]
    assert shards.read(generated.out / "train").height == queries - dropped > 0


def _start(config: RunConfig, folder: Path) -> subprocess.Popen[bytes]:
    settings = folder / "settings.yaml"
    settings.write_text(json.dumps(config.model_dump(mode="json")))  # JSON is YAML
    command = [sys.executable, "-m", "datagen", "run", str(settings), "--quiet"]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(
    configure: Callable[..., RunConfig], tmp_path: Path
) -> None:
    many = {"input": {"beir": str(_beir(tmp_path / "many", 3000, 900))}, "mine": {"query_block": 512}}
    whole = configure(**many, out=tmp_path / "whole", cache=tmp_path / "cache-whole")
    started = time.monotonic()
    assert _start(whole, tmp_path).wait() == 0
    seconds = time.monotonic() - started
    killed = configure(**many, out=tmp_path / "killed", cache=tmp_path / "cache-killed")
    chance = random.Random(3)
    kills = 0
    for _ in range(6):
        process = _start(killed, tmp_path)
        try:
            process.wait(timeout=chance.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert _start(killed, tmp_path).wait() == 0
    assert kills >= 1
    assert _digest(tmp_path / "killed") == _digest(tmp_path / "whole")
