"""What stands in one batch: in-batch false negatives and the hardness of in-batch negatives, by how rows are ordered.

    python -m benchmarks.batches --data FOLDER [FOLDER …] [--batch-size N] [--cache DIR]

Each FOLDER has the BEIR layout; each query shows one of its positives, the others are hidden. Rows are mined with the
defaults, without a reranker, and put into batches in random order, by source and by cluster. *false*: rows, of 1,000,
that share their batch with a passage judged relevant for their query (their own aside), shown or hidden. *copies*:
rows, of 1,000, that share it with a near-copy of their positive (`mine.closure.near_text`). *score*: mean teacher score
of a query with the positives of the other rows; *hardest*: mean of the highest of them. *short*: share of rows in
batches that are not full.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.judged import JudgedSet, read_judged, write_hidden
from benchmarks.ours import mine_with_datagen
from datagen.backends.registry import Registry
from datagen.batching import open_batcher
from datagen.config import RunConfig
from datagen.formats import BatchOptions
from datagen.formats.content import open_run_content
from datagen.formats.ordering import cut_into_units
from datagen.mining.near_texts import sign_texts
from datagen.progress import SilentProgress
from datagen.selection.arrays import Int64
from datagen.selection.near import copies_among
from datagen.vectors import open_vectors

KINDS = ("random", "source", "cluster")


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    columns = "set", "batches", "false", "copies", "score", "hardest", "short"
    print(f"| {' | '.join(columns)} |\n| --- | --- |{' ---: |' * (len(columns) - 2)}")
    for folder in arguments.data:
        for name, figures in _measure(read_judged(folder), arguments):
            print(f"| {folder.name} | {name} | {figures} |", flush=True)


def _measure(judged: JudgedSet, arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        beir, run = Path(name) / "beir", Path(name) / "run"
        write_hidden(judged, beir)
        settings: dict[str, Any] = {  # Any: nested settings
            "cache": arguments.cache or Path(name) / "cache",
            "denoise": {"reranker": "none"},
        }
        config = mine_with_datagen(beir, run, settings)
        rows = pl.concat(part for _, part in _units(run))
        for kind in KINDS:
            yield kind, _figures(rows, _number(run, kind, arguments.batch_size, len(rows)), judged, config)


def _units(run: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    return ((0, cut_into_units(rows, "positive")) for rows in open_run_content(run, None).rows())


def _number(run: Path, kind: str, size: int, n_rows: int) -> Int64:
    if kind == "random":
        return np.random.default_rng(42).permutation(n_rows) // size
    options = BatchOptions.model_validate({"batches": kind, "batch_size": size})
    return open_batcher(run, options).number(_units(run))[1]


def _figures(rows: pl.DataFrame, numbers: Int64, judged: JudgedSet, config: RunConfig) -> str:
    own = pl.col("positives").list.first().struct
    facts = rows.select("query_id", "query", own.field("doc_id"), own.field("text"))
    backends = Registry(config)
    vectors = []
    for role, column in (("query", "query"), ("document", "text")):
        store = open_vectors(config, backends, role)  # type: ignore[arg-type]
        vectors.append(store.take(store.ensure(facts[column], backends.teacher, SilentProgress())[0]))
    signatures = sign_texts(facts["text"])
    wrong, copies, scores, hardest = 0, 0, [], []
    full = int(np.bincount(numbers).max())
    queries, documents = facts["query_id"].to_list(), facts["doc_id"].to_list()
    for batch in np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1]):
        others = ~np.eye(len(batch), dtype=bool)
        wrong += sum(_has_relevant(row, batch, queries, documents, judged) for row in batch.tolist())
        copies += int(
            (copies_among(signatures[batch], config.mine.closure.near_text or 1.0) & others).any(axis=1).sum()
        )
        if len(batch) == full:
            found = vectors[0][batch] @ vectors[1][batch].T
            scores.append(found[others].mean())
            hardest.append(np.where(others, found, -1).max(axis=1).mean())
    short = float((np.bincount(numbers)[numbers] < full).mean())
    rates = f"{1000 * wrong / len(rows):.1f} | {1000 * copies / len(rows):.1f}"
    return f"{rates} | {np.mean(scores):.3f} | {np.mean(hardest):.3f} | {short:.3f}"


def _has_relevant(row: int, batch: Int64, queries: list[str], documents: list[str], judged: JudgedSet) -> bool:
    relevant = judged.relevant[queries[row]]
    return any(documents[other] in relevant for other in batch.tolist() if other != row)


if __name__ == "__main__":
    main()
