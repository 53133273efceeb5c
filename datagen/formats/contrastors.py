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
from datagen.selection.arrays import Int64
from datagen.storage import replacing, write_text

_OBJECTIVE = {"self": [], "paired": [["query", "document"]], "triplet": [["query", "document", "negatives"]]}
_BLOCK = 2**24
_LEVELS = (3, 4)
"""Of how many parts of its path the loader makes the name of a shard: 4 of long paths, 3 of short ones."""


def _shape(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """One row for each positive, with all negatives."""
    columns = [pl.col("query"), pl.col("positives").struct.field("text").alias("document")]
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
        counts: dict[str, int] = {}
        path = folder / split / "offsets.json.gz"
        with (
            replacing(path) as temporary,
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", 3, raw, mtime=0) as file,
        ):
            for shard in sorted((folder / split).glob("shard-*.jsonl.gz")):
                ends = _line_ends(shard)
                offsets = _as_json(ends)
                for levels in _LEVELS:
                    name = "/".join((out.resolve() / split / shard.name).parts[-levels:])
                    file.write(f"{', ' if counts else '{'}{json.dumps(name)}: {offsets}".encode())
                    counts[name] = len(ends)
            file.write(b"}")
        write_text(folder / split / "counts.json", json.dumps(counts, indent=1) + "\n")


def _line_ends(shard: Path) -> Int64:
    """Where each line of an unpacked shard ends, in bytes."""
    ends, start = [np.empty(0, np.int64)], 0
    with gzip.open(shard) as file:
        while block := file.read(_BLOCK):
            ends.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + start + 1)
            start += len(block)
    return np.concatenate(ends)


def _as_json(ends: Int64) -> str:
    """Where each line begins and ends, by its number: `{"0": [0, 17], "1": [17, 40]}`."""
    lines = pl.DataFrame({"end": ends}).with_row_index("line").with_columns(start=pl.col("end").shift(fill_value=0))
    cells = lines.select(pl.format('"{}": [{}, {}]', "line", "start", "end").alias("cell"))["cell"]
    return f"{{{', '.join(cells)}}}"


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
