"""How the memory limit of a run is shared out while it searches: what the index may take, and how many queries at once.

What the process holds already is measured, not guessed; what a query costs is counted from the arrays that are made for
it. The limit decides how large the blocks are, never what comes out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from datagen.config import RunConfig
from datagen.errors import ConfigError
from datagen.memory import MIB, resident_memory, resolve_memory
from datagen.storage import write_text

LEAST_INDEX = 96 * MIB
"""What an index on disk needs for its blocks."""
MOST_QUERIES = 65_536
"""Queries searched at once at most: a kill costs what was found for them."""

_MODELS = 700 * MIB
"""The process with its libraries and a small model."""
_PER_DOCUMENT, _PER_QUERY = 320, 400
"""Bytes of the numbers, ids and hashes that stand for a document and for a query while mining."""
_PER_CANDIDATE = 360
"""Bytes of a candidate while its query is judged: number, rank, score, features, in the arrays that hold them."""
_MEASURING = 128 * MIB
"""What is held while the features of some candidates are measured: their vectors, and scores over the sample."""


@dataclass(frozen=True)
class SearchPlan:
    """What a search may use."""

    queries: int
    """Queries searched at once."""
    index: int
    """Bytes for the index, beside those queries and what is found for them."""


def check_memory(config: RunConfig, n_documents: int, n_queries: int) -> None:
    """See that the limit can be kept, before anything is paid for.

    Raises:
        ConfigError: it cannot; the message says what would suffice.
    """
    if config.memory is None:
        return
    block = _query_bytes(1024, config.mine.candidates) * config.mine.query_block
    needed = _MODELS + LEAST_INDEX + _MEASURING + n_documents * _PER_DOCUMENT + n_queries * _PER_QUERY + block
    if needed > config.memory:
        raise _too_little(config.memory, needed, f"{n_documents:,} documents and {n_queries:,} queries")


def predict_peak(config: RunConfig, n_documents: int, n_queries: int, dim: int) -> int:
    """Bytes that the process would hold at most while mining, from what it holds now with its models loaded."""
    held = resident_memory() + n_documents * _PER_DOCUMENT + n_queries * _PER_QUERY
    plan = _share_out(config, dim, config.mine.candidates + 1, resolve_memory(config.memory) - held - _MEASURING)
    searched = min(plan.queries, n_queries) * _query_bytes(dim, config.mine.candidates + 1)
    return held + _MEASURING + searched + min(plan.index, n_documents * dim * 4)


def plan_search(config: RunConfig, dim: int, depth: int, notes: Path) -> SearchPlan:
    """The share of the index and the number of queries searched at once, kept in `notes` for a run that goes on.

    Args:
        config: of the run.
        dim: length of a vector.
        depth: documents wanted for a query.
        notes: a file in the folder of the stage.

    Raises:
        ConfigError: the limit leaves too little.
    """
    if notes.exists():
        return SearchPlan(**json.loads(notes.read_text(encoding="utf-8")))
    limit, held = resolve_memory(config.memory), resident_memory()
    needed = held + LEAST_INDEX + _MEASURING + _query_bytes(dim, depth) * config.mine.query_block
    if config.memory is not None and limit < needed:
        raise _too_little(limit, needed, f"models and tables, which take {_mib(held)} already")
    plan = _share_out(config, dim, depth, limit - held - _MEASURING)
    write_text(notes, json.dumps(asdict(plan)))
    return plan


def _share_out(config: RunConfig, dim: int, depth: int, room: int) -> SearchPlan:
    """Half of what is left for the index, a third for queries and what is found for them, the rest in reserve."""
    rows = config.mine.query_block
    blocks = max(1, min(room // 3 // (_query_bytes(dim, depth) * rows), MOST_QUERIES // rows))
    return SearchPlan(blocks * rows, max(LEAST_INDEX, room // 2))


def _query_bytes(dim: int, depth: int) -> int:
    """What one query takes: its vector, and its candidates in all arrays that hold them for a while."""
    return 8 * dim + _PER_CANDIDATE * depth


def _too_little(limit: int, needed: int, what: str) -> ConfigError:
    return ConfigError(f"--memory {_mib(limit)} cannot be kept with {what}: give --memory {_mib(needed + needed // 8)}")


def _mib(size: int) -> str:
    return f"{-(-size // MIB)}MiB"
