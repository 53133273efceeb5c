"""Data sets as others write them: told, read, and refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datagen.errors import ConfigError, InputError
from datagen.formats import detect_format, read_dataset
from datagen.settings.input import InputConfig
from tests.support.inputs import load


def test_equal_queries_become_one_row_in_the_order_of_the_first(tmp_path: Path) -> None:
    triplets = pl.DataFrame({"q": ["b", "a", "b"], "pos": ["x", "y", "x"], "neg": ["1", "2", "3"]})
    triplets.write_parquet(tmp_path / "train.parquet")
    rows = read_dataset(tmp_path / "train.parquet").rows
    assert rows["query"].to_list() == ["b", "a"]
    assert _texts(rows, "positives") == [["x"], ["y"]]
    assert _texts(rows, "negatives") == [["1", "3"], ["2"]]


def test_made_ids_are_those_of_mining(tmp_path: Path) -> None:
    pl.DataFrame({"anchor": ["what is it"], "positive": ["this"]}).write_parquet(tmp_path / "pairs.parquet")
    row = read_dataset(tmp_path / "pairs.parquet").rows.row(0, named=True)
    mined = load(InputConfig(pairs=str(tmp_path / "pairs.parquet")))
    assert row["query_id"] == mined.queries["query_id"][0]
    assert row["positives"][0]["doc_id"] == mined.corpus["doc_id"][0]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv"])
def test_columns_of_texts_are_read_from_other_files_too(suffix: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"question": ["a", "b"], "answer": ["x", "y"], "hard": ["1", "2"]})
    path = tmp_path / f"train.{suffix}"
    if suffix == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path, separator="," if suffix == "csv" else "\t")
    data = read_dataset(path)
    assert data.format == "st-triplet"
    assert _texts(data.rows, "negatives") == [["1"], ["2"]]


def test_titles_stand_before_the_text_and_ids_are_kept(tmp_path: Path) -> None:
    passage = {"docid": "7", "title": "Rome", "text": "A city."}
    row = {"query_id": "1", "query": "where", "positive_passages": [passage], "negative_passages": []}
    _write(tmp_path / "train.jsonl", [row])
    data = read_dataset(tmp_path / "train.jsonl")
    assert data.format == "tevatron"
    assert data.rows["positives"].to_list() == [[{"doc_id": "7", "text": "Rome A city.", "score": None}]]
    assert data.rows["negatives"].to_list() == [[]]


def test_nemo_documents_may_be_bare_ids_and_single_texts(tmp_path: Path) -> None:
    (tmp_path / "wiki").mkdir()
    pl.DataFrame({"id": ["d1", "d2"], "text": ["one", "two"]}).write_parquet(tmp_path / "wiki" / "train.parquet")
    row = {"question_id": "q", "question": "?", "corpus_id": "w", "pos_doc": [{"id": "d1"}], "neg_doc": ["d2"]}
    (tmp_path / "train.json").write_text(json.dumps({"corpus": [{"path": "wiki"}], "data": [row]}))
    data = read_dataset(tmp_path / "train.json")
    assert data.format == "nemo-automodel"
    assert (_texts(data.rows, "positives"), _texts(data.rows, "negatives")) == ([["one"]], [["two"]])
    _write(tmp_path / "inline.jsonl", [{"question": "?", "pos_doc": "one", "neg_doc": ["two", "three"]}])
    inline = read_dataset(tmp_path / "inline.jsonl")
    assert inline.format == "nemo-automodel-inline"
    assert _texts(inline.rows, "negatives") == [["two", "three"]]


def test_judgements_of_0_are_negatives_of_a_beir_folder(tmp_path: Path) -> None:
    _write(tmp_path / "corpus.jsonl", [{"_id": "a", "title": "T", "text": "x"}, {"_id": "b", "title": "", "text": "y"}])
    _write(tmp_path / "queries.jsonl", [{"_id": "1", "text": "q"}, {"_id": "2", "text": "not judged"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n")
    data = read_dataset(tmp_path)
    assert data.format == "beir"
    assert data.rows["query_id"].to_list() == ["1"]
    assert (_texts(data.rows, "positives"), _texts(data.rows, "negatives")) == ([["T x"]], [["y"]])


def test_documents_that_the_corpus_lacks_are_said_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "corpus").mkdir()
    _write(tmp_path / "corpus" / "part.jsonl", [{"docid": "a", "text": "x"}])
    row = {"query_id": "1", "query_text": "q", "positive_document_ids": ["a"], "negative_document_ids": ["gone"]}
    _write(tmp_path / "train.jsonl", [row])
    rows = read_dataset(tmp_path).rows
    assert (_texts(rows, "positives"), _texts(rows, "negatives")) == ([["x"]], [[]])
    assert "1 documents are not in the corpus and left out: 'gone'" in caplog.text


def test_scores_that_are_not_finite_are_none(tmp_path: Path) -> None:
    scores = [[1.0, float("nan")], [float("inf"), 0.5]]
    pl.DataFrame({"q": ["a", "b"], "p": ["x", "y"], "n": ["1", "2"], "scores": scores}).write_parquet(
        tmp_path / "x.parquet"
    )
    rows = read_dataset(tmp_path / "x.parquet").rows
    found = [[item["score"] for item in row["positives"] + row["negatives"]] for row in rows.to_dicts()]
    assert found == [[1.0, None], [None, 0.5]]


@pytest.mark.parametrize(
    ("scores", "positive"),
    [([0.9, 0.2, 0.7], ["x", "z"]), ([3.5, -1.25, 0.5], ["x", "z"]), ([2.0, 0.0, 1.0], ["x", "z"])],
    ids=["shares", "logits", "grades"],
)
def test_positives_of_a_scored_list_are_above_the_middle(
    scores: list[float], positive: list[str], tmp_path: Path
) -> None:
    pl.DataFrame({"query": ["a"], "docs": [["x", "y", "z"]], "scores": [scores]}).write_parquet(tmp_path / "x.parquet")
    assert _texts(read_dataset(tmp_path / "x.parquet").rows, "positives") == [positive]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "a", "pos": ["x"], "neg": ["y"], "pos_scores": [1, 2], "neg_scores": [1]}, "differ in length"),
        ({"a": 1, "b": {"c": 2}}, "the format of .* cannot be told, it has 'a', 'b': name one of datagen, "),
    ],
    ids=["scores", "unknown"],
)
def test_what_cannot_be_read_is_said(row: dict[str, object], message: str, tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", [row])
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / "train.jsonl")


def test_a_named_format_must_exist_and_a_path_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown format 'st-tripel'"):
        read_dataset(tmp_path, "st-tripel")
    with pytest.raises(InputError, match="does not exist: name a file or a folder of training data"):
        detect_format(tmp_path / "nowhere")


def _texts(rows: pl.DataFrame, side: str) -> list[list[str]]:
    return [[item["text"] for item in items] for items in rows[side].to_list()]


def _write(path: Path, rows: list[Any]) -> None:  # Any: JSON
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
