"""Where written passages go: a short one that is there already is not written again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from datagen import shards
from datagen.generation.extractive.parsing import Written
from datagen.generation.outcome import Outcome, PlannedRow, Source
from datagen.generation.output import Output
from datagen.tables import CORPUS

LONG = "praise " * 100
LABELS = [("l1", None, "complaint"), ("l2", None, "Praise"), ("l3", "A title", "billing"), ("l4", None, LONG.strip())]


def _outcome(number: int, written: Written, positives: tuple[str, ...] = ("l1",)) -> Outcome:
    row = PlannedRow(f"g-{number}", Source("l1", None, "complaint", "en"), number)
    return Outcome(row, "labels", {}, written, positives=positives)


def _write(folder: Path, outcomes: Sequence[Outcome]) -> tuple[pl.DataFrame, list[tuple[str, str, float]]]:
    """The corpus, and all pairs."""
    blank = dict.fromkeys(CORPUS.names)
    rows = [{**blank, "doc_id": i, "title": title, "text": text, "origin": "user"} for i, title, text in LABELS]
    shards.write_parts(folder / "before", "corpus", [pa.Table.from_pylist(rows, schema=CORPUS)])
    output = Output(folder, {"corpus": sorted((folder / "before").glob("*.parquet"))}, "labels")
    for outcome in outcomes:
        output.add(outcome)
    output.close()
    pairs = shards.read(folder / "pairs", ["query_id", "doc_id", "relevance"])
    return shards.read(folder / "corpus"), pairs.rows()


@pytest.mark.parametrize(
    ("negative", "doc_id"),
    [
        pytest.param("Praise", "l2", id="of-the-corpus"),
        pytest.param(" praise", "l2", id="of-the-corpus-in-other-case"),
        pytest.param("question", "n-1", id="new"),
        pytest.param("billing", "n-1", id="same-text-with-a-title"),
        pytest.param("complaint", "n-1", id="own-positive"),
        pytest.param(LONG.strip(), "n-1", id="long"),
    ],
)
def test_written_negative_is_the_passage_that_is_there_when_it_is_short(
    tmp_path: Path, negative: str, doc_id: str
) -> None:
    corpus, pairs = _write(tmp_path, [_outcome(1, Written("the lamp came broken", negative=negative))])
    assert pairs == [("g-1", "l1", 1.0), ("g-1", doc_id, 0.0)]
    assert corpus["doc_id"].to_list() == [label[0] for label in LABELS] + (["n-1"] if doc_id == "n-1" else [])


def test_written_negative_is_one_passage_when_many_rows_write_it(tmp_path: Path) -> None:
    rows = [_outcome(number, Written(f"text {number}", negative="question")) for number in range(1, 4)]
    corpus, pairs = _write(tmp_path, rows)
    assert [pair for pair in pairs if not pair[2]] == [(f"g-{number}", "n-1", 0.0) for number in range(1, 4)]
    assert corpus["doc_id"].to_list().count("n-1") == 1
    assert len(corpus) == len(LABELS) + 1


def test_written_negative_is_a_positive_that_an_earlier_row_has_written(tmp_path: Path) -> None:
    rows = [
        _outcome(1, Written("text 1", passage="refund", negative="question"), positives=()),
        _outcome(2, Written("text 2", passage="question", negative="Refund"), positives=()),
    ]
    assert _write(tmp_path, rows)[1] == [
        ("g-1", "p-1", 1.0),
        ("g-1", "n-1", 0.0),
        ("g-2", "p-2", 1.0),
        ("g-2", "p-1", 0.0),
    ]
