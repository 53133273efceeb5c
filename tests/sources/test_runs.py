"""An earlier run as the input: what is found in it, and what is said where it cannot be mined again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datagen import shards
from datagen.config import build_config
from datagen.errors import ConfigError, InputError, RunFolderError
from datagen.run_folder import RunFolder
from datagen.settings.input import InputConfig
from datagen.sources import input_fingerprint, locate_run
from datagen.tables import SCHEMAS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    RunFolder(folder).write_summary({}, [])
    for name in ("corpus", "queries", "pairs", "candidates", "dropped"):
        shards.write_parts(folder / name, name, [SCHEMAS[name].empty_table()] * 2)
    return folder


def test_tables_of_a_run_are_found_in_part_order(run: Path) -> None:
    tables = locate_run(str(run))
    assert list(tables) == ["corpus", "queries", "pairs", "candidates", "dropped"]
    assert [path.name for path in tables["corpus"]] == ["part-00000.parquet", "part-00001.parquet"]


def test_fingerprint_is_of_all_tables_and_not_of_the_folder(run: Path) -> None:
    before = input_fingerprint(InputConfig(run=str(run)))
    assert before.startswith("run: corpus (2 files) sha256:")
    moved = run.rename(run.with_name("moved"))
    assert input_fingerprint(InputConfig(run=str(moved))) == before
    for table in ("corpus", "queries", "pairs", "candidates", "dropped"):
        said = input_fingerprint(InputConfig(run=str(moved)))
        shards.write_parts(moved / table, table, [SCHEMAS[table].empty_table()] * 3)
        assert input_fingerprint(InputConfig(run=str(moved))) != said


def test_a_folder_that_is_no_run_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="nowhere' is no run of datagen, it holds no run.json: name the --out"):
        locate_run(str(run / "nowhere"))
    (run / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunFolderError, match="is not a run summary"):
        locate_run(str(run))


def test_a_run_of_another_format_is_refused(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({"format": 99}), encoding="utf-8")
    with pytest.raises(InputError, match="has format 99, this datagen 1: mine it with this version first"):
        locate_run(str(run))


def test_a_run_that_was_not_mined_is_refused(run: Path) -> None:
    for table in ("queries", "candidates"):
        for path in (run / table).iterdir():
            path.unlink()
    with pytest.raises(InputError, match="has no queries and no candidates: mine it first, with `datagen mine-neg"):
        locate_run(str(run))


def test_a_run_stands_alone_as_an_input() -> None:
    with pytest.raises(ConfigError, match="beir, run given, which is not one of the forms"):
        build_config({"out": "o", "input": {"run": "r", "beir": "b"}})


@pytest.mark.parametrize("out", ["r", "./r", "x/../r"])
def test_a_run_is_not_mined_again_in_its_own_folder(out: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="mining again writes a new run, name another"):
        build_config({"out": out, "input": {"run": "r"}})
