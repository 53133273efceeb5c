"""Candidates of several sources, from the settings to the ledger."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.config import build_config, merge
from datagen.pipeline import RunResult
from datagen.run_folder import Counts

N_DOCUMENTS, N_QUERIES = 120, 12
MARGIN = {"near_positive_limit": 2, "margin": 0.0, "num_negatives": 3}
TEACHER = {"model": "datagen.testing:HashingTeacher"}


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of random words; query i has the words of document i; the last documents are written negatives."""
    folder = tmp_path_factory.mktemp("beir")
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(60)]
    texts = [" ".join(random.choice(words, 8, replace=False)) for _ in range(N_DOCUMENTS)]
    documents = [{"_id": f"d{number}", "text": text} for number, text in enumerate(texts)]
    queries = [{"_id": f"q{number}", "text": texts[number].rpartition(" ")[0]} for number in range(N_QUERIES)]
    pairs = [f"q{number}\td{number}\t1" for number in range(N_QUERIES)]
    pairs += [f"q{number}\td{N_DOCUMENTS - 1 - number}\t0" for number in range(3)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    (folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *pairs]), encoding="utf-8")
    return folder


def _mine(beir: Path, out: Path, **over: Any) -> RunResult:  # Any: nested settings
    plain = {
        "out": out,
        "cache": out.parent / "cache",
        "input": {"beir": str(beir)},
        "teacher": TEACHER,
        "denoise": {"reranker": "none"},
        "mine": {"candidates": 10, "max_candidates": 20, "margin_policy": "spread", **MARGIN},
    }
    return pipeline.run(build_config(merge(plain, over)))


def _ledger(result: RunResult) -> pl.DataFrame:
    return shards.read(result.path / "candidates")


def _counts(result: RunResult, stage: str = "mine") -> Counts:
    return next(record.counts for record in result.records if record.name == stage)


def _found(ledger: pl.DataFrame, source: str) -> pl.DataFrame:
    """One row for each candidate that a source found."""
    rows = ledger.select("query_id", "doc_id", "teacher_score", "sources").explode("sources").drop_nulls("sources")
    return rows.unnest("sources").filter(pl.col("source") == source)


def test_the_teacher_alone_leaves_the_columns_of_sources_empty(beir: Path, tmp_path: Path) -> None:
    ledger = _ledger(_mine(beir, tmp_path / "run", mine={"sources": {"written": False}}))
    assert set(ledger["source"]) == {"dense"}
    for column in ("sources", "agreement", "lexical_score"):
        assert ledger[column].null_count() == len(ledger)


def test_written_negatives_are_candidates_unless_that_is_switched_off(beir: Path, tmp_path: Path) -> None:
    result = _mine(beir, tmp_path / "run", mine={"candidates": 2, "max_candidates": 2})
    written = _found(_ledger(result), "written")
    assert sorted(written.select("query_id", "doc_id").rows()) == [
        (f"q{i}", f"d{N_DOCUMENTS - 1 - i}") for i in range(3)
    ]
    assert written["score"].null_count() == 3
    assert _counts(result, "choose")["candidates_by_source"]["written"] == 3
    without = _ledger(_mine(beir, tmp_path / "without", mine={"candidates": 2, "sources": {"written": False}}))
    assert without["sources"].null_count() == len(without)


def test_bm25_and_random_candidates_have_the_exact_score_of_the_teacher(beir: Path, tmp_path: Path) -> None:
    used = {"use": ["dense", "bm25", "random"], "depths": {"bm25": 15, "random": 6}}
    result = _mine(beir, tmp_path / "run", mine={"sources": used})
    ledger = _ledger(result)
    everything = _ledger(_mine(beir, tmp_path / "all", mine={"candidates": N_DOCUMENTS, "sources": {"written": False}}))
    exact = everything.select("query_id", "doc_id", exact="teacher_score")
    joined = ledger.join(exact, on=["query_id", "doc_id"])
    assert len(joined) == len(ledger)
    np.testing.assert_allclose(joined["teacher_score"], joined["exact"], atol=2e-3)  # vectors are kept in 16 bits
    assert ledger.select("query_id", "doc_id").is_unique().all()
    lexical = _found(ledger, "bm25")
    assert lexical.group_by("query_id").len()["len"].to_list() == [15] * N_QUERIES
    assert ledger.filter(pl.col("lexical_score").is_not_null()).height == len(lexical)
    assert (lexical["score"] > 0).all()
    assert _found(ledger, "random").group_by("query_id").len()["len"].to_list() == [6] * N_QUERIES
    counts = _counts(result, "choose")
    assert counts["candidates_by_source"]["bm25"] == len(lexical)
    assert sum(counts["negatives_by_source"].values()) == counts["negatives"]
    assert ledger["agreement"].null_count() == len(ledger)


def test_rank_is_the_place_in_the_source_that_is_named(beir: Path, tmp_path: Path) -> None:
    ledger = _ledger(_mine(beir, tmp_path / "run", mine={"sources": {"use": ["dense", "bm25"], "written": False}}))
    listed = ledger.filter(pl.col("rank") > 0).explode("sources").with_columns(found="sources").drop("sources")
    own = listed.filter(pl.col("found").struct.field("source") == pl.col("source"))
    assert len(own) == ledger.filter(pl.col("rank") > 0).height
    assert (own["found"].struct.field("rank") == own["rank"]).all()
    assert set(ledger["source"]) == {"dense", "bm25"}


