from __future__ import annotations

import json
from datetime import date

import polars as pl
import pytest

from datagen.errors import InputError
from datagen.sources.columns import as_relevance, hash_documents, hash_texts, shape_corpus, shape_queries
from datagen.sources.locate import Source

SOURCE = Source("here.parquet", "parquet")


@pytest.mark.parametrize("name", ["_id", "id", "doc_id", "docid", "document_id", "passage_id", "corpus-id", "Doc-ID"])
def test_id_is_found_when_it_has_a_usual_name(name: str) -> None:
    assert shape_corpus(pl.DataFrame({name: [3], "text": ["x"]}), SOURCE)["doc_id"].to_list() == ["3"]


@pytest.mark.parametrize("name", ["text", "passage", "document", "content", "body", "positive", "Text"])
def test_text_is_found_when_it_has_a_usual_name(name: str) -> None:
    assert shape_corpus(pl.DataFrame({"year": [3], name: ["x"]}), SOURCE)["text"].to_list() == ["x"]


@pytest.mark.parametrize("text", ["text", "query", "question", "anchor"])
@pytest.mark.parametrize("name", ["_id", "id", "query_id", "qid", "question_id", "query-id"])
def test_query_is_found_when_it_has_a_usual_name(name: str, text: str) -> None:
    queries = shape_queries(pl.DataFrame({text: ["what"], name: ["7"]}), SOURCE)
    assert queries.select("query_id", "query").rows() == [("7", "what")]


def test_optional_columns_are_kept_when_queries_have_them() -> None:
    frame = pl.DataFrame({"_id": ["1"], "text": ["x"], "instruction": ["find"], "language": ["en"], "other": [1]})
    row = shape_queries(frame, SOURCE).row(0, named=True)
    assert (row["instruction"], row["language"], row["origin"], row["slots"]) == ("find", "en", "here.parquet", None)


def test_first_name_is_taken_when_two_would_do_and_the_other_is_meta() -> None:
    corpus = shape_corpus(pl.DataFrame({"content": ["long"], "text": ["short"], "doc_id": [1], "id": [2]}), SOURCE)
    assert corpus.select("doc_id", "text", "meta").rows() == [("2", "short", '{"content":"long","doc_id":1}')]


def test_first_column_is_taken_when_two_differ_only_in_case() -> None:
    assert shape_corpus(pl.DataFrame({"Text": ["x"], "TEXT": ["y"]}), SOURCE)["text"].to_list() == ["x"]


def test_extra_columns_become_json_when_they_have_any_type() -> None:
    frame = pl.DataFrame(
        {
            "text": ["x"],
            "language": ["de"],
            "day": [date(2020, 1, 2)],
            "tags": [["a", "b"]],
            "nested": [{"k": None}],
            "image": [b"\xff"],
            "images": [[b"\xff"]],
        }
    )
    row = shape_corpus(frame, SOURCE).row(0, named=True)
    assert json.loads(row["meta"]) == {"day": "2020-01-02", "tags": ["a", "b"], "nested": {"k": None}}
    assert row["language"] == "de"


def test_ids_are_made_from_texts_when_there_is_no_id_column() -> None:
    corpus = shape_corpus(pl.DataFrame({"text": ["x", "y", "x"], "title": ["t", None, ""]}), SOURCE)
    first, second, third = corpus["doc_id"]
    assert len({first, second, third}) == 3
    assert all(name.startswith("d-") and len(name) == 18 for name in corpus["doc_id"])
    assert second == hash_texts("d-", pl.Series(["y"])).item()


def test_document_id_depends_on_where_the_title_ends() -> None:
    titles, texts = pl.Series(["a b", "a"]), pl.Series(["c", "b c"])
    assert hash_documents(titles, texts).n_unique() == 2


def test_missing_ids_are_made_and_told_when_others_are_given(caplog: pytest.LogCaptureFixture) -> None:
    corpus = shape_corpus(pl.DataFrame({"_id": ["1", None, ""], "text": ["x", "y", "z"]}), SOURCE)
    assert corpus["doc_id"][0] == "1"
    assert corpus["doc_id"][1:].to_list() == hash_texts("d-", pl.Series(["y", "z"])).to_list()
    assert "here.parquet: 2 rows have no '_id': their ids are made from their texts" in caplog.text


def test_ids_are_whole_numbers_when_the_column_is_float_for_its_gap() -> None:
    corpus = shape_corpus(pl.DataFrame({"_id": [1.0, 2.0], "text": ["x", "y"]}), SOURCE)
    assert corpus["doc_id"].to_list() == ["1", "2"]


def test_ids_stay_fractions_when_they_are() -> None:
    corpus = shape_corpus(pl.DataFrame({"_id": [1.0, 2.5], "text": ["x", "y"]}), SOURCE)
    assert corpus["doc_id"].to_list() == ["1.0", "2.5"]


def test_null_text_is_empty_so_that_cleaning_counts_it() -> None:
    assert shape_corpus(pl.DataFrame({"text": [None, "x"]}), SOURCE)["text"].to_list() == ["", "x"]


@pytest.mark.parametrize("texts", [[["x"]], [{"a": "x"}], [b"x"]], ids=["list", "struct", "bytes"])
def test_error_names_the_type_when_the_text_column_holds_no_texts(texts: list[object]) -> None:
    with pytest.raises(InputError, match=r"column 'text' of 'here\.parquet' holds .*, not texts: give one text a row"):
        shape_corpus(pl.DataFrame({"text": texts}), SOURCE)


def test_relevance_error_counts_the_rows_when_several_are_no_numbers() -> None:
    with pytest.raises(InputError, match=r"'here\.parquet', row 2: relevance 'a' is not a number \(2 such rows\)"):
        as_relevance(pl.Series(["1", "a", None, "b"]), SOURCE)
