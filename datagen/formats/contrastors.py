"""contrastors: gzipped JSON lines in shards, with the number of their lines and where each line begins."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import build_rows, explode_lists
from datagen.formats.files import Look, find_tables, iterate_table
from datagen.formats.shapes import fields_of
from datagen.storage import replacing, write_text

_OBJECTIVE = {"self": [], "paired": [["query", "document"]], "triplet": [["query", "document", "negatives"]]}
_LEVELS = (3, 4)
"""Of how many parts of its path the loader makes the name of a shard: 4 of long paths, 3 of short ones."""


def _shape(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """One row for each positive, with all negatives."""
    columns = ["query", pl.col("positives").struct.field("text").alias("document")]
    columns += [fields_of("negatives", "text").alias("negatives")]
    if facts.scored:
        columns += [pl.col("positives").struct.field("score").alias("document_score")]
        columns += [fields_of("negatives", "score").alias("negatives_scores")]
    kind = pl.List(pl.List(pl.String))
    lists = [pl.lit(pl.Series([columns], dtype=kind)).first().alias(name) for name, columns in _OBJECTIVE.items()]
    metadata = pl.struct(pl.struct(lists).alias("objective")).alias("metadata")
    return rows.explode("positives").select(*columns, metadata)


def _count_lines(folder: Path, out: Path, splits: tuple[str, ...]) -> None:
    """Write `counts.json` and `offsets.json.gz`, whose keys are what the loader makes of the paths of the shards."""
    for split in splits:
        counts, offsets = {}, {}
        for file in sorted((folder / split).glob("*.jsonl.gz")):
            ends = np.flatnonzero(np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8) == ord("\n")) + 1
            places = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1).tolist() if len(ends) else []
            for levels in _LEVELS:
                name = "/".join((out.resolve() / split / file.name).parts[-levels:])
                counts[name] = len(ends)
                offsets[name] = dict(enumerate(places))
        write_text(folder / split / "counts.json", json.dumps(counts, indent=1) + "\n")
        packed = gzip.compress(json.dumps(offsets).encode(), mtime=0)
        with replacing(folder / split / "offsets.json.gz") as temporary:
            temporary.write_bytes(packed)


def _read(path: Path) -> Iterator[pl.DataFrame]:
    for frame in iterate_table(_shards(path)):
        scored = {"document_score", "negatives_scores"} <= set(frame.columns)
        positive = {"text": "document"} | ({"score": "document_score"} if scored else {})
        negative = {"text": "negatives"} | ({"score": "negatives_scores"} if scored else {})
        yield build_rows(frame.select("query"), explode_lists(frame, positive), explode_lists(frame, negative))


def _shards(path: Path) -> list[Path]:
    """The shards of a folder, or of the folders of splits in it."""
    own = find_tables(path, "shard-")
    return own or [
        file for folder in sorted(path.iterdir()) if folder.is_dir() for file in find_tables(folder, "shard-")
    ]


def _matches(look: Look) -> bool:
    return {"query", "document", "metadata"} <= look.columns or (look.path / "train" / "counts.json").is_file()


FORMATS = (
    Format(
        name="contrastors",
        description="contrastors shards of gzipped JSON lines, with counts.json and offsets.json.gz",
        load="bucket: OUT/train/shard-{00000..00000}.jsonl.gz, objective: "
        '{type: triplet, columns: ["query", "document", "negatives"]}',
        tables=(Table("{split}/shard-{number:05d}.jsonl.gz", _shape),),
        read=_read,
        matches=_matches,
        scores="optional",
        finish=_count_lines,
    ),
)
