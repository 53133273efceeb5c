"""What a run would take, said before it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from datagen import pipeline
from datagen.cli import app
from datagen.config import RunConfig, build_config, merge
from datagen.forecast import forecast_mining


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., RunConfig]:
    texts = [f"word{n} of a passage about thing{n % 7}" for n in range(400)]
    (tmp_path / "pairs.jsonl").write_text(
        "".join(json.dumps({"anchor": f"thing{n % 7} {n}", "positive": text}) + "\n" for n, text in enumerate(texts))
    )

    def make(**over: Any) -> RunConfig:  # Any: nested settings
        base = {
            "out": tmp_path / "run",
            "cache": tmp_path / "cache",
            "input": {"pairs": str(tmp_path / "pairs.jsonl")},
            "teacher": {"model": "datagen.testing:HashingTeacher"},
            "denoise": {"reranker": "datagen.testing:OverlapReranker"},
        }
        return build_config(merge(base, over))

    return make


def test_forecast_counts_what_there_is_and_what_is_missing(configure: Callable[..., RunConfig]) -> None:
    forecast = forecast_mining(configure())
    size = forecast.size
    assert (size.documents, size.queries, forecast.pairs) == (400, 400, 400 * 101)
    assert size.missing == size.characters > 0
    assert 50 * 2**20 < forecast.memory < 20 * 2**30
    assert [stage.stage for stage in forecast.stages] == ["embed", "mine", "denoise", "export"]
    assert all(stage.seconds > 0 for stage in forecast.stages[:3])
    assert forecast.stages[0].disk == 800 * 64 * 2
    pipeline.run(configure())
    after = forecast_mining(configure())
    assert (after.size.missing, after.stages[0].seconds) == (0, 0.0)
    assert after.size.characters == size.characters


def test_the_trial_is_not_paid_for_again(configure: Callable[..., RunConfig]) -> None:
    first = forecast_mining(configure()).size.missing
    second = forecast_mining(configure()).size.missing
    assert 0 < second < first


def test_a_run_without_a_reranker_forecasts_none(configure: Callable[..., RunConfig]) -> None:
    forecast = forecast_mining(configure(denoise={"reranker": "none"}))
    assert [stage.stage for stage in forecast.stages] == ["embed", "mine", "export"]


def test_dry_run_prints_the_forecast_and_mines_nothing(tmp_path: Path, configure: Callable[..., RunConfig]) -> None:
    config = configure()
    words = ["mine-negatives", "--pairs", str(tmp_path / "pairs.jsonl"), "--out", str(config.out), "--dry-run"]
    models = ["--teacher", config.teacher.model, "--reranker", config.denoise.reranker, "--cache", str(config.cache)]
    told = CliRunner().invoke(app, [*words, *models])
    assert told.exit_code == 0, told.output
    assert "400 documents, 400 queries, about 40,400 candidates" in told.output
    assert "memory at the peak: about" in told.output
    assert "embed" in told.output
    assert not (config.out / "candidates").exists()
