"""Who may import what at start; the layers themselves are contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

HEAVY = {
    "bm25s", "datasets", "faiss", "huggingface_hub", "jinja2", "numpy", "polars", "pyarrow", "pydantic",
    "sentence_transformers", "sklearn", "torch", "transformers", "yaml",
}  # fmt: skip


def test_help_imports_no_heavy_library(root: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "datagen", "--help"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert imported & HEAVY == set()
    assert "mine-negatives" in done.stdout


def test_every_module_has_its_place_in_the_layers(root: Path) -> None:
    placed = {name.strip() for layer in _contract(root, "one way")["layers"] for name in layer.split("|")}
    homeless = {name for name in _modules(root, "") if not any(f"{name}.".startswith(f"{home}.") for home in placed)}
    assert homeless == {"datagen", "datagen.__main__", "datagen.backends", "datagen.commands", "datagen.settings"}


def test_every_stage_is_kept_from_the_others(root: Path) -> None:
    listed = set(_contract(root, "no other stage")["modules"])
    assert listed == _modules(root, "stages") - {"datagen.stages", "datagen.stages.base"}


def test_every_backend_is_kept_from_the_stages(root: Path) -> None:
    listed = set(_contract(root, "no backend")["forbidden_modules"])
    assert listed == _modules(root, "backends") - {"datagen.backends", "datagen.backends.protocols"}


def _contract(root: Path, part_of_name: str) -> dict[str, Any]:  # Any: values of pyproject.toml
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return next(dict(contract) for contract in settings["contracts"] if part_of_name in contract["name"])


def _modules(root: Path, package: str) -> set[str]:
    files = (path.relative_to(root).with_suffix("") for path in (root / "datagen" / package).rglob("*.py"))
    return {".".join(file.parts).removesuffix(".__init__") for file in files}
