from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import polars as pl
import pytest

from datagen.errors import InputError
from datagen.settings.input import InputConfig
from datagen.sources import load_labels
from datagen.tables import CORPUS, PAIRS, QUERIES
from tests.support.inputs import Loaded, load

Row: TypeAlias = dict[str, object]
Writer: TypeAlias = Callable[[Path, list[Row]], Path]

DOCUMENTS: list[Row] = [
    {"_id": "d1", "title": "First", "text": "one"},
    {"_id": "d2", "title": "", "text": 'two, "quoted"'},
]
QUERY_ROWS: list[Row] = [{"_id": "q1", "text": "which one"}]
QRELS: list[Row] = [{"query-id": "q1", "corpus-id": "d2", "score": 1}]


def _write_jsonl(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _write_gzip(path: Path, rows: list[Row]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def _write_parquet(path: Path, rows: list[Row]) -> Path:
    pl.DataFrame(rows).write_parquet(path)
    return path


def _write_csv(path: Path, rows: list[Row]) -> Path:
    pl.DataFrame(rows).write_csv(path)
    return path


def _write_tsv(path: Path, rows: list[Row]) -> Path:
    pl.DataFrame(rows).write_csv(path, separator="\t")
    return path


def _write_tsv_gzip(path: Path, rows: list[Row]) -> Path:
    path.write_bytes(gzip.compress(pl.DataFrame(rows).write_csv(separator="\t").encode()))
    return path


def _write_parquet_folder(path: Path, rows: list[Row]) -> Path:
    path.mkdir()
    for number, row in enumerate(rows):
        pl.DataFrame([row]).write_parquet(path / f"part-{number}.parquet")
    return path


def _write_dataset(path: Path, rows: list[Row]) -> Path:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows).save_to_disk(path)
    return path


FORMATS = [
    pytest.param(".jsonl", _write_jsonl, id="jsonl"),
    pytest.param(".ndjson", _write_jsonl, id="ndjson"),
    pytest.param(".json", _write_jsonl, id="json"),
    pytest.param(".jsonl.gz", _write_gzip, id="jsonl.gz"),
    pytest.param(".parquet", _write_parquet, id="parquet"),
    pytest.param(".csv", _write_csv, id="csv"),
    pytest.param(".tsv", _write_tsv, id="tsv"),
    pytest.param(".tsv.gz", _write_tsv_gzip, id="tsv.gz"),
    pytest.param("", _write_parquet_folder, id="folder of parquet"),
    pytest.param("", _write_dataset, id="save_to_disk"),
]


def _documents(raw: Loaded) -> list[tuple[str, str | None, str]]:
    return raw.corpus.select("doc_id", "title", "text").rows()


@pytest.mark.parametrize(("suffix", "write"), FORMATS)
def test_input_is_read_when_three_files_are(tmp_path: Path, suffix: str, write: Writer) -> None:
    raw = load(
        InputConfig(
            corpus=str(write(tmp_path / f"corpus{suffix}", DOCUMENTS)),
            queries=str(write(tmp_path / f"queries{suffix}", QUERY_ROWS)),
            qrels=str(write(tmp_path / f"qrels{suffix}", QRELS)),
        )
    )
    assert _documents(raw) == [("d1", "First", "one"), ("d2", None, 'two, "quoted"')]
    assert raw.queries.select("query_id", "query", "origin").rows() == [("q1", "which one", f"queries{suffix}")]
    assert raw.pairs.rows() == [("q1", "d2", 1.0, f"qrels{suffix}")]
    assert set(raw.corpus["origin"]) == {f"corpus{suffix}"}


@pytest.mark.parametrize(("suffix", "write"), FORMATS)
def test_pairs_are_read_when_the_file_is(tmp_path: Path, suffix: str, write: Writer) -> None:
    rows: list[Row] = [{"anchor": "a", "positive": "x"}, {"anchor": "a", "positive": "y"}]
    raw = load(InputConfig(pairs=str(write(tmp_path / f"pairs{suffix}", rows))))
    assert raw.corpus["text"].to_list() == ["x", "y"]
    assert raw.queries["query"].to_list() == ["a"]
    assert raw.pairs["doc_id"].to_list() == raw.corpus["doc_id"].to_list()


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    _write_jsonl(tmp_path / "corpus.jsonl", [*DOCUMENTS, {"_id": "d3", "title": None, "text": "", "metadata": {}}])
    _write_jsonl(tmp_path / "queries.jsonl", [*QUERY_ROWS, {"_id": "q2", "text": "other", "metadata": {"a": 1}}])
    (tmp_path / "qrels").mkdir()
    for split, line in (("train", "q1\td2\t1"), ("test", "q2\td1\t2")):
        (tmp_path / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{line}\n", encoding="utf-8")
    return tmp_path


def test_all_judgement_files_are_read_when_a_beir_folder_has_several(beir: Path) -> None:
    raw = load(InputConfig(beir=str(beir)))
    assert raw.pairs.rows() == [("q2", "d1", 2.0, "qrels/test.tsv"), ("q1", "d2", 1.0, "qrels/train.tsv")]
    assert raw.corpus["meta"].to_list() == ['{"metadata":null}', '{"metadata":null}', '{"metadata":{}}']


def test_columns_are_those_of_the_tables_when_anything_is_read(beir: Path) -> None:
    raw = load(InputConfig(beir=str(beir)))
    alone = load(InputConfig(corpus=str(beir / "corpus.jsonl")))
    for given in (raw, alone):
        assert given.corpus.columns == CORPUS.names
        assert given.queries.schema == dict.fromkeys(QUERIES.names, pl.String)
        assert given.pairs.schema == dict.fromkeys(PAIRS.names, pl.String) | {"relevance": pl.Float32}
    assert (len(alone.corpus), len(alone.queries), len(alone.pairs)) == (3, 0, 0)


def test_plain_and_packed_beir_folders_give_the_same_rows(beir: Path) -> None:
    raw = load(InputConfig(beir=str(beir)))
    for path in (beir / "corpus.jsonl", beir / "queries.jsonl", beir / "qrels" / "test.tsv"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = load(InputConfig(beir=str(beir)))
    assert packed.corpus.drop("origin").equals(raw.corpus.drop("origin"))
    assert packed.pairs.drop("source").equals(raw.pairs.drop("source"))


@pytest.mark.parametrize("name", ["qrels.tsv", "qrels.tsv.gz"])
def test_judgements_are_found_when_a_beir_folder_has_one_file(beir: Path, name: str) -> None:
    content = (beir / "qrels" / "test.tsv").read_bytes()
    (beir / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    for path in (beir / "qrels").iterdir():
        path.unlink()
    assert load(InputConfig(beir=str(beir))).pairs.rows() == [("q2", "d1", 2.0, name)]


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl"])
def test_error_lists_what_is_there_when_a_beir_folder_is_not_complete(beir: Path, missing: str) -> None:
    (beir / missing).unlink()
    with pytest.raises(InputError, match=rf"has no {missing} \(it holds .*'qrels'.*it needs corpus.jsonl"):
        load(InputConfig(beir=str(beir)))


def test_error_names_the_judgements_when_a_beir_folder_has_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no qrels/\*\.tsv or qrels\.tsv \(it is empty\)"):
        load(InputConfig(beir=str(tmp_path)))


def test_error_says_not_a_folder_when_beir_is_a_file(beir: Path) -> None:
    with pytest.raises(InputError, match="does not exist or is not a folder"):
        load(InputConfig(beir=str(beir / "corpus.jsonl")))


def test_error_says_no_judgements_when_there_is_only_a_header(beir: Path) -> None:
    for path in (beir / "qrels").iterdir():
        path.write_text("query-id\tcorpus-id\tscore\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"qrels/test\.tsv, qrels/train\.tsv hold no judgements"):
        load(InputConfig(beir=str(beir)))


def test_nan_reaches_the_cleaning_when_judgements_hold_it(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").write_text("q2\td1\tnan\n", encoding="utf-8")
    assert math.isnan(load(InputConfig(beir=str(beir))).pairs["relevance"][0])


def test_error_lists_the_columns_when_the_text_is_missing(tmp_path: Path) -> None:
    path = _write_parquet(tmp_path / "corpus.parquet", [{"id": "1", "abstract": "x"}])
    with pytest.raises(
        InputError, match=r"'corpus\.parquet' has no column for the text: it has 'id', 'abstract'; rename one to 'text'"
    ):
        load(InputConfig(corpus=str(path)))


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.csv", "corpus.tsv", "corpus.json"])
def test_error_names_the_file_when_it_is_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=rf"{name}' is empty: give a file with at least one row"):
        load(InputConfig(corpus=str(tmp_path / name)))


@pytest.mark.parametrize("name", ["corpus.csv", "corpus.tsv", "corpus.parquet"])
def test_error_says_no_rows_when_there_are_only_columns(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pl.DataFrame(schema={"id": pl.String, "text": pl.String}).write_parquet(tmp_path / name)
    else:
        (tmp_path / name).write_text("id,text\n".replace(",", "\t" if "tsv" in name else ","), encoding="utf-8")
    with pytest.raises(InputError, match=rf"'{name}' holds no rows, only columns \['id', 'text'\]"):
        load(InputConfig(corpus=str(tmp_path / name)))


@pytest.mark.parametrize("content", [b"PAR1 cut short", b""], ids=["cut", "empty"])
def test_error_names_the_file_when_parquet_is_unreadable(tmp_path: Path, content: bytes) -> None:
    folder = _write_parquet_folder(tmp_path / "parts", DOCUMENTS)
    (folder / "part-1.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read '.*part-1\.parquet' as parquet: .*write or copy the file again"):
        load(InputConfig(corpus=str(folder)))


def test_columns_are_joined_when_parquet_parts_differ(tmp_path: Path) -> None:
    folder = _write_parquet_folder(tmp_path / "parts", [{"id": 1, "text": "x"}, {"id": "b", "text": "y", "year": 1999}])
    raw = load(InputConfig(corpus=str(folder)))
    assert raw.corpus.select("doc_id", "meta").rows() == [("1", None), ("b", '{"year":1999}')]


def test_error_says_so_when_parquet_parts_do_not_fit_together(tmp_path: Path) -> None:
    folder = _write_parquet_folder(tmp_path / "parts", [{"id": 1, "text": "x"}, {"id": 2, "text": ["y"]}])
    with pytest.raises(InputError, match=r"column 'text' of 'parts' holds List\(String\), not texts"):
        load(InputConfig(corpus=str(folder)))


def test_error_says_judgements_only_when_a_trec_file_is_given_as_corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("some words", encoding="utf-8")
    with pytest.raises(InputError, match=r"'corpus\.txt' can only be read as relevance judgements: give a \.parquet"):
        load(InputConfig(corpus=str(tmp_path / "corpus.txt")))


@pytest.mark.parametrize("name", ["cisi", "med", "cranfield", "cacm", "entailmentbank", "xquad-xlingual"])
def test_every_row_arrives_when_a_real_set_is_read(shared_data: Path, name: str) -> None:
    folder = shared_data / name
    raw = load(InputConfig(beir=str(folder)))
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    assert raw.corpus["doc_id"].to_list() == [row["_id"] for row in documents]
    assert raw.corpus["text"].to_list() == [row["text"] for row in documents]
    assert len(raw.pairs) == len((folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()) - 1
    assert set(raw.pairs["doc_id"]) <= set(raw.corpus["doc_id"])
    assert set(raw.pairs["query_id"]) == set(raw.queries["query_id"])


@pytest.mark.parametrize("place", ["qrels/test.tsv", "qrels.tsv"])
def test_labels_are_read_from_a_beir_folder_and_from_a_file(tmp_path: Path, place: str) -> None:
    _write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    _write_jsonl(tmp_path / "queries.jsonl", QUERY_ROWS)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    _write_tsv(tmp_path / place, QRELS)
    for value in (tmp_path, tmp_path / place):
        labels = load_labels(str(value)).select("query_id", "doc_id", "relevance")
        assert labels.rows() == [("q1", "d2", 1.0)]


def test_labels_without_a_row_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(InputError, match="hold no judgements"):
        load_labels(str(tmp_path / "labels.tsv"))
