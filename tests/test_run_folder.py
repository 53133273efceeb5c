"""One run on disk: commits, public tables, refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from datagen import shards
from datagen.errors import RunFolderError, StorageError
from datagen.run_folder import RunFolder, StageRecord, open_run

PAIRS = pl.DataFrame({"query_id": ["a"], "doc_id": ["b"], "relevance": [1.0], "source": ["x"]})
DROPPED = pl.DataFrame({"stage": ["s"], "key": ["k"], "reason": ["r"], "payload": ["{}"]})


def _write(folder: RunFolder, stage: str, source: str) -> None:
    partial = folder.partial(stage, "f1")
    shards.write_parts(partial / "pairs", "pairs", [PAIRS.with_columns(source=pl.lit(source))])
    shards.write_parts(partial / "dropped", "dropped", [DROPPED], stage)
    folder.commit(StageRecord(stage, "f1", {"a": 1}, {"rows": 1}, 0.1))


def test_a_stage_is_there_only_after_its_commit(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as folder:
        folder.partial("clean", "f1")
        assert folder.record("clean") is None
        _write(folder, "clean", "one")
        record = folder.record("clean")
        assert record is not None
        assert (record.fingerprint, record.counts) == ("f1", {"rows": 1})


def test_public_tables_show_the_last_writer_and_all_drops(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as folder:
        _write(folder, "clean", "one")
        folder.publish(["clean"])
        _write(folder, "generate", "two")
        folder.publish(["clean", "generate"])
        assert shards.read(tmp_path / "run" / "pairs")["source"].to_list() == ["two"]
        names = sorted(path.name for path in (tmp_path / "run" / "dropped").iterdir())
        assert names == ["clean-00000.parquet", "generate-00000.parquet"]
        folder.discard(["generate"])
        folder.publish(["clean"])
        assert shards.read(tmp_path / "run" / "pairs")["source"].to_list() == ["one"]
        folder.publish([])
        assert not (tmp_path / "run" / "pairs").exists()


def test_partial_work_of_other_settings_is_removed_and_of_the_same_kept(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as folder:
        (folder.partial("mine", "f1") / "part").write_text("x")
        assert (folder.partial("mine", "f1") / "part").exists()
        folder.partial("mine", "f2")
        assert not (folder.partial("mine", "f1") / "part").exists()


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as folder, pytest.raises(RunFolderError, match="no table 'corpus'"):
        folder.table("corpus", ["clean"])


def test_a_file_as_run_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunFolderError, match="is a file"), open_run(tmp_path / "run"):
        pass


def test_somebody_elses_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    for fresh in (False, True):
        with pytest.raises(RunFolderError, match="files that datagen did not make"), open_run(tmp_path, fresh=fresh):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("summary", [{"format": 99, "datagen": "0.1.0"}, {"format": 1, "datagen": "9.9"}])
def test_a_run_of_another_version_is_refused_until_fresh(tmp_path: Path, summary: dict[str, object]) -> None:
    (tmp_path / "run.json").write_text(json.dumps(summary))
    with pytest.raises(RunFolderError, match=r"was made by datagen .* --fresh to start over"), open_run(tmp_path):
        pass
    with open_run(tmp_path, fresh=True) as folder:
        assert folder.summary() is None


def test_a_broken_summary_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(RunFolderError, match="not a run summary"), open_run(tmp_path):
        pass


def test_fresh_removes_what_datagen_made_and_nothing_else(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as folder:
        _write(folder, "clean", "one")
        folder.publish(["clean"])
        folder.write_summary({}, ["clean"])
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with open_run(tmp_path / "run", fresh=True) as folder:
        assert folder.record("clean") is None
    left = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert left == [".lock", ".stages", "notes.txt"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    hold = f"""
import sys, time
from pathlib import Path
from datagen.run_folder import open_run
with open_run(Path({str(tmp_path / "run")!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match="in use by another datagen process"), open_run(tmp_path / "run"):
            pass
    finally:
        process.communicate("")
    with open_run(tmp_path / "run"):
        pass


def test_a_folder_that_cannot_be_made_is_named() -> None:
    parent = Path("/proc") if Path("/proc/self").exists() else Path(os.devnull)
    with pytest.raises(StorageError, match="cannot write"), open_run(parent / "datagen-run"):
        pass
