"""Mining an earlier run again after a new checkpoint: whole runs, with students that need no weights."""

from __future__ import annotations

import gzip
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

import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.backends.protocols import Float32, Int64, SearchDemand, SearchIndex, VectorSource
from datagen.backends.registry import Registry
from datagen.config import RunConfig, build_config, merge
from datagen.errors import BackendError, RunFolderError
from datagen.progress import Progress
from datagen.run_folder import Counts

N_QUERIES = 120
Configure = Callable[..., RunConfig]
WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone", "skin", "eye", "ear") for b in range(12)]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    beir = _beir(tmp_path / "beir")

    def make(**over: Any) -> RunConfig:  # Any: nested settings
        base = {
            "out": tmp_path / "first",
            "cache": tmp_path / "cache",
            "page": False,
            "input": {"beir": str(beir)},
            "teacher": {"model": "datagen.testing:HashingTeacher", "dtype": "float32"},
            "denoise": {"reranker": "datagen.testing:OverlapReranker"},
            "mine": {"reference_sample": 400},
        }
        return build_config(merge(base, over))

    return make


def _beir(folder: Path) -> Path:
    chance = random.Random(7)
    (folder / "qrels").mkdir(parents=True)
    documents = [" ".join(chance.choices(WORDS, k=12)) for _ in range(2000)]
    queries = [" ".join(chance.sample(documents[i * 3].split(), 4)) for i in range(N_QUERIES)]
    for name, texts, mark in (("corpus", documents, "d"), ("queries", queries, "q")):
        rows = [json.dumps({"_id": f"{mark}{i}", "text": text}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i * 3}\t1" for i in range(N_QUERIES))]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines))
    return folder


def _again(configure: Configure, run: Path, out: Path, student: str, **over: Any) -> RunConfig:  # Any: nested settings
    teacher = {"model": f"tests.support.students:{student}"}
    return configure(**merge({"out": out, "input": {"beir": None, "run": str(run)}, "teacher": teacher}, over))


def _counts(result: pipeline.RunResult, stage: str = "mine") -> Counts:
    return {record.name: record.counts for record in result.records}[stage]


def _ledger(run: Path, *columns: str) -> pl.DataFrame:
    return shards.read(run / "candidates").select(*(columns or [pl.exclude("round")])).sort("query_id", "doc_id")


def _negatives(run: Path) -> pl.DataFrame:
    return _ledger(run, "query_id", "doc_id", "decision").filter(pl.col("decision") == "negative")


def _rounds(run: Path) -> dict[str, int]:
    rounds = shards.read(run / "candidates").group_by("query_id").agg(pl.col("round").unique())
    assert (rounds["round"].list.len() == 1).all()
    return {query: values[0] for query, values in rounds.iter_rows()}


def test_a_student_that_is_the_teacher_searches_nothing_and_finds_the_same(
    configure: Configure, tmp_path: Path
) -> None:
    first = pipeline.run(configure()).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "SameStudent"))
    mined = _counts(result)
    assert [record.name for record in result.records] == ["clean", "embed", "mine", "denoise", "choose", "export"]
    assert (mined["queries_kept"], mined["queries_searched"], mined["checked_overlap"]) == (N_QUERIES, 0, 1.0)
    assert _counts(result, "denoise")["pairs_scored"] == 0
    assert _negatives(result.path).equals(_negatives(first))
    assert _ledger(result.path, "query_id", "doc_id", "rank", "decision", "reason").equals(
        _ledger(first, "query_id", "doc_id", "rank", "decision", "reason")
    )
    assert set(_rounds(first).values()) == set(_rounds(result.path).values()) == {0}
    for table in ("corpus", "queries", "pairs"):
        assert shards.read(result.path / table).equals(shards.read(first / table))


