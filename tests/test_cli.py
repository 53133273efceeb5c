from __future__ import annotations

import contextlib
import importlib.metadata
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

import datagen
from datagen import pipeline, shards
from datagen.cli import app
from datagen.config import GENERATE_STAGES, MINE_STAGES, STAGE_ORDER, RunConfig, build_config
from datagen.errors import BackendError
from datagen.pipeline import RunResult
from datagen.run_folder import RunFolder, StageRecord
from datagen.tables import TRAIN


class FakePipeline:
    """Stands for `pipeline.run`: keeps the settings, and ends as a test wants."""

    def __init__(self) -> None:
        self.config: RunConfig | None = None
        self.error: BaseException | None = None
        self.finished: Sequence[str] = ("clean", "export")

    def __call__(self, config: RunConfig, *, fresh: bool, progress: object, read_again: bool) -> RunResult:
        self.config = config
        self.read_again = read_again
        if self.error is not None:
            raise self.error
        return RunResult(config.out, tuple(StageRecord(name, "print", {}, {"rows": 7}, 0.5) for name in self.finished))


@pytest.fixture
def fake_pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    fake = FakePipeline()
    monkeypatch.setattr(pipeline, "run", fake)
    return fake


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """A run folder as `datagen generate` leaves it."""
    values = {"out": "elsewhere", "input": {"corpus": "mine.jsonl"}, "stages": GENERATE_STAGES, "seed": 7}
    RunFolder(tmp_path).write_summary(build_config(values).model_dump(mode="json"), GENERATE_STAGES)
    return tmp_path


@pytest.mark.parametrize("command", ["", "run", "generate", "mine-negatives", "doctor"])
def test_help_is_there_for_every_command(command: str) -> None:
    done = _call(*command.split(), "--help")
    assert done.exit_code == 0
    assert "Usage: datagen" in done.stdout


def test_version_is_that_of_the_package() -> None:
    assert _call("--version").stdout == f"datagen {datagen.__version__}\n"


def test_run_goes_on_where_generate_ended(fake_pipeline: FakePipeline, generated: Path) -> None:
    assert _call("mine-negatives", "--run", str(generated), "--num-negatives", "3").exit_code == 0
    assert fake_pipeline.config == build_config(
        {
            "out": generated,
            "input": {"corpus": "mine.jsonl"},
            "stages": STAGE_ORDER,
            "seed": 7,
            "mine": {"num_negatives": 3},
        }
    )


