"""FlagEmbedding: JSON lines of a query, its positives and its negatives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import build_rows, explode_lists
from datagen.formats.files import Look, find_tables, iterate_table
from datagen.formats.shapes import fields_of


def _shape(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """`prompt` stands in every row or in none, because the loader puts its files together."""
    columns = [
        pl.col("query"),
        fields_of("positives", "text").alias("pos"),
        fields_of("negatives", "text").alias("neg"),
    ]
    if facts.scored:
        columns += [fields_of("positives", "score").alias("pos_scores")]
        columns += [fields_of("negatives", "score").alias("neg_scores")]
    if facts.instructed:
        columns.append(pl.col("instruction").fill_null("").alias("prompt"))
    return rows.select(*columns, pl.lit("normal").alias("type"))


def _read(path: Path) -> Iterator[pl.DataFrame]:
    for frame in iterate_table(find_tables(path)):
        queries = frame.select("query", *([pl.col("prompt").alias("instruction")] if "prompt" in frame.columns else []))
        sides = []
        for name in ("pos", "neg"):
            given = frame.schema.get(f"{name}_scores", pl.Null) != pl.Null and frame[f"{name}_scores"].null_count() == 0
            sides.append(explode_lists(frame, {"text": name} | ({"score": f"{name}_scores"} if given else {})))
        yield build_rows(queries, *sides)


def _matches(look: Look) -> bool:
    return {"query", "pos", "neg"} <= look.columns


FORMATS = (
    Format(
        name="flagembedding",
        description="FlagEmbedding JSON lines: query, pos, neg, with --scores pos_scores and neg_scores",
        load="torchrun -m FlagEmbedding.finetune.embedder.encoder_only.base --train_data OUT/train-00000.jsonl …",
        tables=(Table("{split}-{number:05d}.jsonl", _shape),),
        read=_read,
        matches=_matches,
        scores="optional",
        instructions=True,
    ),
)