def test_a_student_that_has_moved_a_little_searches_few_and_judges_all_by_its_own_scores(
    configure: Configure, tmp_path: Path
) -> None:
    first = pipeline.run(configure()).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "TrainedStudent"))
    whole = pipeline.run(configure(out=tmp_path / "whole", teacher={"model": "tests.support.students:TrainedStudent"}))
    searched = {query for query, round_ in _rounds(result.path).items() if round_}
    decided = set(shards.read(result.path / "refresh").filter("searched")["query_id"])
    assert 0 < len(searched) < N_QUERIES / 2
    assert decided <= searched
    assert len(decided) == _counts(result)["queries_searched"]
    assert len(searched - decided) == _counts(result)["queries_searched_deeper"]
    pairs = ["query_id", "doc_id"]
    kept, now = (
        _ledger(run, *pairs, "teacher_score").filter(~pl.col("query_id").is_in(searched))
        for run in (first, result.path)
    )
    assert kept.select(pairs).equals(now.select(pairs))
    both = now.join(_ledger(whole.path, *pairs, "teacher_score"), on=pairs)
    assert len(both) > 0.8 * len(now)
    assert (both["teacher_score"] - both["teacher_score_right"]).abs().max() < 1e-5  # type: ignore[operator]  # a number
    anew = pl.col("query_id").is_in(searched)
    assert _ledger(result.path, *pairs).filter(anew).equals(_ledger(whole.path, *pairs).filter(anew))


def test_the_overlap_that_is_told_is_that_of_a_whole_search(configure: Configure, tmp_path: Path) -> None:
    first = pipeline.run(configure()).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "TrainedStudent"))
    whole = pipeline.run(configure(out=tmp_path / "whole", teacher={"model": "tests.support.students:TrainedStudent"}))
    other = pl.col("reason") != "known_positive"
    before, now = (
        shards.read(run / "candidates").filter(other).sort("rank").group_by("query_id").agg(pl.col("doc_id").head(10))
        for run in (first, whole.path)
    )
    true = before.join(now, on="query_id").select(
        "query_id", true=pl.col("doc_id").list.set_intersection("doc_id_right").list.len() / 10
    )
    told = shards.read(result.path / "refresh").drop_nulls("checked_overlap").join(true, on="query_id")
    assert len(told) > N_QUERIES / 2
    assert (told["checked_overlap"] == told["true"]).all()
    assert _counts(result)["checked_overlap"] == pytest.approx(told["true"].mean(), abs=1e-4)
    sampled = shards.read(result.path / "refresh").join(true, on="query_id")
    assert (
        sampled["overlap"] > sampled["true"] - 1e-9
    ).all()  # what a sample does not show cannot count against a query


def test_a_student_that_sees_all_differently_searches_all_like_a_first_run(
    configure: Configure, tmp_path: Path
) -> None:
    first = pipeline.run(configure()).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "OtherStudent"))
    whole = pipeline.run(configure(out=tmp_path / "whole", teacher={"model": "tests.support.students:OtherStudent"}))
    assert _counts(result)["queries_searched"] == N_QUERIES
    assert set(_rounds(result.path).values()) == {1}
    assert _ledger(result.path).equals(_ledger(whole.path))


def test_the_reranker_is_asked_for_new_pairs_alone(configure: Configure, tmp_path: Path) -> None:
    first = pipeline.run(configure()).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "TrainedStudent"))
    before, now = (
        _ledger(run, "query_id", "doc_id", "reranker_score").drop_nulls("reranker_score")
        for run in (first, result.path)
    )
    new = now.join(before, on=["query_id", "doc_id"], how="anti")
    assert 0 < len(new) < len(now) / 2
    assert _counts(result, "denoise")["pairs_scored"] == len(new)
    same = now.join(before, on=["query_id", "doc_id"])
    assert (same["reranker_score"] == same["reranker_score_right"]).all()


def test_a_kept_query_that_has_too_few_candidates_is_searched_on(configure: Configure, tmp_path: Path) -> None:
    more = {"mine": {"num_negatives": 70, "margin_policy": "spread"}, "denoise": {"reranker": "none"}}
    first = pipeline.run(configure()).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "SameStudent", **more))
    whole = pipeline.run(configure(out=tmp_path / "whole", **more))
    deeper = sum(_rounds(result.path).values())
    assert 0 < deeper < N_QUERIES
    assert (_counts(result)["queries_searched"], _counts(result)["queries_searched_deeper"]) == (0, deeper)
    assert _ledger(result.path, "query_id", "doc_id", "reason").equals(
        _ledger(whole.path, "query_id", "doc_id", "reason")
    )


