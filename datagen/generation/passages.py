"""The passages of a corpus table as they are read, batch by batch: never all of them in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from datagen import shards
from datagen.generation.outcome import Source

BATCH = 2048
_COLUMNS = ["doc_id", "title", "text", "language"]


def count_passages(corpus: Path) -> int:
    """How many passages a corpus table holds."""
    return int(shards.scan(corpus).select(pl.len()).collect().item())


def read_batches(corpus: Path) -> Iterator[list[Source]]:
    """All passages in order, in lists of at most `BATCH`."""
    for part in sorted(corpus.glob("*.parquet")):
        for batch in pq.ParquetFile(part).iter_batches(BATCH, columns=_COLUMNS):
            yield [Source(*row) for row in zip(*(batch[name].to_pylist() for name in _COLUMNS), strict=True)]


def read_passages(corpus: Path) -> Iterator[Source]:
    """All passages in order."""
    for batch in read_batches(corpus):
        yield from batch
