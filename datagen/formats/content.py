"""What is exported, some rows at a time: the table train of a run with its corpus, or a data set that was read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import polars as pl

from datagen import shards
from datagen.documents import render_documents
from datagen.errors import RunFolderError
from datagen.formats.dataset import SIDES, Dataset
from datagen.formats.shapes import fields_of, flatten
from datagen.report.provenance import describe_run
from datagen.run_folder import RunFolder

ROWS_AT_ONCE = 4096
"""Queries with their documents that are in memory at once."""


class Content(Protocol):
    """What is exported. Each method may be called again, and gives the same rows in the same order."""

    @property
    def scores(self) -> Literal["teacher", "reranker", "file"] | None:
        """Where the scores come from; None when there are none to be written."""

    def keys(self) -> Iterator[pl.DataFrame]:
        """Query and instruction, and the ids of positives and negatives as lists; no texts of documents."""

    def rows(self) -> Iterator[pl.DataFrame]:
        """The same queries as rows of `ROWS`; `score` may be missing where no scores are written."""

    def documents(self) -> Iterator[pl.DataFrame]:
        """Documents, at least all that the rows name: `doc_id`, `title`, `body` and `text`."""

    def provenance(self) -> str:
        """How they came about, as Markdown."""


@dataclass(frozen=True)
class RunContent:
    """The table train of a run, with its corpus."""

    path: Path
    template: str
    scores: Literal["teacher", "reranker"] | None

    def keys(self) -> Iterator[pl.DataFrame]:
        """See `Content`."""
        ids = [f"{side}.list.element.doc_id" for side in SIDES]
        lists = [fields_of(side, "doc_id") for side in SIDES]
        for frame in shards.iterate(self.path / "train", ["query", "instruction", *ids], 8 * ROWS_AT_ONCE):
            yield frame.select("query", "instruction", *lists)

    def rows(self) -> Iterator[pl.DataFrame]:
        """See `Content`."""
        score = [f"{self.scores}_score"] if self.scores else []
        fields = [f"{side}.list.element.{name}" for side in SIDES for name in ("doc_id", "text", *score)]
        columns = ["query_id", "query", "instruction", *fields]
        named = [pl.element().struct.field(name).alias("score") for name in score]
        document = pl.struct(pl.element().struct.field("doc_id"), pl.element().struct.field("text"), *named)
        lists = [pl.col(side).list.eval(document) for side in SIDES] if score else []
        for frame in shards.iterate(self.path / "train", columns, ROWS_AT_ONCE):
            yield frame.with_columns(lists)

    def documents(self) -> Iterator[pl.DataFrame]:
        """See `Content`: the whole corpus."""
        for frame in shards.iterate(self.path / "corpus", ["doc_id", "title", "text"], ROWS_AT_ONCE):
            text = render_documents(frame, self.template)
            yield frame.select("doc_id", "title", body="text").with_columns(text=text)

    def provenance(self) -> str:
        """See `Content`: what the card of the run says."""
        return describe_run(self.path)


@dataclass(frozen=True)
class DatasetContent:
    """A data set in memory; documents are those of its rows, each text once an id."""

    dataset: Dataset
    scores: Literal["file"] | None

    def keys(self) -> Iterator[pl.DataFrame]:
        """See `Content`."""
        for frame in self.rows():
            yield frame.select("query", "instruction", *(fields_of(side, "doc_id") for side in SIDES))

    def rows(self) -> Iterator[pl.DataFrame]:
        """See `Content`."""
        return self.dataset.rows.iter_slices(ROWS_AT_ONCE)

    def documents(self) -> Iterator[pl.DataFrame]:
        """See `Content`."""
        named = [flatten(self.dataset.rows, side).select("doc_id", "text") for side in SIDES]
        title = pl.lit(None, pl.String).alias("title")
        every = pl.concat(named).unique("doc_id", keep="first", maintain_order=True)
        return every.select("doc_id", title, pl.col("text").alias("body"), "text").iter_slices(ROWS_AT_ONCE)

    def provenance(self) -> str:
        """See `Content`: of data from elsewhere nothing is known but its name."""
        return f"Read from {self.dataset.path.name}; how that was made is not known here.\n"


def open_run_content(run: Path, scores: Literal["teacher", "reranker"] | None) -> RunContent:
    """What a run has to export.

    Raises:
        RunFolderError: it is no run, or has not been exported to `train/` yet.
    """
    settings = RunFolder(run).read_summary()["settings"]
    if not any((run / "train").glob("*.parquet")):
        raise RunFolderError(f"{run} has no table train: mine it first, with  datagen mine-negatives --run {run}")
    return RunContent(run, settings["teacher"]["document_template"], scores)
