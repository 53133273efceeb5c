"""Every format: what is exported is read back with the same ids, texts and scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

from datagen.formats import FORMATS, Dataset, ExportOptions, export_run, iterate_dataset, read_dataset, write_dataset
from datagen.formats.dataset import ROWS
from tests.support.exports import make_run

Rows: TypeAlias = dict[str, dict[str, Any]]  # Any: values of a row, by its query id or query

WITH_IDS = {"tevatron", "tevatron-ids", "pylate-distillation", "nemo-automodel", "gpl", "trec-run", "beir", "colbert"}
WITH_IDS |= {"arctic", "simlm", "datagen"}
WITHOUT_NEGATIVES = {"st-pair", "beir"}
ON_ONE_LINE = {"colbert"}
WRITTEN = [name for name, form in FORMATS.items() if form.tables]
SCORED = [name for name in WRITTEN if FORMATS[name].scores != "none" and not name.startswith("st-labeled")]
UNSPLIT_SCORES = ["gpl"]  # has margins, no scores

each_format = pytest.mark.parametrize("name", WRITTEN)


@each_format
def test_texts_and_ids_come_back(name: str, run: Path, tmp_path: Path) -> None:
    export_run(run, name, tmp_path / "out")
    back = read_dataset(tmp_path / "out")
    assert back.format == name
    assert back.rows.schema == ROWS
    keep = FORMATS[name].negatives
    assert _plain(back, name) == _plain(read_dataset(run), name, only_with_negatives=keep)


@pytest.mark.parametrize("name", [name for name in SCORED if name not in UNSPLIT_SCORES])
@pytest.mark.parametrize("whose", ["teacher", "reranker"])
def test_scores_come_back_beside_their_texts(name: str, whose: Any, run: Path, tmp_path: Path) -> None:  # Any: literal
    export_run(run, name, tmp_path / "out", ExportOptions(scores=whose))
    wanted = {
        (row["query"], document["text"] if name not in ON_ONE_LINE else _one_line(document["text"])): score
        for row in pl.read_parquet(run / "train" / "*.parquet").to_dicts()
        for document in row["positives"] + row["negatives"]
        for score in [document[f"{whose}_score"]]
    }
    found = [
        (row["query"], document["text"], document["score"])
        for row in read_dataset(tmp_path / "out").rows.to_dicts()
        for document in row["positives"] + row["negatives"]
    ]
    assert len(found) > 40
    for query, text, score in found:
        assert score == pytest.approx(wanted[query, text], abs=1e-6)


@each_format
def test_slices_together_are_the_whole(name: str, run: Path, tmp_path: Path) -> None:
    options = ExportOptions(rows_per_shard=4)
    export_run(run, name, tmp_path / "out", options)
    slices = list(iterate_dataset(tmp_path / "out"))
    assert {query for frame in slices for query in frame["query"]} == set(read_dataset(tmp_path / "out").rows["query"])


@each_format
def test_the_format_is_told_from_a_single_file_where_one_holds_all(name: str, run: Path, tmp_path: Path) -> None:
    done = export_run(run, name, tmp_path / "out")
    if done.files == 1:
        (file,) = [path for path in (tmp_path / "out").iterdir() if path.name != "README.md"]
        assert read_dataset(file).format == name
    else:
        assert len(FORMATS[name].tables) > 1 or FORMATS[name].finish is not None


@each_format
def test_what_was_read_is_written_again_in_its_format(name: str, run: Path, tmp_path: Path) -> None:
    export_run(run, name, tmp_path / "one")
    first = read_dataset(tmp_path / "one")
    write_dataset(first, tmp_path / "two")
    again = read_dataset(tmp_path / "two")
    assert again.format == name
    assert again.rows.equals(first.rows)


def test_a_run_is_read_as_it_is(run: Path) -> None:
    whole, table = read_dataset(run), read_dataset(run / "train")
    assert whole.format == table.format == "datagen"
    assert whole.rows.equals(table.rows)
    assert len(whole.rows) == 12
    assert whole.rows["positives"].list.len().to_list()[:4] == [3, 2, 1, 1]


@pytest.mark.parametrize("name", ["flagembedding"])
def test_instructions_come_back(name: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", instructed=True)
    export_run(run, name, tmp_path / "out")
    rows = read_dataset(tmp_path / "out").rows
    assert rows.filter(pl.col("instruction").fill_null("") != "").height == 6


def _plain(data: Dataset, name: str, *, only_with_negatives: bool = False) -> Rows:
    """What a format can carry, of each query."""
    change: Callable[[str], str] = _one_line if name in ON_ONE_LINE else str
    fields = ("doc_id", "text") if name in WITH_IDS else ("text",)
    sides = ("positives",) if name in WITHOUT_NEGATIVES else ("positives", "negatives")
    return {
        row["query_id"] if name in WITH_IDS else row["query"]: {
            "query": change(row["query"]),
            **{side: [[change(item[field]) for field in fields] for item in row[side]] for side in sides},
        }
        for row in data.rows.to_dicts()
        if row["negatives"] or not only_with_negatives
    }


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ")
