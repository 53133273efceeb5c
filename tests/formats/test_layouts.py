"""What loaders ask of files beyond their rows: offsets, margins, ranks, configs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from datagen.errors import InputError
from datagen.formats import ExportOptions, export_run
from datagen.formats.shapes import check_ids


def test_contrastors_offsets_are_those_of_the_lines_in_bytes(run: Path, tmp_path: Path) -> None:
    export_run(run, "contrastors", tmp_path / "out", ExportOptions(rows_per_shard=10, scores="teacher"))
    folder = tmp_path / "out" / "train"
    counts = json.loads((folder / "counts.json").read_text())
    offsets = json.loads(gzip.decompress((folder / "offsets.json.gz").read_bytes()))
    assert sorted(counts.values()) == [4, 4, 10, 10]
    for shard in sorted(folder.glob("shard-*")):
        content = gzip.decompress(shard.read_bytes())
        for levels in (3, 4):
            name = "/".join(shard.resolve().parts[-levels:])
            rows = [json.loads(content[start:end]) for start, end in offsets[name].values()]
            assert len(rows) == counts[name] == len(offsets[name])
            assert all(len(row["negatives"]) == len(row["negatives_scores"]) for row in rows)


def test_gpl_margins_are_differences_of_scores(run: Path, tmp_path: Path) -> None:
    export_run(run, "gpl", tmp_path / "out", ExportOptions(scores="reranker", num_negatives=2))
    lines = [line.split("\t") for line in (tmp_path / "out" / "gpl-training-data.tsv").read_text().splitlines()]
    assert len(lines) == 14 * 2
    assert lines[0][:3] == ["query-0", "parent0#0", "doc/20"]
    assert [float(line[3]) for line in lines[:2]] == pytest.approx([4.0, 5.0], abs=1e-5)


def test_gpl_without_scores_has_no_margins(run: Path, tmp_path: Path) -> None:
    export_run(run, "gpl", tmp_path / "out")
    assert not (tmp_path / "out" / "gpl-training-data.tsv").exists()


def test_trec_ranks_follow_the_scores(run: Path, tmp_path: Path) -> None:
    export_run(run, "trec-run", tmp_path / "out", ExportOptions(scores="teacher"))
    lines = [line.split(" ") for line in (tmp_path / "out" / "run.trec").read_text().splitlines()]
    assert all(len(line) == 6 for line in lines)
    for query in {line[0] for line in lines}:
        own = [line for line in lines if line[0] == query]
        assert [int(line[3]) for line in own] == list(range(1, len(own) + 1))
        assert [float(line[4]) for line in own] == sorted((float(line[4]) for line in own), reverse=True)


def test_an_id_with_a_blank_is_no_cell() -> None:
    with pytest.raises(InputError, match="the id 'a b' holds a blank"):
        check_ids(pl.Series(["x", "a b"]))


def test_collection_of_colbert_has_one_line_a_document(run: Path, tmp_path: Path) -> None:
    export_run(run, "colbert", tmp_path / "out")
    lines = (tmp_path / "out" / "collection.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.partition("\t")[0] for line in lines] == [str(number) for number in range(len(lines))]
    assert all(line.count("\t") == 1 for line in lines)


def test_an_export_is_a_dataset_with_splits_and_configs(run: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    split = {"train": 0.5, "dev": 0.25, "test": 0.25}
    export_run(run, "st-pair", tmp_path / "pairs", ExportOptions(split=split))
    pairs = datasets.load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"))
    assert set(pairs) == set(split)
    assert sum(map(len, pairs.values())) == 15
    export_run(run, "tevatron-ids", tmp_path / "ids")
    corpus = datasets.load_dataset(str(tmp_path / "ids"), "corpus", split="train", cache_dir=str(tmp_path / "cache"))
    assert corpus.column_names == ["docid", "text"]
    assert len(corpus) == 40
