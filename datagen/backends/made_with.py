"""What a run was made with: packages, and models with their revisions and licences. For `run.json` and the cards.

Nothing is guessed: what a model does not say of itself is None. Loads no model and asks no network.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import yaml

from datagen.backends.models import PACKAGED, find_here, hash_model, hash_user_class, is_user_class
from datagen.config import RunConfig
from datagen.errors import ConfigError
from datagen.settings.generate import EXTRACTIVE
from datagen.settings.rerank import split_reranker

_PACKAGES = (
    *("numpy", "polars", "pyarrow", "torch", "transformers", "sentence-transformers", "faiss-cpu", "bm25s", "scipy"),
    *("onnxruntime", "openvino", "vllm", "openai"),
)
_EMBEDDED = ("embed", "verify", "calibrate", "mine")
_HASH_DIGITS = 12


def tell_made_with(config: RunConfig) -> dict[str, Any]:  # Any: JSON texts
    """Versions of the packages that decide rows, and a row for each model: role, model, revision, licence."""
    stages = config.resolved_stages
    models = []
    if set(_EMBEDDED) & set(stages):
        named = {"teacher": config.teacher, **{f"teacher {name}": more for name, more in config.teachers.items()}}
        models += [_tell(role, model.model, model.revision) for role, model in named.items()]
    if config.denoise.enabled and "denoise" in stages:
        models.append(_tell_reranker(config))
    if "generate" in stages or "brainstorm" in stages:
        models += [_tell_llm("writer", name) for name in config.generate.resolved_llms if name != EXTRACTIVE]
        models += [_tell_llm("judge of rows", config.generate.judge)] if config.generate.judge else []
    if config.judge.enabled and "judge" in stages:
        models += [_tell_llm("judge of candidates", name) for name in config.judges]
    return {"versions": _versions(), "models": models}


def read_licence(folder: Path) -> str | None:
    """The licence that a model folder states: in the front matter of its README.md, else in its config.json."""
    front = _read_front(folder / "README.md")
    licence = front.get("license") or _read_json(folder / "config.json").get("license")
    named = front.get("license_name") if licence == "other" else None
    return str(named or licence) if licence else None


def _tell(role: str, spec: str, revision: str | None) -> dict[str, str | None]:
    told: dict[str, str | None] = {"role": role, "model": spec, "revision": revision, "licence": None}
    if is_user_class(spec):
        return {**told, "revision": _code(spec)}
    folder = find_here(spec, revision)
    if folder is None:
        return told
    found = _packaged_version(spec) or _commit(folder) or f"files {hash_model(folder)[:_HASH_DIGITS]}"
    local = Path(spec).expanduser().is_dir()
    return {
        **told,
        "model": folder.resolve().name if local else spec,
        "revision": found,
        "licence": read_licence(folder),
    }


def _tell_reranker(config: RunConfig) -> dict[str, str | None]:
    (kind, name), revision = split_reranker(config.denoise.reranker), config.denoise.revision
    if config.denoise.is_own_model:
        return _tell("reranker (maxsim)", config.teacher.model, revision or config.teacher.revision)
    return _tell(f"reranker ({kind})" if kind else "reranker", name, revision)


def _tell_llm(role: str, name: str) -> dict[str, str | None]:
    """A language model: what is served elsewhere says nothing of its revision or licence."""
    kind, _, model = name.partition(":")
    told = {"role": role, "model": model if kind in ("openai", "vllm") else name, "revision": None, "licence": None}
    folder = find_here(model) if kind == "vllm" else None
    if folder is None:
        return told
    local = Path(model).expanduser().is_dir()
    shown = folder.resolve().name if local else model
    return {**told, "model": shown, "revision": _commit(folder), "licence": read_licence(folder)}


def _packaged_version(spec: str) -> str | None:
    """The package that carries a model, with its version."""
    if not spec.startswith("packaged:"):
        return None
    package = PACKAGED[spec.removeprefix("packaged:")][0].replace("_", "-")
    return f"{package} {importlib.metadata.version(package)}"


def _commit(folder: Path) -> str | None:
    """The commit of a model of the hub, after which the cache names its folder."""
    return folder.name if folder.parent.name == "snapshots" else None


def _code(spec: str) -> str | None:
    """The hash of a user's class; None where its file is not here."""
    try:
        digits = hash_user_class(spec).removeprefix(spec).removeprefix("-")
    except ConfigError:
        return None
    return f"code {digits[:_HASH_DIGITS]}" if digits else None


def _versions() -> dict[str, str]:
    found = {name: version for name in _PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **found}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read_front(card: Path) -> dict[str, Any]:  # Any: YAML
    """The front matter of a model card; empty where there is none that can be read."""
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    if not text.startswith("---\n"):
        return {}
    try:
        found = yaml.safe_load(text.split("\n---", maxsplit=1)[0].removeprefix("---\n"))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _read_json(path: Path) -> dict[str, Any]:  # Any: JSON
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
