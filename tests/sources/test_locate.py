from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from datagen.errors import ConfigError, InputError
from datagen.sources.locate import PACKAGED, locate


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("a.parquet", "parquet"),
        ("a.PQ", "parquet"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.json", "json"),
        ("a.csv.gz", "csv"),
        ("a.b.tsv", "tsv"),
        ("a.qrels", "plain"),
    ],
)
def test_format_is_told_from_the_name_when_the_file_exists(tmp_path: Path, name: str, format_: str) -> None:
    (tmp_path / name).touch()
    source = locate(str(tmp_path / name), "train")
    assert (source.name, source.format, source.files) == (name, format_, (tmp_path / name,))


@pytest.mark.parametrize("value", ["squad", "owner/name", "owner/name:configuration"])
def test_value_is_a_dataset_id_when_nothing_has_that_name(value: str) -> None:
    assert locate(value, "train").format == "hub"


@pytest.mark.parametrize("value", ["corpus.jsonl", "data/corpus.csv.gz", "/no/such", "./no/such", "a b", "x/y/z"])
def test_error_says_what_to_give_when_a_file_does_not_exist(value: str) -> None:
    with pytest.raises(InputError, match=rf"'{re.escape(value)}' does not exist: give a \.parquet, \.jsonl, \.csv or"):
        locate(value, "train")


def test_error_says_what_to_give_when_the_format_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "corpus.docx").touch()
    with pytest.raises(InputError, match=r"format of '.*corpus\.docx' cannot be told from its name: give a \.parquet"):
        locate(str(tmp_path / "corpus.docx"), "train")


@pytest.mark.parametrize(("inside", "said"), [(("a.doc", "b.doc"), "holds 'a.doc', 'b.doc'"), ((), "is empty")])
def test_error_lists_the_folder_when_it_holds_no_table(tmp_path: Path, inside: tuple[str, ...], said: str) -> None:
    for name in inside:
        (tmp_path / name).touch()
    with pytest.raises(
        InputError, match=rf"holds no parquet files and is no dataset folder \(it {said}\): .* use --beir"
    ):
        locate(str(tmp_path), "train")


def test_parts_are_in_order_when_a_folder_holds_parquet(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "note.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in locate(str(tmp_path), "train").files] == ["a.parquet", "b.parquet"]


def test_home_is_found_when_the_path_starts_with_a_tilde() -> None:
    path = Path(os.environ["HOME"]) / "here.csv"
    path.touch()
    assert locate("~/here.csv", "train").files == (path,)


def test_error_lists_the_samples_when_a_packaged_one_is_unknown() -> None:
    with pytest.raises(
        ConfigError, match="unknown packaged sample 'packaged:nope': choose one of packaged:medquad-sample"
    ):
        locate(PACKAGED + "nope", "train")


def test_sample_is_found_when_it_is_packaged() -> None:
    source = locate("packaged:medquad-sample", "train")
    assert (source.name, source.format) == ("packaged:medquad-sample", "jsonl")
    assert source.files[0].name == "medquad_sample.jsonl.gz"


def test_error_says_save_again_when_the_splits_of_a_dataset_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"dataset_dict\.json' does not name the splits of a dataset: save it again"):
        locate(str(tmp_path), "train")
