"""What rows are made of, as the tables of a run hold it: passages, batch by batch, or known pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from datagen import shards
from datagen.errors import InputError
from datagen.generation.outcome import Source

BATCH = 2048
_COLUMNS = ["doc_id", "title", "text", "language"]


def count_passages(corpus: Path) -> int:
    """How many passages a corpus table holds."""
    return shards.count_rows(corpus)


def read_batches(corpus: Path) -> Iterator[list[Source]]:
    """All passages in order, in lists of at most `BATCH`."""
    for part in sorted(corpus.glob("*.parquet")):
        for batch in pq.ParquetFile(part).iter_batches(BATCH, columns=_COLUMNS):
            yield [Source(*row) for row in zip(*(batch[name].to_pylist() for name in _COLUMNS), strict=True)]


def read_passages(corpus: Path) -> Iterator[Source]:
    """All passages in order."""
    for batch in read_batches(corpus):
        yield from batch


def read_linked(corpus: Path) -> Iterator[Source]:
    """All passages in order, each with the one that follows it as `linked_id` and `linked_text`."""
    before: Source | None = None
    for source in read_passages(corpus):
        if before is not None:
            yield replace(before, extra={"linked_id": source.doc_id, "linked_text": source.text})
        before = source
    if before is not None:
        yield before


def read_pairs(corpus: Path, queries: Path, pairs: Path) -> Iterator[Source]:
    """Each known query with each of its positives, in the order of the pairs, with another passage as `other_text`.

    The texts of all pairs are looked up in memory, a slice of pairs at a time.
    """
    documents = shards.read(corpus, _COLUMNS).with_columns(other_text=_next_other("text"))
    asked = shards.read(queries, ["query_id", "query"])
    known = shards.read(pairs, ["query_id", "doc_id", "relevance"]).filter(pl.col("relevance") > 0)
    for part in known.iter_slices(BATCH):
        joined = part.join(asked, on="query_id", maintain_order="left").join(
            documents, on="doc_id", maintain_order="left"
        )
        for row in joined.iter_rows(named=True):
            extra = {name: row[name] for name in ("query", "query_id", "other_text")}
            yield Source(row["doc_id"], row["title"], row["text"], row["language"], extra)


def count_pairs(pairs: Path) -> int:
    """How many known positives a table of pairs holds."""
    return int(shards.scan(pairs).filter(pl.col("relevance") > 0).select(pl.len()).collect().item())


def _next_other(name: str) -> pl.Expr:
    """For each row the next value that differs from its own, going round; empty when there is none."""
    column = pl.col(name)
    following = pl.when(column != column.shift(-1)).then(column.shift(-1)).otherwise(None).backward_fill()
    first = column.filter(column != column.last()).first()
    return following.fill_null(first).fill_null("")


def read_queries(run: Path) -> Iterator[str]:
    """The queries of another run.

    Raises:
        InputError: it has none.
    """
    folder = run / "queries"
    if not any(folder.glob("*.parquet")):
        raise InputError(f"{run} holds no queries to avoid: name the folder of a run that has written some")
    for part in sorted(folder.glob("*.parquet")):
        yield from pl.read_parquet(part, columns=["query"])["query"]
