from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from datagen.errors import InputError
from datagen.settings.input import InputConfig
from tests.support.inputs import Loaded, load


def _load(folder: Path, pairs: list[dict[str, object]], corpus: list[dict[str, object]] | None = None) -> Loaded:
    return load(_config(folder, pairs, corpus))


def _config(
    folder: Path,
    pairs: list[dict[str, object]],
    corpus: list[dict[str, object]] | None = None,
    anchor_column: str | None = None,
    positive_column: str | None = None,
) -> InputConfig:
    names = {}
    for name, rows in (("pairs", pairs), ("corpus", corpus)):
        if rows is not None:
            names[name] = str(folder / f"{name}.jsonl")
            Path(names[name]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return InputConfig(**names, anchor_column=anchor_column, positive_column=positive_column)


def _texts(raw: Loaded) -> list[tuple[str, str, float]]:
    """Query text, document text and relevance of each pair."""
    joined = raw.pairs.join(raw.queries, "query_id", maintain_order="left").join(
        raw.corpus, "doc_id", maintain_order="left"
    )
    return joined.select("query", "text", "relevance").rows()


@pytest.mark.parametrize(
    ("anchor", "positive"),
    [
        ("anchor", "positive"),
        ("query", "pos"),
        ("question", "answer"),
        ("query", "passage"),
        ("sentence1", "sentence2"),
        ("question", "context"),
        ("query", "document"),
        ("Query", "Text"),
    ],
)
def test_pairs_are_read_when_columns_have_usual_names(tmp_path: Path, anchor: str, positive: str) -> None:
    raw = _load(tmp_path, [{positive: "x", "other": 1, anchor: "a"}])
    assert _texts(raw) == [("a", "x", 1.0)]
    assert raw.pairs["source"].to_list() == ["pairs.jsonl"]


def test_equal_anchors_are_one_query_when_they_have_several_positives(tmp_path: Path) -> None:
    raw = _load(tmp_path, [{"anchor": a, "positive": p} for a, p in (("a", "x"), ("b", "x"), (" a ", "y"))])
    assert raw.queries["query"].to_list() == ["a", "b"]
    assert raw.corpus["text"].to_list() == ["x", "y"]
    assert _texts(raw) == [("a", "x", 1.0), ("b", "x", 1.0), ("a", "y", 1.0)]
    assert all(name.startswith("q-") and len(name) == 18 for name in raw.queries["query_id"])


def test_lists_are_taken_apart_and_no_row_is_lost_when_some_are_empty(tmp_path: Path) -> None:
    raw = _load(tmp_path, [{"query": "a", "pos": ["x", "y"]}, {"query": "b", "pos": []}, {"query": "c", "pos": None}])
    assert _texts(raw) == [("a", "x", 1.0), ("a", "y", 1.0), ("b", "", 1.0), ("c", "", 1.0)]


def test_lists_of_anchors_are_taken_apart_when_the_positive_is_one(tmp_path: Path) -> None:
    raw = _load(tmp_path, [{"anchor": ["a", "b"], "positive": "x"}])
    assert _texts(raw) == [("a", "x", 1.0), ("b", "x", 1.0)]


def test_ids_go_along_when_positives_and_ids_are_lists(tmp_path: Path) -> None:
    raw = _load(tmp_path, [{"query_id": 7, "query": "a", "doc_id": [1, 2], "positive": ["x", "y"]}])
    assert raw.pairs.select("query_id", "doc_id").rows() == [("7", "1"), ("7", "2")]


def test_ids_are_made_when_one_id_stands_for_several_positives(tmp_path: Path) -> None:
    raw = _load(tmp_path, [{"query": "a", "doc_id": 1, "positive": ["x", "y"]}])
    assert raw.corpus["doc_id"].n_unique() == 2


def test_error_says_so_when_lists_of_ids_and_texts_differ_in_length(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'pairs\.jsonl': a row has not as many ids as texts"):
        _load(tmp_path, [{"query": "a", "doc_id": [1], "positive": ["x", "y"]}])


def test_title_belongs_to_the_document_when_there_is_one(tmp_path: Path) -> None:
    raw = _load(
        tmp_path, [{"question": "a", "title": "T", "context": "x"}, {"question": "b", "title": "", "context": "x"}]
    )
    assert raw.corpus.select("title", "text").rows() == [("T", "x"), (None, "x")]
    assert raw.corpus["doc_id"].n_unique() == 2


def test_named_columns_win_when_usual_names_are_there_too(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"anchor": "no", "positive": "no", "title": "a", "body": "x"}]
    raw = load(_config(tmp_path, rows, anchor_column="title", positive_column="body"))
    assert _texts(raw) == [("a", "x", 1.0)]
    assert raw.corpus["title"].to_list() == [None]


@pytest.mark.parametrize("option", ["anchor_column", "positive_column"])
def test_error_lists_the_columns_when_a_named_one_is_not_there(tmp_path: Path, option: str) -> None:
    config = _config(tmp_path, [{"anchor": "a", "positive": "x"}]).model_copy(update={option: "nope"})
    flag = "--" + option.replace("_", "-")
    with pytest.raises(InputError, match=rf"has no column 'nope' \({flag}\): it has 'anchor', 'positive'"):
        load(config)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(
            {"foo": "a", "positive": "x"}, "the query: it has 'foo', 'positive'; .*--anchor-column", id="anchor"
        ),
        pytest.param({"anchor": "a", "bar": "x"}, "the positive: it has 'bar'; .*--positive-column", id="positive"),
    ],
)
def test_error_names_the_option_when_no_column_has_a_usual_name(
    tmp_path: Path, row: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _load(tmp_path, [row])


def test_error_asks_for_two_columns_when_both_are_the_same(tmp_path: Path) -> None:
    config = _config(tmp_path, [{"a": "x"}], anchor_column="a", positive_column="a")
    with pytest.raises(InputError, match="the query and the positive are both column 'a': name two columns"):
        load(config)


def test_relevance_is_taken_when_the_column_says_relevance(tmp_path: Path) -> None:
    raw = _load(tmp_path, [{"anchor": "a", "positive": x, "relevance": n} for x, n in (("x", 2), ("y", 0))])
    assert _texts(raw) == [("a", "x", 2.0), ("a", "y", 0.0)]


def test_warning_says_every_row_counts_when_a_label_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = _load(tmp_path, [{"anchor": "a", "positive": "x", "label": 0}])
    assert _texts(raw) == [("a", "x", 1.0)]
    assert "column 'label' is not read, every row counts as a positive; name it 'relevance'" in caplog.text


def test_corpus_ids_are_taken_when_positives_are_in_the_corpus(tmp_path: Path) -> None:
    corpus: list[dict[str, object]] = [
        {"_id": "d1", "title": "T", "text": "x "},
        {"_id": "d2", "title": "", "text": "x"},
        {"_id": "d3", "title": "T", "text": "y"},
    ]
    raw = _load(tmp_path, [{"anchor": "a", "positive": p} for p in ("x", "T y", "new", "")], corpus)
    assert raw.pairs["doc_id"].to_list()[:2] == ["d1", "d3"]
    assert raw.corpus["text"].to_list() == ["x ", "x", "y", "new", ""]
    assert raw.corpus["origin"].to_list() == ["corpus.jsonl"] * 3 + ["pairs.jsonl"] * 2


def test_given_id_is_kept_when_two_documents_have_the_text(tmp_path: Path) -> None:
    corpus: list[dict[str, object]] = [{"_id": "d1", "text": "x"}, {"_id": "d2", "text": "x"}]
    raw = _load(tmp_path, [{"anchor": "a", "doc_id": "d2", "positive": "x"}], corpus)
    assert raw.pairs["doc_id"].to_list() == ["d2"]
    assert len(raw.corpus) == 2


def test_empty_positive_finds_no_document_when_one_has_a_title_alone(tmp_path: Path) -> None:
    raw = _load(tmp_path, [{"anchor": "a", "positive": ""}], [{"_id": "d1", "title": "T", "text": ""}])
    assert raw.pairs["doc_id"].to_list() != ["d1"]


def test_document_is_added_when_its_id_has_another_text_in_the_corpus(tmp_path: Path) -> None:
    corpus: list[dict[str, object]] = [{"_id": "d1", "text": "x"}]
    raw = _load(tmp_path, [{"anchor": "a", "doc_id": "d1", "positive": "other"}], corpus)
    assert raw.corpus.select("doc_id", "text").rows() == [("d1", "x"), ("d1", "other")]


def test_every_pair_stays_when_rows_are_repeated(tmp_path: Path) -> None:
    frame = pl.DataFrame({"anchor": ["a"] * 3, "positive": ["x"] * 3})
    frame.write_parquet(tmp_path / "pairs.parquet")
    raw = load(InputConfig(pairs=str(tmp_path / "pairs.parquet")))
    assert (len(raw.corpus), len(raw.queries), len(raw.pairs)) == (1, 1, 3)
