"""Files that are either whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from datagen import shards, storage
from datagen.errors import InputError, StorageError
from datagen.tables import SCHEMAS

PAIRS = pl.DataFrame({"query_id": ["a"], "doc_id": ["b"], "relevance": [1.0], "source": ["x"]})


def test_replacing_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    storage.write_text(path, "old")
    with pytest.raises(RuntimeError, match="stop"), storage.replacing(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("stop")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "no permission to write"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "run the same command again to go on"),
    ],
)
def test_a_refusing_disk_gets_one_sentence(tmp_path: Path, code: int, words: str) -> None:
    with pytest.raises(StorageError, match=words), storage.guard_disk(tmp_path / "part"):
        raise OSError(code, os.strerror(code))


def test_a_really_full_disk_is_named(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with (
        pytest.raises(StorageError, match="disk is full"),
        storage.guard_disk(tmp_path),
        Path("/dev/full").open("w") as f,
    ):
        f.write("x")


def test_a_path_through_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"file/run.*choose another folder"):
        storage.make_folder(tmp_path / "file" / "run")


def test_disk_full_in_the_middle_of_a_shard_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    shards.write_part(tmp_path / "part-00000.parquet", "pairs", PAIRS)
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", refuse)
    with pytest.raises(StorageError, match="part-00001.parquet: No space left on device; the disk is full"):
        shards.write_part(tmp_path / "part-00001.parquet", "pairs", PAIRS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["part-00000.parquet"]


def test_link_file_copies_where_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(os, "link", refuse)
    storage.link_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "x"


def test_rename_folder_replaces_what_stood_there(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    storage.rename_folder(tmp_path / "new", tmp_path / "old")
    assert [entry.name for entry in (tmp_path / "old").iterdir()] == ["new"]


def test_parts_have_the_schema_and_fill_missing_nullable_columns(tmp_path: Path) -> None:
    frame = pl.DataFrame({"doc_id": ["1"], "text": ["t"], "origin": ["o"]})
    assert shards.write_parts(tmp_path, "corpus", [frame, frame]) == 2
    table = pa.parquet.read_table(tmp_path / "part-00001.parquet")
    assert table.schema.remove_metadata() == SCHEMAS["corpus"]
    assert shards.read(tmp_path)["doc_id"].to_list() == ["1", "1"]
    assert shards.scan(tmp_path).collect().height == 2


def test_no_tables_make_one_empty_part(tmp_path: Path) -> None:
    assert shards.write_parts(tmp_path, "pairs", []) == 0
    assert shards.read(tmp_path).columns == SCHEMAS["pairs"].names


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"relevance": [float("nan")]}, "finite"),
        ({"relevance": [float("inf")]}, "finite"),
        ({"doc_id": [None]}, "must not hold nulls"),
    ],
)
def test_a_table_that_breaks_the_contract_is_refused(
    tmp_path: Path, change: dict[str, list[float]], words: str
) -> None:
    broken = PAIRS.with_columns(**{name: pl.Series(values) for name, values in change.items()})
    with pytest.raises(ValueError, match=words):
        shards.write_part(tmp_path / "p.parquet", "pairs", broken)


def test_a_missing_required_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'source' is required"):
        shards.write_part(tmp_path / "p.parquet", "pairs", PAIRS.drop("source"))


def test_an_unreadable_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match="cannot read the parquet files of"):
        shards.read(tmp_path)
