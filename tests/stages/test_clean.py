from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import polars as pl
import pytest

from datagen.backends.protocols import Backends
from datagen.config import RunConfig, build_config
from datagen.errors import DatagenError, InputError
from datagen.progress import SilentProgress
from datagen.run_folder import open_run
from datagen.stages import clean
from datagen.stages.base import Stage, Surroundings, Work
from datagen.stages.clean import Clean
from datagen.tables import CORPUS, DROPPED, PAIRS, QUERIES

WorkOn: TypeAlias = Callable[[RunConfig], Work]

NO_BACKENDS = cast(Backends, object())
STAGE: Stage = Clean()


@pytest.fixture
def work_on(tmp_path: Path) -> Iterator[WorkOn]:
    with open_run(tmp_path / "run") as folder:
        yield lambda config: Work(
            "clean", Surroundings(config, NO_BACKENDS, SilentProgress(), folder), [], folder.partial("clean", "print")
        )


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    documents = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(["x", "y", " ", "x", "z"])]
    _write_lines(folder / "corpus.jsonl", documents)
    _write_lines(folder / "queries.jsonl", [{"_id": "q0", "text": "a"}, {"_id": "q1", "text": "b"}])
    (folder / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq0\td3\t1\nq0\td9\t1\nq1\td2\t1\nq0\td1\tnan\n", encoding="utf-8"
    )
    return folder


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _config(tmp_path: Path, **values: Any) -> RunConfig:  # Any: settings of all kinds
    return build_config({"out": tmp_path / "run", **values})


def test_tables_and_drops_are_written_when_the_input_has_queries(
    tmp_path: Path, beir: Path, work_on: WorkOn, caplog: pytest.LogCaptureFixture
) -> None:
    work = work_on(_config(tmp_path, input={"beir": str(beir)}))
    counts = STAGE.run(work)
    tables = {name: pl.read_parquet(work.partial / name) for name in STAGE.writes}
    assert tables["corpus"].columns == CORPUS.names
    assert tables["corpus"]["doc_id"].to_list() == ["d0", "d1", "d4"]
    assert tables["queries"].columns == QUERIES.names
    assert tables["queries"]["query_id"].to_list() == ["q0"]
    assert tables["pairs"].columns == PAIRS.names
    assert tables["pairs"].rows() == [("q0", "d0", 1.0, "qrels.tsv")]
    assert tables["dropped"].columns == DROPPED.names
    assert dict(tables["dropped"].select("key", "reason").iter_rows()) == {
        "d2": "empty_text",
        "d3": "duplicate_text",
        "q1": "no_positive",
        "q0\td9": "unknown_document",
        "q1\td2": "dropped_document",
        "q0\td1": "not_finite",
    }
    assert counts["tables"]["pairs"] == {
        "given": 4,
        "kept": 1,
        "dropped": {"dropped_document": 1, "not_finite": 1, "unknown_document": 1},
        "moved": 1,
    }
    assert "pairs that name a document that is not in the corpus: 1 dropped, ids 'd9'" in caplog.messages


def test_only_corpus_and_drops_are_written_when_the_input_is_a_corpus(
    tmp_path: Path, beir: Path, work_on: WorkOn
) -> None:
    work = work_on(_config(tmp_path, input={"corpus": str(beir / "corpus.jsonl")}))
    counts = STAGE.run(work)
    assert sorted(path.name for path in work.partial.iterdir()) == ["corpus", "dropped"]
    assert counts == {"documents_kept": 3, "documents_dropped": 2, "tables": {"corpus": counts["tables"]["corpus"]}}


def test_parts_are_cut_and_the_same_when_the_stage_runs_again(
    tmp_path: Path, beir: Path, work_on: WorkOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean, "ROWS_PER_PART", 2)
    monkeypatch.setattr(clean, "_SLICE", 2)
    work = work_on(_config(tmp_path, input={"beir": str(beir)}))
    STAGE.run(work)
    files = sorted(work.partial.glob("*/*.parquet"))
    before = {path: path.read_bytes() for path in files}
    assert [path.name for path in files if path.parent.name == "corpus"] == ["part-00000.parquet", "part-00001.parquet"]
    STAGE.run(work)
    assert {path: path.read_bytes() for path in sorted(work.partial.glob("*/*.parquet"))} == before


