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

from datagen.generation.words import words

_Row = TypeVar("_Row")

MOST_QUERIES = 5_000
"""Queries that are looked at, at most."""
MOST_OF_KERNEL = 1_000
"""Queries whose likeness to each other is measured, at most."""
_DIMS = 2048
_RUN = 4


@dataclass(frozen=True)
class Diversity:
    """Figures of some queries."""

    queries: int
    compression: float
    """Size of the texts over their size packed (zlib): larger for texts that repeat themselves."""
    self_repetition: float
    """Share of the runs of four words that stand in more than one query (after Salkar et al. 2022)."""
    repeats: float
    """Share of queries whose words, in any order, are those of an earlier one."""
    vendi: float
    """Vendi score (Friedman and Dieng 2023) over words and pairs of words: how many queries without likeness the
    sample is worth, 1 to its size."""
    vendi_of: int
    """Size of that sample."""


def measure_diversity(queries: Sequence[str]) -> Diversity:
    """Figures of these queries, at least one; drawn evenly where there are many."""
    chosen = take_evenly(queries, MOST_QUERIES)
    told = [words(text) for text in chosen]
    raw = "\n".join(chosen).encode()
    bags = Counter(tuple(sorted(each)) for each in told)
    kernel = take_evenly(told, MOST_OF_KERNEL)
    return Diversity(
        queries=len(queries),
        compression=len(raw) / len(zlib.compress(raw, 9)),
        self_repetition=_repeated_runs(told),
        repeats=1 - len(bags) / len(told),
        vendi=_vendi(kernel),
        vendi_of=len(kernel),
    )


def count_slots(slots: pl.Series) -> pl.DataFrame:
    """How often each value of each slot was drawn: slot, value, queries; the most frequent first.

    Args:
        slots: JSON objects, null where there are none.
    """
    drawn = Counter(
        (name, str(value))
        for text in slots.drop_nulls()
        for name, value in json.loads(text).items()
        if value is not None
    )
    rows = [(name, value, count) for (name, value), count in drawn.items()]
    counted = pl.DataFrame(rows, schema={"slot": pl.String, "value": pl.String, "queries": pl.Int64}, orient="row")
    return counted.sort("slot", "queries", "value", descending=[False, True, False])


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
