"""datagen as its users call it, for the benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.judged import JudgedSet
from datagen import pipeline, shards
from datagen.backends.protocols import Float32
from datagen.backends.registry import Registry
from datagen.config import RunConfig, build_config, merge
from datagen.progress import SilentProgress
from datagen.vectors import open_vectors


def mine_with_datagen(beir: Path, out: Path, settings: dict[str, Any]) -> RunConfig:  # Any: nested settings
    """Run `datagen mine-negatives --beir` with some settings; the resolved ones."""
    config = build_config(merge({"out": out, "input": {"beir": str(beir)}}, settings))
    pipeline.run(config, fresh=True)
    return config


def read_negatives(run: Path) -> dict[str, list[str]]:
    """Negatives of each query, best first, from the training shards."""
    rows = shards.read(run / "train", ["query_id", "negatives"])
    lists = rows.select("query_id", pl.col("negatives").list.eval(pl.element().struct.field("doc_id")))
    return dict(lists.iter_rows())


def set_vectors(judged: JudgedSet, config: RunConfig) -> tuple[Float32, Float32]:
    """Teacher vectors of all documents and queries of a set, in its order, from the run's cache where they are."""
    backends = Registry(config)
    found = []
    for role, texts in (("document", judged.documents), ("query", judged.queries)):
        vectors = open_vectors(config, backends, role)  # type: ignore[arg-type]
        places, _ = vectors.ensure(pl.Series(list(texts.values())), backends.teacher, SilentProgress())
        found.append(np.ascontiguousarray(vectors.take(places)))
    return found[0], found[1]
