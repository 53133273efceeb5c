"""Sizes as people write them, and what is free on machines and in containers."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from datagen.memory import GIB, MIB, SMALLEST, Size, free_memory, parse_size, resolve_memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 * GIB),
        ("4 gib", 4 * GIB),
        ("1.5Gi", 3 * GIB // 2),
        ("500MB", 500_000_000),
        ("2g", 2_000_000_000),
        ("1024", 1024),
        (" 7 KiB ", 7 * 1024),
        (12, 12),
    ],
)
def test_a_size_is_read_as_people_write_it(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "many", "4 GiBs", "-1GiB", "1e9", "GiB"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: write it as 4GiB"):
        parse_size(text)


def test_a_setting_below_the_least_is_refused() -> None:
    assert TypeAdapter(Size).validate_python("256MiB") == SMALLEST
    with pytest.raises(ValidationError, match="greater than or equal to 268435456"):
        TypeAdapter(Size).validate_python("255MiB")


def test_the_default_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_memory(GIB) == GIB
    for free, wanted in ((6 * GIB, 3 * GIB), (100 * MIB, SMALLEST)):
        monkeypatch.setattr("datagen.memory.free_memory", lambda free=free: free)
        assert resolve_memory(None) == wanted


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_free_is_what_the_kernel_calls_available(tmp_path: Path) -> None:
    assert free_memory(_write(tmp_path, {"proc/meminfo": MEMINFO})) == 8_000_000 * 1024


@pytest.mark.parametrize(
    ("table", "files", "free"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "1000000", "a/b/memory.current": "400000"}, 600_000),
        ("0::/a/b\n", {"a/memory.max": "900000", "a/memory.current": "400000", "a/b/memory.max": "max"}, 500_000),
        ("0::/outside\n", {"memory.max": "1000", "memory.current": "300"}, 700),
        (
            "0::/a\n",
            {"a/memory.max": "1000", "a/memory.current": "900", "a/memory.stat": "anon 1\ninactive_file 500\n"},
            600,
        ),
        ("0::/a\n", {"a/memory.max": "max", "a/memory.current": "1"}, 8_000_000 * 1024),
        ("0::/a\n", {"a/memory.max": "10", "a/memory.current": "20"}, 0),
        (
            "4:cpu,memory:/c\n1:cpu:/\n",
            {"memory/c/memory.limit_in_bytes": "5000", "memory/c/memory.usage_in_bytes": "1000"},
            4000,
        ),
        (
            "4:memory:/c\n",
            {"memory/c/memory.limit_in_bytes": "9223372036854771712", "memory/c/memory.usage_in_bytes": "1"},
            8_000_000 * 1024,
        ),
    ],
    ids=["v2", "v2 parent", "container", "idle file pages", "no limit", "over", "v1", "v1 no limit"],
)
def test_the_limit_of_a_control_group_counts(tmp_path: Path, table: str, files: dict[str, str], free: int) -> None:
    _write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": table})
    _write(tmp_path / "sys/fs/cgroup", files)
    assert free_memory(tmp_path) == free


def test_a_system_that_says_nothing_counts_half_of_what_is_built_in(tmp_path: Path) -> None:
    assert free_memory(tmp_path) > 0