def test_refresh_takes_the_settings_of_the_earlier_run_but_not_the_revision_of_its_teacher(
    fake_pipeline: FakePipeline, tmp_path: Path
) -> None:
    values = {
        "out": "elsewhere",
        "input": {"corpus": "mine.jsonl"},
        "stages": STAGE_ORDER,
        "seed": 7,
        "cache": "kept",
        "teacher": {"model": "a/b", "revision": "main", "query_prompt": "query: "},
        "mine": {"num_negatives": 3},
        "judge": {"judges": ["openai:court"], "budget": 9},
    }
    RunFolder(tmp_path).write_summary(build_config(values).model_dump(mode="json"), STAGE_ORDER)
    called = _call("mine-negatives", "--refresh", str(tmp_path), "--out", "new", "--teacher", "student")
    assert called.exit_code == 0, called.output
    over = {
        "out": "new",
        "input": {"run": str(tmp_path)},
        "stages": [name for name in MINE_STAGES if name != "verify"],
        "teacher": {"model": "student", "revision": None, "query_prompt": "query: "},
        "judge": {},  # money is spent when that is said
    }
    assert fake_pipeline.config == build_config({**values, **over})
    _call("mine-negatives", "--refresh", str(tmp_path), "--out", "new", "--num-negatives", "4")
    assert fake_pipeline.config is not None
    assert (fake_pipeline.config.teacher.revision, fake_pipeline.config.mine.num_negatives) == ("main", 4)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        pytest.param("mine-negatives --beir b", ["'out' is missing", "the run folder"], id="no-out"),
        pytest.param("mine-negatives --out r", ["'input' is missing", "`beir`"], id="no-input"),
        pytest.param("mine-negatives --out r --corpus c", ["no queries", "datagen generate"], id="no-queries"),
        pytest.param("mine-negatives --out r --beir b --num-negatives 0", ["num_negatives' is 0"], id="no-negatives"),
        pytest.param("mine-negatives --out r --beir b --margin-policy x", ["'x': choose one of"], id="no-policy"),
        pytest.param("mine-negatives --out r --beir b --set seed", ["--set 'seed' is not SECTION.KEY="], id="no-value"),
        pytest.param("mine-negatives --out r --beir b --set mine.x=1", ["unknown setting 'mine.x'"], id="no-setting"),
        pytest.param("mine-negatives --run nowhere", ["nowhere holds no run.json", "an earlier run"], id="no-run"),
        pytest.param("mine-negatives --refresh no --out r", ["no holds no run.json", "earlier run"], id="no-earlier"),
        pytest.param("mine-negatives --refresh a", ["name a new folder with --out"], id="refresh-no-out"),
        pytest.param("mine-negatives --refresh a --out r --beir b", ["leave out the input"], id="refresh-and-input"),
        pytest.param("mine-negatives --refresh a --run a", ["give one of them"], id="refresh-and-run"),
        pytest.param("mine-negatives --run a --out b", ["leave out --out"], id="run-and-out"),
        pytest.param("mine-negatives --run a --beir b", ["leave out --out and the input"], id="run-and-input"),
        pytest.param("generate --out r", ["'input' is missing"], id="no-corpus"),
        pytest.param("run no.yaml", ["cannot read settings from no.yaml"], id="no-file"),
    ],
)
def test_wrong_call_is_one_line_and_no_traceback(
    arguments: str, parts: list[str], fake_pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _call(*arguments.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert [part for part in parts if part not in done.stderr] == []
    assert fake_pipeline.config is None


def test_error_of_a_run_leaves_its_traceback_in_the_log_file(fake_pipeline: FakePipeline, tmp_path: Path) -> None:
    fake_pipeline.error = BackendError("the teacher fell over: give it less")
    file = tmp_path / "run.log"
    done = _call("mine-negatives", "--beir", "b", "--out", "r", "--log-file", str(file))
    assert (done.exit_code, done.stderr) == (2, "error: the teacher fell over: give it less\n")
    assert "Traceback" in file.read_text(encoding="utf-8")
    assert "datagen.errors.BackendError: the teacher fell over" in file.read_text(encoding="utf-8")


def test_interruption_says_how_to_go_on(fake_pipeline: FakePipeline) -> None:
    fake_pipeline.error = KeyboardInterrupt()
    done = _call("mine-negatives", "--beir", "b", "--out", "r")
    assert (done.exit_code, done.stderr) == (130, "stopped; run the same command again to go on\n")


def test_bug_is_not_hidden_behind_a_sentence(fake_pipeline: FakePipeline) -> None:
    fake_pipeline.error = ZeroDivisionError("a bug")
    assert isinstance(_call("mine-negatives", "--beir", "b", "--out", "r").exception, ZeroDivisionError)


def test_end_shows_the_stages_and_how_to_load_the_rows(fake_pipeline: FakePipeline) -> None:
    shown = _call("mine-negatives", "--beir", "b", "--out", 'my "runs"/1').stdout
    assert "clean" in shown
    assert "rows 7" in shown
    assert 'load_dataset("parquet", data_dir="my \\"runs\\"/1/train", split="train")' in shown


def test_end_shows_how_to_mine_when_there_are_no_shards_yet(fake_pipeline: FakePipeline) -> None:
    fake_pipeline.finished = GENERATE_STAGES
    shown = _call("generate", "--corpus", "c", "--out", "r").stdout
    assert "datagen mine-negatives --run r" in shown
    assert "load_dataset" not in shown


def test_quiet_run_says_nothing(fake_pipeline: FakePipeline) -> None:
    done = _call("mine-negatives", "--beir", "b", "--out", "r", "--quiet")
    assert (done.exit_code, done.output) == (0, "")


def test_lines_of_python_at_the_end_load_the_rows(fake_pipeline: FakePipeline, tmp_path: Path) -> None:
    row = {"query_id": "q1", "query": "why?", "positives": [], "negatives": []}
    shards.write_parts(tmp_path / "train", "train", [pa.Table.from_pylist([row], schema=TRAIN)])
    shown = _call("mine-negatives", "--beir", "b", "--out", str(tmp_path)).stdout
    code = "\n".join(line.strip() for line in shown.splitlines() if line.startswith("    "))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "shown", "exec"), {})  # noqa: S102 - the lines that datagen tells people to run
    assert "'query': 'why?'" in said.getvalue()


def test_doctor_shows_versions_devices_and_the_cache() -> None:
    done = _call("doctor")
    assert done.exit_code == 0
    assert all(word in done.stdout for word in (datagen.__version__, "pydantic", "cpu: ", "cache: "))


def test_doctor_shows_the_command_that_adds_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "packages_distributions", dict)
    shown = _call("doctor").stdout
    assert "not installed" in shown
    assert f"{sys.executable} -m pip install 'datagen[faiss]'" in shown


def test_module_is_the_command(root: Path) -> None:
    command = [sys.executable, "-m", "datagen", "run", "no.yaml"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot read settings from no.yaml")


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="datagen")