def test_what_is_searched_late_is_judged_like_what_is_searched_at_once(configure: Configure, tmp_path: Path) -> None:
    more = {"mine": {"num_negatives": 60, "margin_policy": "spread", "floor_rank": 20}, "denoise": {"reranker": "none"}}
    first = pipeline.run(configure()).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "TrainedStudent", **more))
    student = {"model": "tests.support.students:TrainedStudent"}
    whole = pipeline.run(configure(out=tmp_path / "whole", teacher=student, **more))
    assert _counts(result)["queries_searched_deeper"] > 0
    new = pl.col("query_id").is_in([query for query, round_ in _rounds(result.path).items() if round_])
    assert _ledger(result.path).filter(new).equals(_ledger(whole.path).filter(new))
    margins, expected = (shards.read(run / "margins").filter(new) for run in (result.path, whole.path))
    assert margins.equals(expected)


def test_more_candidates_than_the_earlier_run_had_search_all(configure: Configure, tmp_path: Path) -> None:
    first = pipeline.run(configure()).path
    had = shards.read(first / "candidates").filter(pl.col("rank") > 0).group_by("query_id").len()
    again = _again(configure, first, tmp_path / "second", "SameStudent", mine={"candidates": 150})
    searched = _counts(pipeline.run(again))["queries_searched"]
    assert searched == len(had.filter(pl.col("len") < 151)) > N_QUERIES / 2


def test_a_refreshed_run_is_refreshed_again_and_rounds_count_on(configure: Configure, tmp_path: Path) -> None:
    first = pipeline.run(configure()).path
    second = pipeline.run(_again(configure, first, tmp_path / "second", "TrainedStudent")).path
    third = pipeline.run(_again(configure, second, tmp_path / "third", "TrainedStudent"))
    assert _counts(third)["queries_searched"] == 0
    assert _rounds(third.path) == _rounds(second)
    assert set(_rounds(third.path).values()) == {0, 1}
    assert _negatives(third.path).equals(_negatives(second))
    last = pipeline.run(_again(configure, third.path, tmp_path / "last", "OtherStudent")).path
    assert set(_rounds(last).values()) == {2}


def test_further_sources_are_asked_as_always(configure: Configure, tmp_path: Path) -> None:
    both = {"mine": {"sources": {"use": ["dense", "bm25"]}}}
    first = pipeline.run(configure(**both)).path
    result = pipeline.run(_again(configure, first, tmp_path / "second", "SameStudent", **both))
    assert _counts(result)["queries_searched"] == 0
    columns = ("query_id", "doc_id", "source", "rank", "lexical_score", "reason")
    assert _ledger(result.path, *columns).equals(_ledger(first, *columns))


class StoppedIndex:
    """An index that fails at some search."""

    def __init__(self, index: SearchIndex, searches: int) -> None:
        self._index, self._left = index, searches

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        self._left -= 1
        if self._left < 0:
            raise BackendError("stopped")
        return self._index.search(vectors, k)


class StoppedRegistry(Registry):
    """The backends of a run with such an index."""

    searches = 0

    def index(self, documents: VectorSource, progress: Progress, demand: SearchDemand) -> SearchIndex:
        return StoppedIndex(super().index(documents, progress, demand), self.searches)


