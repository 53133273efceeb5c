from __future__ import annotations

from pathlib import Path

import pytest

from datagen.config import GENERATE_STAGES, MINE_STAGES, STAGE_ORDER, RunConfig, load_config

FILES = sorted((Path(__file__).resolve().parents[1] / "pipelines").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_pipeline_loads(path: Path) -> None:
    config = load_config(path)
    assert config.out.parts[0] == "runs"
    assert config.resolved_stages


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_pipeline_explains_each_setting(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    values = [line for line in lines if not line.lstrip().startswith("#") and not line.rstrip().endswith(":")]
    assert [line for line in values if " # " not in line] == []


def test_pipelines_are_all_there() -> None:
    assert {path.stem for path in FILES} >= {"quickstart", "mine_only", "openai", "vllm", "e5", "corpus"}


def test_quickstart_needs_nothing_from_outside() -> None:
    config = _load("quickstart")
    assert set(STAGE_ORDER) - set(config.resolved_stages) == {"brainstorm", "calibrate", "judge"}
    assert config.input.corpus == "packaged:medquad-sample"
    assert config.teacher.model.startswith("packaged:")
    assert config.generate.llm == "extractive"
    assert config.denoise.reranker == "maxsim"


def test_mine_only_generates_nothing() -> None:
    assert set(MINE_STAGES) - set(_load("mine_only").resolved_stages) == {"verify", "calibrate", "judge"}
    assert set(GENERATE_STAGES) - set(MINE_STAGES) == {"brainstorm", "generate"}


def _load(name: str) -> RunConfig:
    return load_config(next(path for path in FILES if path.stem == name))
