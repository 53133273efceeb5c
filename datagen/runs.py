"""A run as a person looks at it: its settings, what each stage counted, and its tables as polars frames.

The tables and their columns are those of `tables.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from datagen import shards
from datagen.errors import RunFolderError
from datagen.run_folder import RunFolder, StageRecord
from datagen.tables import SCHEMAS


class Run:
    """One run folder, read when it is asked for; nothing is written."""

    def __init__(self, path: Path, summary: Mapping[str, Any]) -> None:  # Any: JSON settings
        """Keep what `run.json` holds; see `load_run`."""
        self.path = path
        self._summary = summary

    @property
    def settings(self) -> Mapping[str, Any]:  # Any: JSON settings
        """The resolved settings, section by section, as in a YAML file."""
        return dict(self._summary["settings"])

    @property
    def records(self) -> tuple[StageRecord, ...]:
        """What is remembered of each finished stage, in the order of the stages."""
        return tuple(StageRecord(**record) for record in self._summary["stages"].values())

    @property
    def counts(self) -> Mapping[str, Mapping[str, Any]]:  # Any: JSON counts
        """What each finished stage counted, in the order of the stages."""
        return {record.name: record.counts for record in self.records}

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that are there."""
        return tuple(name for name in SCHEMAS if any((self.path / name).glob("*.parquet")))

    def scan(self, table: str) -> pl.LazyFrame:
        """A table, read when collected: for what does not fit into memory.

        Raises:
            RunFolderError: the run has no such table; the message lists those it has.
        """
        if table not in self.tables:
            raise RunFolderError(f"{self.path} has no table {table!r}: it has {', '.join(self.tables) or 'none yet'}")
        return shards.scan(self.path / table)

    def table(self, name: str) -> pl.DataFrame:
        """A whole table in memory.

        Raises:
            RunFolderError: the run has no such table; the message lists those it has.
        """
        return self.scan(name).collect()

    @property
    def corpus(self) -> pl.DataFrame:
        """The passages, a row each."""
        return self.table("corpus")

    @property
    def queries(self) -> pl.DataFrame:
        """The queries, a row each."""
        return self.table("queries")

    @property
    def pairs(self) -> pl.DataFrame:
        """Known positives, and written negatives with relevance 0."""
        return self.table("pairs")

    @property
    def candidates(self) -> pl.DataFrame:
        """The ledger: every candidate that was looked at, with its scores, the decision and the reason."""
        return self.table("candidates")

    @property
    def dropped(self) -> pl.DataFrame:
        """Rows that were set aside, each with the stage and the reason."""
        return self.table("dropped")

    @property
    def train(self) -> pl.DataFrame:
        """The training rows: a query with its positives and its negatives."""
        return self.table("train")

    def __repr__(self) -> str:
        """Folder and tables with their numbers of rows."""
        rows = ", ".join(f"{name} {shards.count_rows(self.path / name):,}" for name in self.tables)
        return f"Run({str(self.path)!r}: {rows or 'no tables yet'})"


def load_run(path: str | Path) -> Run:
    """The run in a folder, finished or not.

    Raises:
        RunFolderError: the folder holds no run.
    """
    return Run(Path(path), RunFolder(Path(path)).read_summary())
