"""datagen makes training data for text-embedding and reranking models.

    run = datagen.mine("runs/mine", pairs="pairs.jsonl")
    run.train

The functions are those of `datagen.api`; they are imported when they are first used, so that `datagen --help` stays
quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from datagen.version import __version__

if TYPE_CHECKING:
    from datagen.api import batch_sampler, generate, load_run, mine

__all__ = ["__version__", "batch_sampler", "generate", "load_run", "mine"]


def __getattr__(name: str) -> object:
    """The function of `datagen.api` of this name."""
    if name in __all__:
        return getattr(importlib.import_module("datagen.api"), name)
    raise AttributeError(f"module 'datagen' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
