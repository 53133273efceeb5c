"""What all exports do alike: shards, splits, short lists, prompts, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from datagen.errors import ConfigError, InputError, RunFolderError, StorageError
from datagen.formats import FORMATS, ExportOptions, export_run, read_dataset, read_options
from tests.support.exports import INSTRUCTION, QUERIES, make_run

WRITTEN = [name for name, form in FORMATS.items() if form.tables]


@pytest.mark.parametrize("name", WRITTEN)
def test_two_exports_are_the_same_bytes(name: str, run: Path, tmp_path: Path) -> None:
    options = ExportOptions(split={"train": 0.6, "dev": 0.4}, rows_per_shard=5)
    for place in ("one", "two"):
        export_run(run, name, tmp_path / place / "out", options)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    # The names of contrastors' shards are the ends of their paths.
    same = [file for file in files if file.name not in {"counts.json", "offsets.json.gz"}]
    assert len(same) >= 3
    assert [
        file for file in same if (tmp_path / "one" / file).read_bytes() != (tmp_path / "two" / file).read_bytes()
    ] == []


def test_shards_hold_as_many_rows_as_asked(run: Path, tmp_path: Path) -> None:
    done = export_run(run, "st-pair", tmp_path / "out", ExportOptions(rows_per_shard=4))
    files = sorted((tmp_path / "out").glob("*.parquet"))
    assert [file.name for file in files] == [f"train-{number:05d}.parquet" for number in range(4)]
    assert [len(pl.read_parquet(file)) for file in files] == [4, 4, 4, 3]
    assert (done.rows, done.queries) == (15, {"train": QUERIES})


def test_short_lists_are_padded_with_their_own(run: Path, tmp_path: Path) -> None:
    done = export_run(run, "st-n-tuple", tmp_path / "out", ExportOptions(num_negatives=3))
    row = pl.read_parquet(tmp_path / "out" / "*.parquet").filter(pl.col("anchor").str.contains("Frage 2:")).row(0)
    assert row[2] == row[4] != row[3]
    assert done.lost == {"left_out_without_negative": 1, "padded": 1}
    assert "1 queries short of negatives, filled up" in (tmp_path / "out" / "README.md").read_text()


def test_short_lists_are_left_out_and_counted_on_request(run: Path, tmp_path: Path) -> None:
    done = export_run(run, "flagembedding", tmp_path / "out", ExportOptions(num_negatives=3, short="drop"))
    assert done.lost == {"left_out_without_negative": 1, "left_out_short_of_negatives": 1}
    assert done.queries == {"train": QUERIES - 2}
    assert {len(row) for row in read_dataset(tmp_path / "out").rows["negatives"]} == {3}


def test_short_lists_stop_the_export_on_request_and_leave_nothing(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the query 'query-3' is without negative: --short pad repeats"):
        export_run(run, "st-n-tuple", tmp_path / "out", ExportOptions(short="error"))
    assert not (tmp_path / "out").exists()


def test_ragged_formats_keep_short_lists_as_they_are(run: Path, tmp_path: Path) -> None:
    export_run(run, "tevatron", tmp_path / "out")
    sizes = read_dataset(tmp_path / "out").rows["negatives"].list.len()
    assert sorted(set(sizes)) == [2, 4]


def test_documents_without_a_score_leave_lists_that_need_one(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", unscored=True)
    done = export_run(run, "flagembedding", tmp_path / "out", ExportOptions(scores="reranker"))
    assert done.lost == {"documents_without_score": 1, "left_out_without_negative": 1}
    rows = [json.loads(line) for line in (tmp_path / "out" / "train-00000.jsonl").read_text().splitlines()]
    assert [len(row["neg"]) - len(row["neg_scores"]) for row in rows] == [0] * 11
    assert not any(score is None for row in rows for score in row["pos_scores"] + row["neg_scores"])


@pytest.mark.parametrize("name", ["st-pair", "tevatron-ids", "gpl", "colbert", "contrastors", "nemo-automodel"])
def test_splits_share_no_positive(name: str, run: Path, tmp_path: Path) -> None:
    options = ExportOptions(split={"train": 0.5, "dev": 0.25, "test": 0.25}, seed=3)
    done = export_run(run, name, tmp_path / "out", options)
    assert all(done.queries.values())
    assert sum(done.queries.values()) == QUERIES - (1 if FORMATS[name].negatives else 0)
    assert len(read_dataset(tmp_path / "out").rows) == sum(done.queries.values())


def test_queries_with_a_common_positive_are_in_one_split_for_every_seed(run: Path, tmp_path: Path) -> None:
    seen = set()
    for seed in range(12):
        out = tmp_path / str(seed)
        export_run(run, "st-pair", out, ExportOptions(split={"train": 0.5, "dev": 0.5}, seed=seed))
        dev = pl.read_parquet(out / "dev-*.parquet")["anchor"].unique().sort().to_list()
        assert len({any(f"Frage {number}:" in query for query in dev) for number in (0, 1)}) == 1
        seen.add(tuple(dev))
    assert len(seen) > 6


def test_a_split_that_would_be_empty_is_an_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the split 'dev' would be empty: 12 queries fall into 11 groups"):
        export_run(run, "st-pair", tmp_path / "out", ExportOptions(split={"train": 0.99, "dev": 0.01}))


def test_instructions_go_where_the_format_has_a_place_or_before_the_query(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(tmp_path / "run", instructed=True)
    export_run(run, "flagembedding", tmp_path / "fe")
    assert {row["prompt"] for row in _lines(tmp_path / "fe" / "train-00000.jsonl")} == {INSTRUCTION, ""}
    export_run(run, "st-pair", tmp_path / "st")
    assert "queries have instructions, for which st-pair has no place" in caplog.text
    template = "Instruct: {instruction}\nQuery: {query}"
    export_run(run, "st-pair", tmp_path / "template", ExportOptions(query_template=template))
    anchors = pl.read_parquet(tmp_path / "template" / "*.parquet")["anchor"].unique(maintain_order=True)
    assert anchors[0] == f"Instruct: {INSTRUCTION}\nQuery: Frage 0: what is “0”?"
    assert anchors[1] == "Frage 1: what is “1”?"


def test_a_template_without_an_instruction_is_for_every_query(run: Path, tmp_path: Path) -> None:
    export_run(run, "st-pair", tmp_path / "out", ExportOptions(query_template="query: {query}"))
    assert pl.read_parquet(tmp_path / "out" / "*.parquet")["anchor"].str.starts_with("query: Frage").all()


def test_prompt_is_left_out_where_no_query_has_an_instruction(run: Path, tmp_path: Path) -> None:
    export_run(run, "flagembedding", tmp_path / "out")
    assert {tuple(row) for row in _lines(tmp_path / "out" / "train-00000.jsonl")} == {("query", "pos", "neg", "type")}


def test_texts_are_written_as_they_are_in_utf_8(run: Path, tmp_path: Path) -> None:
    export_run(run, "flagembedding", tmp_path / "out")
    text = (tmp_path / "out" / "train-00000.jsonl").read_text(encoding="utf-8")
    assert "naïve café" in text
    assert "🙂" in text
    assert "\\u" not in text


def test_an_earlier_export_is_replaced_only_on_request(run: Path, tmp_path: Path) -> None:
    export_run(run, "st-pair", tmp_path / "out")
    with pytest.raises(StorageError, match="holds an earlier export: .* --fresh"):
        export_run(run, "st-triplet", tmp_path / "out")
    export_run(run, "tevatron", tmp_path / "out", fresh=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "train-00000.jsonl"]


def test_a_folder_of_somebody_else_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(StorageError, match="holds files that are no export of datagen"):
        export_run(run, "st-pair", tmp_path / "out", fresh=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("st-tripel", ExportOptions(), "unknown format 'st-tripel': choose one of arctic, beir"),
        ("datagen", ExportOptions(), "the format 'datagen' can only be read"),
        ("st-pair", ExportOptions(scores="teacher"), "the format 'st-pair' has no place for scores"),
    ],
    ids=["unknown", "read-only", "no-scores"],
)
def test_what_cannot_be_exported_is_said(
    name: str, options: ExportOptions, message: str, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        export_run(run, name, tmp_path / "out", options)


def test_a_folder_without_training_data_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"holds no run\.json"):
        export_run(tmp_path, "st-pair", tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"split": "train=0.9"}, "together 0.9, they must be 1"),
        ({"split": "train:1"}, "must be names with shares"),
        ({"split": "a/b=1"}, "the split 'a/b' must have a name of letters"),
        ({"short": "repeat"}, "'short' is 'repeat'"),
        ({"num_negatives": 0}, "'num_negatives' is 0"),
        ({"query_template": "Query:"}, "must hold {query}"),
    ],
    ids=["share", "form", "name", "rule", "number", "template"],
)
def test_wrong_options_are_said(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_options(**given)


def test_options_are_read_from_the_command_line() -> None:
    options = read_options(split="train=0.8,dev=0.2", num_negatives=None, short="drop")
    assert options == ExportOptions(split={"train": 0.8, "dev": 0.2}, short="drop")


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
