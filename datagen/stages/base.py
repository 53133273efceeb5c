"""What a stage is, and what it is given to work with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends
from datagen.config import RunConfig, StageName
from datagen.progress import Progress
from datagen.run_folder import Counts, RunFolder


@dataclass(frozen=True)
class Surroundings:
    """What all stages of a run share."""

    config: RunConfig
    backends: Backends
    progress: Progress
    folder: RunFolder
    journal_only: bool = False
    """Language models are not asked: their answers are read from the journal."""


@dataclass(frozen=True)
class Work:
    """One stage's view of a run: settings, models, the tables before it, and a folder of its own."""

    stage: str
    around: Surroundings
    before: Sequence[str]
    partial: Path

    @property
    def config(self) -> RunConfig:
        """The settings of the run."""
        return self.around.config

    @property
    def backends(self) -> Backends:
        """The models of the run."""
        return self.around.backends

    @property
    def progress(self) -> Progress:
        """Where long steps are shown."""
        return self.around.progress

    @property
    def journal_only(self) -> bool:
        """Whether answers come from the journal alone."""
        return self.around.journal_only

    def source(self, table: str) -> Path:
        """The folder of a table as the stages before this one left it."""
        return self.around.folder.table(table, self.before)

    def read(self, table: str, columns: list[str] | None = None) -> pl.DataFrame:
        """A table in memory, as the stages before this one left it."""
        return shards.read(self.source(table), columns)

    def write(self, table: str, parts: Iterable[shards.Table]) -> int:
        """Write a table of this stage; the number of rows."""
        prefix = self.stage if table == "dropped" else "part"
        return shards.write_parts(self.partial / table, table, parts, prefix)

    def counts_before(self) -> dict[str, Counts]:
        """The counts of the stages before this one."""
        records = [record for name in self.before if (record := self.around.folder.record(name))]
        return {record.name: record.counts for record in records}


class Stage(Protocol):
    """One step of the pipeline."""

    @property
    def name(self) -> StageName:
        """What it is called in settings and run folders."""
        ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Tables that it reads."""
        ...

    @property
    def writes(self) -> tuple[str, ...]:
        """Tables that it writes."""
        ...

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """All that changes the rows this stage writes, beside the stages before it."""
        ...

    def run(self, work: Work) -> Counts:
        """Do the work and write the tables; what must be counted."""
        ...