def test_settings_follow_content_columns_and_limits(tmp_path: Path, beir: Path) -> None:
    def settings(**values: Any) -> dict[str, Any]:  # Any: settings of all kinds
        return dict(STAGE.settings(_config(tmp_path, **values), NO_BACKENDS))

    plain = settings(input={"beir": str(beir)})
    assert plain["input"].startswith("beir: corpus corpus.jsonl sha256:")
    assert settings(input={"beir": str(beir)}, seed=7, mine={"num_negatives": 3}) == plain
    assert settings(input={"beir": str(beir)}, clean={"min_query_characters": 3}) != plain
    assert settings(input={"beir": str(beir), "split": "test"}) != plain
    _write_lines(beir / "queries.jsonl", [{"_id": "q0", "text": "changed"}])
    assert settings(input={"beir": str(beir)})["input"] != plain["input"]


def test_cleaning_alone_runs_when_nothing_is_to_be_mined(tmp_path: Path, beir: Path, work_on: WorkOn) -> None:
    config = _config(tmp_path, input={"corpus": str(beir / "corpus.jsonl")}, stages=["clean"])
    assert STAGE.run(work_on(config))["documents_kept"] == 3


def test_error_shows_ids_side_by_side_when_judgements_fit_nothing(tmp_path: Path, beir: Path, work_on: WorkOn) -> None:
    (beir / "qrels.tsv").write_text("q0\t0\t1\nq0\t1\t1\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        STAGE.run(work_on(_config(tmp_path, input={"beir": str(beir)})))
    assert str(caught.value) == (
        "none of the 2 queries can be used (2 no_positive; of the pairs 2 unknown_document): the pairs name query "
        "['q0'] and document ['0'], the queries have ids like ['q0'], the corpus like ['d0']; make them match"
    )


def test_error_counts_the_reasons_when_no_document_is_left(tmp_path: Path, beir: Path, work_on: WorkOn) -> None:
    config = _config(tmp_path, input={"corpus": str(beir / "corpus.jsonl")}, clean={"min_document_characters": 9})
    with pytest.raises(InputError, match=r"none of the 5 documents can be used \(1 empty_text, 4 too_short\)$"):
        STAGE.run(work_on(config))


def test_nothing_is_written_when_the_input_is_refused(tmp_path: Path, beir: Path, work_on: WorkOn) -> None:
    with (beir / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "d0", "text": "other"}\n')
    work = work_on(_config(tmp_path, input={"beir": str(beir)}))
    with pytest.raises(DatagenError, match=r"'d0' is in row 1 of corpus\.jsonl \('x'\) and row 6 of corpus\.jsonl"):
        STAGE.run(work)
    assert list(work.partial.iterdir()) == []


@pytest.mark.parametrize("name", ["cisi", "cacm", "med"])
def test_counts_add_up_when_a_real_set_is_cleaned(
    tmp_path: Path, shared_data: Path, work_on: WorkOn, name: str
) -> None:
    work = work_on(_config(tmp_path, input={"beir": str(shared_data / name)}))
    counts = STAGE.run(work)["tables"]
    for table in ("corpus", "queries", "pairs"):
        dropped = sum(counts[table]["dropped"].values())
        assert len(pl.read_parquet(work.partial / table)) == counts[table]["kept"] == counts[table]["given"] - dropped
    assert (
        counts["corpus"]["dropped"] == {"cisi": {"duplicate_text": 2}, "cacm": {"duplicate_text": 191}, "med": {}}[name]
    )


class _Words:
    """A tokenizer and its owner in one: a word is a token."""

    own_marks = 0

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def token_counter(self) -> _Words:
        return self

    def token_counter_identity(self) -> str:
        return "words"


LONG = " ".join(f"Sentence {name} speaks of the {name} alone and of no other thing." for name in ("fox", "owl", "elk"))


@pytest.fixture
def cutting(tmp_path: Path, work_on: WorkOn) -> Callable[..., Work]:
    """Work on a set of one long document and three short ones, to be cut to passages of 16 tokens."""
    folder = tmp_path / "long"
    folder.mkdir()
    texts = {"long": LONG, "short": "A short one.", "page": "<p>A page.</p>", "other": "Another one."}
    _write_lines(folder / "corpus.jsonl", [{"_id": name, "text": text} for name, text in texts.items()])
    _write_lines(folder / "queries.jsonl", [{"_id": "q0", "text": "the owl"}, {"_id": "q1", "text": "what is short"}])
    (folder / "qrels.tsv").write_text("q0\tlong\t1\nq1\tshort\t1\nq1\tlong\t1\n", encoding="utf-8")

    def prepare(**chunk: Any) -> Work:  # Any: settings of all kinds
        chunk = {"max_tokens": 16, "min_tokens": 0, **chunk}
        work = work_on(_config(tmp_path, input={"beir": str(folder)}, chunk=chunk))
        return replace(work, around=replace(work.around, backends=cast(Backends, _Words())))

    return prepare


def test_long_documents_are_cut_and_counted_when_a_limit_is_set(cutting: Callable[..., Work]) -> None:
    work = cutting()
    counts = STAGE.run(work)
    corpus = pl.read_parquet(work.partial / "corpus")
    assert corpus.columns == CORPUS.names
    assert corpus["doc_id"].to_list() == ["long#0", "long#1", "long#2", "short", "page", "other"]
    assert " ".join(corpus["text"][:3]) == LONG
    assert corpus["text"][4] == "A page."
    assert {name: counts[name] for name in counts if name != "tables"} == {
        "documents_kept": 4,
        "documents_dropped": 0,
        "queries_kept": 2,
        "queries_dropped": 0,
        "pairs_kept": 3,
        "pairs_dropped": 0,
        "documents_cut": 1,
        "passages_cut": 3,
        "html_documents": 1,
        "pairs_pointed": 2,
        "pairs_without_shared_words": 1,
    }


def test_pairs_name_the_passage_that_answers_when_documents_are_cut(cutting: Callable[..., Work]) -> None:
    work = cutting()
    STAGE.run(work)
    pairs = pl.read_parquet(work.partial / "pairs").select("query_id", "doc_id").rows()
    assert pairs == [("q0", "long#1"), ("q1", "short"), ("q1", "long#0")]


def test_parts_are_filled_from_many_slices_when_documents_are_cut(
    cutting: Callable[..., Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean, "ROWS_PER_PART", 4)
    monkeypatch.setattr("datagen.chunking.frames._LETTERS_AT_ONCE", 1)
    work = cutting()
    STAGE.run(work)
    parts = [pl.read_parquet(path)["doc_id"].to_list() for path in sorted((work.partial / "corpus").glob("*.parquet"))]
    assert parts == [["long#0", "long#1", "long#2", "short"], ["page", "other"]]


def test_nothing_is_cut_when_all_documents_fit(cutting: Callable[..., Work]) -> None:
    work = cutting(max_tokens=1000, headings=False)
    counts = STAGE.run(work)
    assert pl.read_parquet(work.partial / "corpus")["doc_id"].to_list() == ["long", "short", "page", "other"]
    assert (counts["documents_cut"], counts["html_documents"], counts["pairs_pointed"]) == (0, 0, 0)


def test_a_document_with_the_id_of_a_passage_is_refused_when_documents_are_cut(
    cutting: Callable[..., Work], tmp_path: Path
) -> None:
    with (tmp_path / "long" / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "long#1", "text": "In the way."}\n')
    with pytest.raises(InputError, match="documents have the ids 'long#1', which passages of longer documents get"):
        STAGE.run(cutting())


def test_settings_follow_limit_and_tokenizer_when_documents_are_cut(cutting: Callable[..., Work]) -> None:
    work = cutting()
    settings = STAGE.settings(work.config, work.backends)
    assert settings["tokenizer"] == "words"
    assert settings["chunk"] == work.config.chunk.model_dump()
    assert STAGE.settings(cutting(max_tokens=20).config, work.backends) != settings
