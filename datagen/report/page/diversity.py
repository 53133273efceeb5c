"""How varied the queries of a run are, in a few figures that need no model."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import polars as pl

from datagen.generation.novelty.gate import Novelty
from datagen.generation.recipes.format import STORED_WITH_SLOTS
from datagen.generation.words import words
from datagen.settings.novelty import NoveltySettings

_Row = TypeVar("_Row")

MOST_QUERIES = 5_000
"""Queries that are looked at, at most."""
MOST_OF_KERNEL = 1_000
"""Queries whose likeness to each other is measured, at most."""
BOOKKEEPING = (*STORED_WITH_SLOTS, "take")
"""What stands among the slots of a query and is none."""
_DIMS = 2048
_RUN = 4
_CHUNK = 256
_COUNTED = {"slot": pl.String, "value": pl.String, "queries": pl.Int64}


@dataclass(frozen=True)
class Diversity:
    """Figures of some queries."""

    queries: int
    """Looked at, of all that were given."""
    compression: float
    """Size of the texts over their size packed (zlib): larger for texts that repeat themselves."""
    self_repetition: float
    """Share of the runs of four words that stand in more than one query (after Salkar et al. 2022)."""
    near_duplicates: float
    """Share of queries that say what an earlier one says, as generation looks for them (`generation.novelty`)."""
    vendi: float
    """Vendi score (Friedman and Dieng 2023) over words and pairs of words: how many queries without likeness the
    sample is worth, 1 to its size."""
    vendi_of: int
    """Size of that sample."""


def measure_diversity(queries: pl.Series) -> Diversity:
    """Figures of these queries, at least one; drawn evenly where there are many."""
    chosen = queries.gather(take_evenly(range(len(queries)), MOST_QUERIES)).to_list()
    told = [words(text) for text in chosen]
    raw = "\n".join(chosen).encode()
    kernel = take_evenly(told, MOST_OF_KERNEL)
    return Diversity(
        queries=len(chosen),
        compression=len(raw) / len(zlib.compress(raw, 9)),
        self_repetition=_repeated_runs(told),
        near_duplicates=_repeated_texts(chosen),
        vendi=_vendi(kernel),
        vendi_of=len(kernel),
    )


def count_slots(slots: pl.Series) -> pl.DataFrame:
    """How often each value of each slot was drawn: slot, value, queries; the most frequent first.

    Args:
        slots: JSON objects, null where there are none; which slots there are is read off some of them.
    """
    known = slots.drop_nulls()
    some = (json.loads(text) for text in known.gather_every(max(1, len(known) // MOST_OF_KERNEL)))
    names = sorted({name for each in some for name in each if name not in BOOKKEEPING})
    parts = [_count_slot(known, name) for name in names]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_COUNTED)


def _count_slot(slots: pl.Series, name: str) -> pl.DataFrame:
    values = pl.col("slots").str.json_path_match(f"$['{name}']").alias("value")
    named = values.replace("", "(empty)")
    counted = slots.alias("slots").to_frame().select(named).drop_nulls().group_by("value").agg(queries=pl.len())
    ordered = counted.sort("queries", "value", descending=[True, False])
    return ordered.select(slot=pl.lit(name), value="value", queries=pl.col("queries").cast(pl.Int64))


def _repeated_texts(texts: Sequence[str]) -> float:
    """Share of the texts that say what one before them says."""
    gate, found = Novelty(NoveltySettings()), 0
    for begin in range(0, len(texts), _CHUNK):
        chunk = texts[begin : begin + _CHUNK]
        for text, near in zip(chunk, gate.check(chunk, chunk), strict=True):
            found += near is not None
            if near is None:
                gate.add(text, text)
    return found / len(texts)


def _repeated_runs(told: Sequence[Sequence[str]]) -> float:
    """Share of the different runs of words that more than one query has."""
    seen: Counter[tuple[str, ...]] = Counter()
    for each in told:
        seen.update({tuple(each[i : i + _RUN]) for i in range(len(each) - _RUN + 1)})
    return sum(count > 1 for count in seen.values()) / len(seen) if seen else 0.0


def _vendi(told: Sequence[Sequence[str]]) -> float:
    """Exp of the entropy of the eigenvalues of K / n, K the cosines of hashed counts of words and pairs of words."""
    counts = np.zeros((len(told), _DIMS))
    for row, each in enumerate(told):
        for feature in (*each, *map(" ".join, pairwise(each))):
            counts[row, zlib.crc32(feature.encode()) % _DIMS] += 1
    norms = np.linalg.norm(counts, axis=1, keepdims=True)
    unit = np.divide(counts, norms, out=np.zeros_like(counts), where=norms > 0)
    values = np.linalg.eigvalsh(unit @ unit.T / len(told))
    kept = values[values > 1e-12]
    return float(np.exp(-(kept * np.log(kept)).sum()))


def take_evenly(rows: Sequence[_Row], most: int) -> list[_Row]:
    """At most so many of the rows, from the first to the last in equal steps."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i] for i in np.linspace(0, len(rows) - 1, most).astype(int)]
