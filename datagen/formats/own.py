"""The table train of a run of datagen itself: read, and written by mining alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.formats.catalog import Format
from datagen.formats.dataset import SIDES
from datagen.formats.files import Look, find_tables, iterate_table


def _read(path: Path) -> Iterator[pl.DataFrame]:
    document = pl.struct(
        pl.element().struct.field("doc_id", "text"), pl.element().struct.field("teacher_score").alias("score")
    )
    for frame in iterate_table(find_tables(path / "train" if (path / "train").is_dir() else path)):
        lists = [pl.col(side).list.eval(document) for side in SIDES]
        yield frame.select("query_id", "query", "instruction", *lists)


def _matches(look: Look) -> bool:
    return {"train", "run.json"} <= look.names or {"query_id", *SIDES} <= look.columns


FORMATS = (
    Format(
        name="datagen",
        description="a run of datagen, or its folder train/; read only, mining writes it",
        load='datasets.load_dataset("parquet", data_dir="RUN/train", split="train")',
        tables=(),
        read=_read,
        matches=_matches,
    ),
)