def test_a_run_that_is_stopped_goes_on_with_what_it_has_decided(configure: Configure, tmp_path: Path) -> None:
    first = pipeline.run(configure()).path
    whole = pipeline.run(_again(configure, first, tmp_path / "whole", "TrainedStudent")).path
    config = _again(configure, first, tmp_path / "stopped", "TrainedStudent")
    for searches in (2, 3):  # two look at the earlier run's queries as a whole
        stopped = StoppedRegistry(config)
        stopped.searches = searches
        with pytest.raises(BackendError, match="stopped"):
            pipeline.run(config, backends=stopped)
        decided = list((config.out / ".stages").glob(".partial-mine-*/refresh/*.parquet"))
        assert len(decided) == searches - 2  # the first search is the check, and the decision follows from it
    before = decided[0].stat().st_ino
    pipeline.run(config)
    assert next((config.out / "refresh").glob("*.parquet")).stat().st_ino == before
    for table in ("refresh", "candidates", "train"):
        for path in (whole / table).glob("*.parquet"):
            assert path.read_bytes() == (config.out / table / path.name).read_bytes()


def test_the_earlier_run_may_go_once_its_tables_are_taken_over(configure: Configure, tmp_path: Path) -> None:
    first = pipeline.run(configure()).path
    config = _again(configure, first, tmp_path / "second", "SameStudent")
    pipeline.run(config, until="clean")
    files = [path for table in ("corpus", "queries", "pairs") for path in (first / table).glob("*.parquet")]
    assert all(path.samefile(config.out / path.parent.name / path.name) for path in files)
    assert not (config.out / "earlier_candidates").exists()


def test_an_earlier_run_that_has_changed_is_other_input(configure: Configure, tmp_path: Path) -> None:
    first = pipeline.run(configure()).path
    config = _again(configure, first, tmp_path / "second", "SameStudent")
    pipeline.run(config)
    pipeline.run(configure(mine={"candidates": 50}))
    with pytest.raises(RunFolderError, match="holds a run over other input"):
        pipeline.run(config)


def test_what_a_teacher_doubted_is_still_no_negative(configure: Configure, tmp_path: Path) -> None:
    sample = importlib.resources.files("datagen") / "data" / "medquad_sample.jsonl.gz"
    (tmp_path / "passages.jsonl").write_bytes(b"\n".join(gzip.decompress(sample.read_bytes()).splitlines()[:80]))
    generated = {"input": {"beir": None, "corpus": str(tmp_path / "passages.jsonl")}, "verify": {"round_trip_rank": 3}}
    first = pipeline.run(configure(**generated)).path
    verified = pl.col("stage") == "verify"
    doubted = shards.read(first / "dropped").filter(verified)
    assert len(doubted) > 0
    result = pipeline.run(_again(configure, first, tmp_path / "second", "SameStudent"))
    assert shards.read(result.path / "dropped").filter(verified).equals(doubted)
    assert _counts(result, "clean")["queries_kept"] == _counts(result)["queries"] == _counts(result)["queries_kept"]
    assert _negatives(result.path).equals(_negatives(first))


def test_a_refresh_killed_at_random_moments_ends_with_the_same_bytes(
    configure: Configure, tmp_path: Path, root: Path
) -> None:
    first = pipeline.run(configure()).path
    settings = tmp_path / "settings.yaml"

    def start(config: RunConfig) -> subprocess.Popen[bytes]:
        settings.write_text(json.dumps(config.model_dump(mode="json")))  # JSON is YAML
        command = [sys.executable, "-m", "datagen", "run", str(settings), "--quiet"]
        return subprocess.Popen(command, cwd=root, start_new_session=True, stdout=subprocess.DEVNULL)

    whole = _again(configure, first, tmp_path / "whole", "TrainedStudent", cache=tmp_path / "cache-whole")
    started = time.monotonic()
    assert start(whole).wait() == 0
    seconds = time.monotonic() - started
    killed = _again(configure, first, tmp_path / "killed", "TrainedStudent", cache=tmp_path / "cache-killed")
    kills = 0
    for share in (0.4, 0.5, 0.6, 0.7):
        process = start(killed)
        try:
            process.wait(timeout=share * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert start(killed).wait() == 0
    assert kills >= 1
    for table in ("refresh", "candidates", "train"):
        for path in (whole.out / table).glob("*.parquet"):
            assert path.read_bytes() == (killed.out / table / path.name).read_bytes()