def test_random_candidates_do_not_depend_on_the_queries_beside_them(beir: Path, tmp_path: Path) -> None:
    used = {"use": ["dense", "random"], "depths": {"random": 5}}
    whole = _found(_ledger(_mine(beir, tmp_path / "run", mine={"sources": used})), "random")
    part = tmp_path / "part"
    part.mkdir()
    for name in ("corpus.jsonl", "qrels.tsv"):
        (part / name).write_text((beir / name).read_text(encoding="utf-8"), encoding="utf-8")
    queries = (beir / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    (part / "queries.jsonl").write_text("\n".join(queries[7:9]), encoding="utf-8")
    alone = _found(_ledger(_mine(part, tmp_path / "alone", mine={"sources": used})), "random")
    columns = ["query_id", "doc_id", "rank"]
    assert (
        alone.select(columns)
        .sort(columns)
        .equals(whole.select(columns).filter(pl.col("query_id").is_in(["q7", "q8"])).sort(columns))
    )
    other = _found(_ledger(_mine(beir, tmp_path / "other", seed=7, mine={"sources": used})), "random")
    assert set(other.select("query_id", "doc_id").rows()) != set(whole.select("query_id", "doc_id").rows())


def test_quotas_keep_places_for_a_source(beir: Path, tmp_path: Path) -> None:
    used = {"use": ["dense", "random"], "depths": {"random": 30}, "weights": {"random": 0.01}, "written": False}
    plain = _ledger(_mine(beir, tmp_path / "plain", mine={"sources": used}))
    quota = _ledger(_mine(beir, tmp_path / "quota", mine={"sources": {**used, "quotas": {"random": 2}}}))
    for ledger, at_least in ((plain, 0), (quota, 2)):
        negatives = ledger.filter(pl.col("decision") == "negative")
        drawn = _found(negatives, "random").group_by("query_id").len()
        assert negatives.group_by("query_id").len()["len"].to_list() == [3] * N_QUERIES
        assert len(drawn.filter(pl.col("len") >= 2)) >= (N_QUERIES if at_least else 0)
    assert len(_found(plain.filter(pl.col("decision") == "negative"), "random")) < 2 * N_QUERIES


class FirstWordsTeacher:
    """A teacher with a taste of its own: the hashing teacher over the first four words."""

    def __init__(self, settings: Any) -> None:  # Any: TeacherConfig
        from datagen.testing import HashingTeacher

        self._inner = HashingTeacher(settings)
        self.usage = self._inner.usage
        self.dim = self._inner.dim

    def encode(self, texts: list[str], role: Any) -> Any:  # Any: as the protocol has it
        return self._inner.encode([" ".join(text.split()[:4]) for text in texts], role)


def test_several_teachers_agree_or_not(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "second_teacher.py"
    module.write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    second = {"second": {"model": "second_teacher:FirstWordsTeacher"}}
    result = _mine(beir, tmp_path / "run", teachers=second)
    ledger = _ledger(result).filter(pl.col("rank") > 0)
    both = set(_found(ledger, "dense").select("query_id", "doc_id").rows())
    both &= set(_found(ledger, "second").filter(pl.col("rank") <= 10).select("query_id", "doc_id").rows())
    assert {0.5, 1.0} <= set(ledger["agreement"]) <= {0.0, 0.5, 1.0}
    agreed = set(ledger.filter(pl.col("agreement") == 1).select("query_id", "doc_id").rows())
    assert agreed
    assert agreed <= both
    assert _counts(result, "embed")["teachers"]["second"]["documents"] == N_DOCUMENTS
    assert "50%" in _counts(result, "choose")["agreement_of_negatives"]


@pytest.mark.parametrize(
    ("over", "words"),
    [
        pytest.param({"mine": {"sources": {"use": ["dense", "splade"]}}}, "choose among dense, bm25, random", id="use"),
        pytest.param({"mine": {"sources": {"use": ["bm25"]}}}, "dense is missing", id="no dense"),
        pytest.param({"mine": {"sources": {"depths": {"dense": 5}}}}, "is mine.candidates", id="depth of dense"),
        pytest.param({"mine": {"sources": {"quotas": {"bm52": 1}}}}, "quotas names 'bm52': choose among", id="quota"),
        pytest.param({"mine": {"sources": {"weights": {"x": 1}}}}, "weights names 'x'", id="weight"),
        pytest.param({"teachers": {"bm25": TEACHER}}, "is the name of a source already", id="teacher's name"),
    ],
)
def test_wrong_sources_are_named_with_what_is_allowed(over: dict[str, Any], words: str) -> None:  # Any: settings
    from datagen.errors import ConfigError

    with pytest.raises(ConfigError, match=words):
        build_config({"out": "run", "input": {"beir": "x"}, **over})


def test_a_search_on_a_part_of_the_vectors_tells_its_recall(beir: Path, tmp_path: Path) -> None:
    whole, part = _mine(beir, tmp_path / "whole"), _mine(beir, tmp_path / "part", mine={"dims": 48})
    assert "recall" not in _counts(whole)
    assert _counts(part)["dims"] == 48
    assert 0.8 < _counts(part)["recall"] <= 1
    beyond = _mine(beir, tmp_path / "beyond", mine={"dims": 64})
    assert "recall" not in _counts(beyond)
    assert _ledger(beyond).equals(_ledger(whole))


def test_the_card_and_the_summary_tell_the_sources(beir: Path, tmp_path: Path) -> None:
    from rich.console import Console

    from datagen.report.summary import render_summary

    result = _mine(beir, tmp_path / "run", mine={"sources": {"use": ["dense", "bm25"]}})
    card = (result.path / "README.md").read_text(encoding="utf-8")
    counts = _counts(result, "choose")
    assert f"| bm25 | {counts['candidates_by_source']['bm25']:,} | {counts['negatives_by_source']['bm25']:,} |" in card
    console = Console(record=True, width=120, file=io.StringIO())
    for shown in render_summary(result.records):
        console.print(shown)
    assert "Where candidates come from" in console.export_text()
