from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datagen import __version__
from datagen.doctor import CORE, EXTRAS, PURPOSES, Diagnosis, cpu_features, diagnose


@pytest.fixture
def project(root: Path) -> dict[str, Any]:  # Any: values of pyproject.toml
    return dict(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def test_core_packages_are_those_of_pyproject(project: Mapping[str, Any]) -> None:  # Any: values of pyproject.toml
    assert sorted(CORE) == sorted(_name(text) for text in project["dependencies"])


def test_extras_are_those_of_pyproject(project: Mapping[str, Any]) -> None:  # Any: values of pyproject.toml
    named = project["optional-dependencies"]
    own = {extra: [_name(text) for text in texts] for extra, texts in named.items() if extra in EXTRAS}
    assert own == {extra: list(names) for extra, names in EXTRAS.items()}
    assert named["all"] == [
        f"datagen[{','.join(extra for extra in EXTRAS if extra != 'vllm')}]"
    ]  # which has pins of its own
    assert PURPOSES.keys() == EXTRAS.keys()


def test_diagnosis_names_versions_devices_and_cache(tmp_path: Path) -> None:
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "part").write_bytes(b"x" * 1000)
    found = diagnose(tmp_path)
    assert found.datagen == __version__
    assert found.python.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert {package.name: package.version for package in found.packages}["numpy"] == importlib.metadata.version("numpy")
    assert re.match(r"cpu: \d+ cores", found.devices[0])
    assert len(found.devices) > 1
    assert found.cache.size == 1000
    assert found.cache.free > 0


def test_cache_is_empty_when_its_folder_is_not_there(tmp_path: Path) -> None:
    found = diagnose(tmp_path / "not" / "there")
    assert found.cache.size == 0
    assert found.cache.free > 0


def test_missing_extra_comes_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = _diagnose_without("faiss", monkeypatch, tmp_path)
    assert [package.name for package in found.packages if package.version is None] == ["faiss-cpu", "vllm"]
    assert found.missing["faiss"] == f"{sys.executable} -m pip install 'datagen[faiss]'"


def test_devices_say_why_when_torch_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert diagnose(tmp_path).devices[1].startswith("no accelerator looked for: torch cannot be loaded (")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        pytest.param("flags\t\t: fpu avx2 avx512f avx512_bf16", ["AVX2", "AVX-512", "bfloat16 (AVX-512)"], id="intel"),
        pytest.param("model name: x\nflags : amx_bf16 amx_tile", ["bfloat16 (AMX)"], id="amx"),
        pytest.param("Features : fp asimd bf16", ["bfloat16 (ARM)"], id="arm"),
        pytest.param("flags : fpu sse2", [], id="old"),
        pytest.param("", [], id="unknown"),
    ],
)
def test_cpu_features_are_read_from_the_flags(cpuinfo: str, expected: list[str]) -> None:
    assert cpu_features(cpuinfo) == expected


def _diagnose_without(module: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Diagnosis:
    providers = {name: found for name, found in importlib.metadata.packages_distributions().items() if name != module}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: providers)
    return diagnose(cache)


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return found.group().lower()
