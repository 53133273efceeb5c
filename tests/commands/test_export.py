"""`datagen export` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from datagen.cli import app
from datagen.formats import FORMATS, ExportOptions, read_dataset
from tests.support.exports import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


def test_export_says_what_was_written_and_how_to_load_it(run: Path, tmp_path: Path) -> None:
    command = ["export", str(run), "--format", "st-n-tuple", "--out", str(tmp_path / "out"), "--num-negatives", "3"]
    done = CliRunner().invoke(app, [*command, "--split", "train=0.5,dev=0.5", "--query-template", r"a\n{query}"])
    assert done.exit_code == 0, done.output
    assert "1 queries left out, without a negative" in done.output
    assert "1 queries short of negatives, filled up with their own" in done.output
    assert f'data_dir="{tmp_path / "out"}"' in done.output
    assert read_dataset(tmp_path / "out").rows["query"].str.starts_with("a\nFrage").all()


def test_list_names_every_format() -> None:
    done = CliRunner().invoke(app, ["export", "--list"])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()] == list(FORMATS)


def test_a_wrong_option_is_one_line(run: Path, tmp_path: Path) -> None:
    command = ["export", str(run), "--format", "st-pair", "--out", str(tmp_path / "out"), "--scores", "student"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "error: setting 'scores' is 'student'" in done.output or "error: unknown scores 'student'" in done.output


def test_help_tells_the_defaults() -> None:
    text = " ".join(CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "300"}).output.split())
    options = ExportOptions()
    for value in (options.short, options.rows_per_shard, options.seed, options.query_template):
        assert f"[default: {value}]" in text
