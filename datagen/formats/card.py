"""The `README.md` of an export: how to load it, what it holds, what was left out; names its tables for Hugging Face."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from datagen.formats.catalog import Format, Table
from datagen.selection.arrays import Int64
from datagen.version import __version__

if TYPE_CHECKING:
    from datagen.formats.options import BatchOptions, ExportOptions

CARD = "README.md"
_MEANINGS = {
    "padded": "queries short of negatives, filled up with their own from the first on",
    "left_out_short_of_negatives": "queries left out, short of negatives",
    "left_out_without_negative": "queries left out, without a negative",
    "left_out_without_positive": "queries left out, without a positive",
    "documents_without_score": "documents left out of lists, without a score",
}


@dataclass(frozen=True)
class Batches:
    """The batches of one split."""

    kind: str
    size: int
    full: int
    short: int
    """Batches at the end that are not full."""
    rows_in_short: int

    def __str__(self) -> str:
        """Their numbers as a person reads them."""
        rest = f" and {self.short:,} short ones with {self.rows_in_short:,} rows" if self.short else ""
        return f"{self.full:,} batches of {self.size} by {self.kind}{rest}"


def count_batches(numbers: Int64, options: BatchOptions) -> Batches:
    """The batches of rows with these numbers."""
    sizes = np.bincount(numbers)
    short = sizes[sizes < options.batch_size]
    return Batches(options.batches, options.batch_size, len(sizes) - len(short), len(short), int(short.sum()))


@dataclass(frozen=True)
class Exported:
    """What was written.

    `queries` counts the queries of each split, `lost` by reason what was left out or changed to fit the format.
    `batches` has the batches of each split where the rows stand in batches.
    """

    path: Path
    format: str
    queries: dict[str, int]
    rows: int
    files: int
    bytes: int
    lost: dict[str, int] = field(default_factory=dict)
    batches: dict[str, Batches] = field(default_factory=dict)


def describe_export(form: Format, options: ExportOptions, done: Exported, scores: str | None, provenance: str) -> str:
    """The card as Markdown; `provenance` says how the rows came about."""
    configs = _configs(form, tuple(options.split))
    front = f"---\n{yaml.safe_dump(configs, sort_keys=False)}---\n" if configs else ""
    lines = [f"- {split}: {queries:,} queries" for split, queries in done.queries.items()]
    lines += [f"- {number:,} {_MEANINGS.get(what, what)}" for what, number in done.lost.items()]
    lines += [f"- scores: {scores}"] if scores else []
    lines += [f"- {split}: {batches}, numbered in the column batch" for split, batches in done.batches.items()]
    wanted = "all" if options.num_negatives is None else options.num_negatives
    return (
        f"{front}# {form.name}\n\nWritten by `datagen export` {__version__}: {form.description}.\n\n"
        f"To load it, with this folder for OUT:\n\n    {form.load}\n\n" + "\n".join(lines) + "\n\n"
        f"Negatives of a query: {wanted}; of those short of that: {options.short}. Seed of the split: {options.seed}."
        f"\n\n{provenance}"
    )


def explain_lost(what: str) -> str:
    """What a count of `Exported.lost` counts."""
    return _MEANINGS.get(what, what)


def _configs(form: Format, splits: tuple[str, ...]) -> dict[str, object]:
    named: dict[str, list[dict[str, str]]] = {}
    for table in form.tables:
        if table.config is not None:
            named.setdefault(table.config, []).extend(_data_files(table, splits))
    return {"configs": [{"config_name": name, "data_files": files} for name, files in named.items()]} if named else {}


def _data_files(table: Table, splits: tuple[str, ...]) -> list[dict[str, str]]:
    own = splits if table.of == "rows" and "{s" in table.path else ("train",)
    path = table.path.replace("{number:05d}", "*")
    suffixes = {split: "" if split == "train" else f"-{split}" for split in own}
    return [{"split": split, "path": path.format(split=split, suffix=suffixes[split])} for split in own]
