"""The memory limit shared out, and refused where it cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from datagen.config import RunConfig, build_config
from datagen.errors import ConfigError
from datagen.memory import GIB, MIB, resident_memory
from datagen.mining import planning
from datagen.mining.planning import LEAST_INDEX, MOST_QUERIES, check_memory, plan_search, predict_peak


def _config(tmp_path: Path, memory: str | None = None, **mine: int) -> RunConfig:
    return build_config({"out": tmp_path / "run", "memory": memory, "input": {"beir": "x"}, "mine": mine})


@pytest.mark.parametrize("memory", ["2GiB", "4GiB", "16GiB"])
def test_shares_follow_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str) -> None:
    monkeypatch.setattr(planning, "resident_memory", lambda: GIB)
    config = _config(tmp_path, memory)
    plan = plan_search(config, 384, 101, tmp_path / "plan.json")
    room = int(memory[:-3]) * GIB - GIB - 128 * MIB
    assert plan.index == room // 2
    assert plan.queries % config.mine.query_block == 0
    assert 0 < plan.queries * (8 * 384 + 360 * 101) <= room // 3 or plan.queries == config.mine.query_block
    assert plan.queries <= MOST_QUERIES


def test_a_run_that_goes_on_keeps_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plan_search(_config(tmp_path, "4GiB"), 384, 101, tmp_path / "plan.json")
    monkeypatch.setattr(planning, "resident_memory", lambda: 3 * GIB)
    assert plan_search(_config(tmp_path, "8GiB"), 384, 101, tmp_path / "plan.json") == first
    assert plan_search(_config(tmp_path, "8GiB"), 384, 101, tmp_path / "other.json") != first


def test_a_limit_below_what_is_held_is_refused_with_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "resident_memory", lambda: GIB)
    with pytest.raises(ConfigError, match=r"--memory 600MiB cannot be kept with models and tables, which take 1024MiB"):
        plan_search(_config(tmp_path, "600MiB"), 384, 101, tmp_path / "plan.json")
    assert not (tmp_path / "plan.json").exists()


def test_a_limit_is_refused_before_anything_is_embedded_and_what_is_said_would_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"10,000,000 documents and 1,000 queries: give --memory \d+MiB") as refused:
        check_memory(_config(tmp_path, "2GiB"), 10_000_000, 1_000)
    check_memory(_config(tmp_path, str(refused.value).rsplit(" ", 1)[1]), 10_000_000, 1_000)
    check_memory(_config(tmp_path), 10_000_000, 1_000)  # without a limit there is none to keep


def test_the_predicted_peak_is_within_the_limit_where_there_is_room(tmp_path: Path) -> None:
    held = resident_memory()
    few, many = (predict_peak(_config(tmp_path, "16GiB"), n, 1000, 384) for n in (10_000, 1_000_000))
    assert held < few < many < 16 * GIB
    assert few - held < 512 * MIB + LEAST_INDEX
