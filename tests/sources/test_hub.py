from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from datagen.errors import BackendMissingError, InputError
from datagen.settings.input import InputConfig
from datagen.sources import input_fingerprint
from tests.support.inputs import load

datasets = pytest.importorskip("datasets", reason="needs the extra `hub`")
datasets.disable_progress_bars()

ROWS = {"id": ["a", "b"], "text": ["x", "y"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved dataset with two splits."""
    splits = {
        "train": datasets.Dataset.from_dict(ROWS),
        "test": datasets.Dataset.from_dict({"id": ["c"], "text": ["z"]}),
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def dataset_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a dataset that is in the cache of the hub, as if it had been fetched before."""
    pl.DataFrame(ROWS).write_parquet(tmp_path / "rows.parquet")
    made = datasets.load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), cache_dir=str(tmp_path / "made"))
    file = Path(made["train"].cache_files[0]["filename"])
    shutil.copytree(file.parent, tmp_path / "cache" / "me___tiny" / "default" / "0.0.0" / "abc")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache/me___tiny/default/0.0.0/abc/parquet-train.arrow").rename(
        tmp_path / "cache/me___tiny/default/0.0.0/abc/tiny-train.arrow"
    )
    return "me/tiny"


@pytest.mark.parametrize(("split", "ids"), [("train", ["a", "b"]), ("test", ["c"])])
def test_split_is_taken_when_a_saved_dataset_has_several(folder: Path, split: str, ids: list[str]) -> None:
    raw = load(InputConfig(corpus=str(folder), split=split))
    assert raw.corpus["doc_id"].to_list() == ids
    assert set(raw.corpus["origin"]) == {f"saved/{split}"}


def test_error_lists_the_splits_when_the_wanted_one_is_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match="saved' has no split 'dev': set `split` to one of train, test"):
        load(InputConfig(corpus=str(folder), split="dev"))


def test_only_split_is_taken_when_it_has_another_name(tmp_path: Path) -> None:
    datasets.DatasetDict({"corpus": datasets.Dataset.from_dict(ROWS)}).save_to_disk(tmp_path / "saved")
    assert len(load(InputConfig(corpus=str(tmp_path / "saved"))).corpus) == 2


def test_chosen_rows_alone_are_read_when_the_saved_dataset_was_a_selection(tmp_path: Path) -> None:
    datasets.Dataset.from_dict(ROWS).select([1]).save_to_disk(tmp_path / "saved")
    assert load(InputConfig(corpus=str(tmp_path / "saved"))).corpus["text"].to_list() == ["y"]


def test_fingerprint_follows_the_split_when_a_saved_dataset_has_several(folder: Path) -> None:
    train, test = (input_fingerprint(InputConfig(corpus=str(folder), split=split)) for split in ("train", "test"))
    assert train.startswith("files: corpus saved/train sha256:")
    assert train.split(":")[-1] != test.split(":")[-1]


def test_error_says_save_again_when_a_saved_dataset_is_damaged(folder: Path) -> None:
    next((folder / "train").glob("*.arrow")).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"cannot read the dataset folder '.*saved/train': .*save it again"):
        load(InputConfig(corpus=str(folder)))


def test_rows_are_read_when_the_hub_has_the_dataset(dataset_id: str) -> None:
    config = InputConfig(corpus=dataset_id)
    raw = load(config)
    assert raw.corpus.select("doc_id", "text", "origin").rows() == [("a", "x", "me/tiny"), ("b", "y", "me/tiny")]
    assert input_fingerprint(config).startswith("files: corpus me/tiny sha256:")


def test_error_says_give_a_path_when_the_hub_is_not_reachable() -> None:
    with pytest.raises(
        InputError,
        match=r"'nobody/nothing' is no file or folder here, .* the hub was not reachable .* give the path of a",
    ):
        load(InputConfig(corpus="nobody/nothing"))


@pytest.mark.parametrize("read", [load, input_fingerprint], ids=["load", "fingerprint"])
def test_error_is_the_install_command_when_datasets_is_missing_for_an_id(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[InputConfig], object]
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BackendMissingError, match=r"'nobody/nothing' .*pip install 'datagen\[hub\]'"):
        read(InputConfig(corpus="nobody/nothing"))


def test_error_is_the_install_command_when_datasets_is_missing_for_a_folder(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BackendMissingError, match=r"dataset folder '.*saved/train' .*pip install 'datagen\[hub\]'"):
        load(InputConfig(corpus=str(folder)))
