from __future__ import annotations

import gzip
import math
from pathlib import Path

import polars as pl
import pytest

from datagen.errors import InputError
from datagen.sources.locate import locate
from datagen.sources.qrels import read_qrels

HEADER = "query-id\tcorpus-id\tscore\n"
ROWS = [("q1", "d1", 1.0), ("q1", "d2", 0.0), ("q2", "d1", 2.0)]


def _read(path: Path) -> list[tuple[str, str, float]]:
    return read_qrels(locate(str(path), "train"), "train").select("query_id", "doc_id", "relevance").rows()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td1\t2\n", id="beir"),
        pytest.param("test.tsv", "score\tcorpus-id\tquery-id\n1\td1\tq1\n0\td2\tq1\n2\td1\tq2\n", id="other order"),
        pytest.param("test.tsv", "\ufeffquery_id\tdoc_id\tlabel\r\nq1\td1\t1\r\nq1\td2\t0\r\nq2\td1\t2\r\n", id="crlf"),
        pytest.param("test.tsv", "q1\td1\t1\n\nq1\td2\t0\nq2\td1\t2\n", id="no header"),
        pytest.param("qrels.txt", "q1 0 d1 1\nq1 0 d2 0\nq2 Q0  d1\t2\n", id="trec"),
        pytest.param("a.trec", "q1\t0\td1\t1\nq1\t0\td2\t0\nq2\t0\td1\t2", id="trec with tabs"),
        pytest.param("a.csv", "qid,docid,relevance\nq1,d1,1\nq1,d2,0\nq2,d1,2\n", id="csv"),
    ],
)
def test_judgements_are_read_when_the_file_is(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert _read(tmp_path / name) == ROWS


def test_judgements_are_read_when_the_file_is_gzip(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv.gz").write_bytes(gzip.compress(b"query-id\tcorpus-id\tscore\nq1\td1\t1\n"))
    assert _read(tmp_path / "qrels.tsv.gz") == [("q1", "d1", 1.0)]


def test_ids_are_texts_when_a_parquet_file_has_numbers(tmp_path: Path) -> None:
    pl.DataFrame({"query-id": [1, 2], "corpus-id": [7.0, None], "score": [True, False]}).write_parquet(
        tmp_path / "qrels.parquet"
    )
    assert _read(tmp_path / "qrels.parquet") == [("1", "7", 1.0), ("2", "", 0.0)]


def test_relevance_is_one_when_there_is_no_such_column(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\nq1\td1\n", encoding="utf-8")
    assert _read(tmp_path / "qrels.tsv") == [("q1", "d1", 1.0)]


@pytest.mark.parametrize("value", ["NaN", "inf", "-Infinity", "1e400", ""])
def test_relevance_is_kept_for_cleaning_when_it_is_not_finite(tmp_path: Path, value: str) -> None:
    (tmp_path / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\nq1\td1\t{value}\n", encoding="utf-8")
    [(_, _, relevance)] = _read(tmp_path / "qrels.tsv")
    assert not math.isfinite(relevance)


def test_relevance_is_read_when_json_has_nan_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "qrels.jsonl").write_text(
        '{"qid": "q1", "docid": "d1", "score": NaN}\n{"qid": "q1", "docid": "d2", "score": 2}\n', encoding="utf-8"
    )
    first, second = _read(tmp_path / "qrels.jsonl")
    assert math.isnan(first[2])
    assert second == ("q1", "d2", 2.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(HEADER + "q1\td1\t1\n\nq1\td2\thigh\n", "row 4: relevance 'high' is not a number", id="word"),
        pytest.param(HEADER + "q1\td1\t1\nq1\td2\n", "line 3: .* does not have the 3 fields", id="short line"),
        pytest.param(
            "topic\tpassage\tgrade\nq1\td1\t1\n", "for the query id: it has 'topic', 'passage', 'grade'", id="names"
        ),
        pytest.param("query-id\tscore\nq1\t1\n", "for the document id: it has 'query-id', 'score'", id="one id"),
        pytest.param("q1\t1\n", "has no header and 2 columns .* give 3", id="two columns"),
        pytest.param("1 Q0 d1 1 0.5\n", "has no header and 5 columns", id="trec run"),
        pytest.param("", "is empty", id="empty"),
    ],
)
def test_error_names_file_and_value_when_judgements_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "qrels.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"qrels.tsv'.*{message}"):
        _read(tmp_path / "qrels.tsv")
