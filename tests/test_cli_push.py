"""`datagen push` as it is typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datagen.cli import app
from datagen.formats import export_run
from tests.support.exports import make_run
from tests.support.hub_server import TOKEN, Fault, serve_hub


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")
    return export_run(make_run(folder / "run"), "flagembedding", folder / "export").path


def test_dry_run_lists_files_with_their_sizes_and_what_is_left_out(export: Path, tmp_path: Path) -> None:
    (export / "run.log").write_text("x", encoding="utf-8")
    done = CliRunner().invoke(app, ["push", str(export), "me/data", "--dry-run"])
    (export / "run.log").unlink()
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["README.md"] in [line[-1:] for line in lines]
    assert ["left", "out", "run.log", "(not", "written", "by", "datagen)"] in lines
    assert "Nothing was sent. A new dataset me/data would be readable by you and your group." in done.output


def test_a_wrong_name_is_one_line(export: Path) -> None:
    done = CliRunner().invoke(app, ["push", str(export), "not a name", "--dry-run"])
    assert done.exit_code == 2
    assert "error: 'not a name' is no name of a dataset" in done.output


def test_there_is_no_option_for_a_token() -> None:
    done = CliRunner().invoke(app, ["push", "--help"], env={"COLUMNS": "200"})
    assert "--token" not in done.output
    assert "HF_TOKEN" in done.output
    assert "[default: private]" in done.output


def test_the_command_pushes_to_the_endpoint_of_the_environment_and_says_where(export: Path, tmp_path: Path) -> None:
    with serve_hub() as hub:
        hub.faults = [Fault("create", 503)]
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": f"{TOKEN}\n", "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-m", "datagen", "push", str(export), "data", "--revision", "v1"]
        command += ["--log-file", str(tmp_path / "log")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"pushed: {hub.url}/datasets/me/data/commit/x" in done.stdout
        assert "the hub is not well (503, so it is)" in done.stderr
        assert set(hub.repos["me/data"].files("v1")) == {path.name for path in export.iterdir()}
        assert hub.repos["me/data"].private
        assert TOKEN not in done.stdout + done.stderr + (tmp_path / "log").read_text(encoding="utf-8")
