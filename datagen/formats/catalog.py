"""What a format is: its name, how it is told from others, how it is read, and the tables that it is written as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from datagen.formats.files import Look
from datagen.selection.arrays import Int64, UInt64

Scores: TypeAlias = Literal["none", "optional", "required"]
Unit: TypeAlias = Literal["positive", "pair"]


@dataclass(frozen=True)
class Numbers:
    """The places of documents, found by their ids.

    Ids are told apart by 64 bits of a hash: among ten million, two are taken for one with a chance of 3 in a million.
    """

    hashes: UInt64
    places: Int64

    @classmethod
    def of(cls, hashes: UInt64) -> Numbers:
        """Of the documents whose ids have these hashes, in the order of their places."""
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], order)

    def find(self, ids: pl.Series) -> pl.Series:
        """The place of each of these documents, all of which are known."""
        return pl.Series("number", self.places[np.searchsorted(self.hashes, ids.hash().to_numpy())])


@dataclass(frozen=True)
class Facts:
    """What is known of the rows before the first of them is written.

    `scores` says where the scores come from that are written: the teacher, the reranker or, for what was read from
    other formats, the file; None when none are written. `instructed`: some query has an instruction. `numbers`: where
    documents are named by their places, those.
    """

    scores: Literal["teacher", "reranker", "file"] | None
    instructed: bool
    numbers: Numbers | None = None

    @property
    def scored(self) -> bool:
        """Whether scores are written; every document then has one."""
        return self.scores is not None


Shape: TypeAlias = Callable[[pl.DataFrame, Facts], pl.DataFrame]


@dataclass(frozen=True)
class Table:
    """One table of a format.

    `path` may hold `{split}`, `{suffix}` (empty for the split train, `-dev` for dev) and `{number}` (without it, one
    file however long); its end says how rows are written: `.parquet`, `.jsonl`, `.jsonl.gz`, `.tsv`, `.trec` (spaces)
    or `.json` (one object around all rows, of which `around` is what stands before and after them). `shape` makes the
    rows out of rows of `ROWS`, with the `number` of each query, or, where it is a table `of` documents, out of
    `doc_id`, `title`, `body`, `text` (title and body in one) and `number`. `config` is its name for Hugging Face.
    """

    path: str
    shape: Shape
    of: Literal["rows", "documents"] = "rows"
    separator: str = ""
    header: bool = False
    around: tuple[str, str] = ("", "")
    config: str | None = "default"
    needs_scores: bool = False


@dataclass(frozen=True)
class Format:
    """A format of training data.

    `load` is the line that loads it with its framework, OUT being the folder. `negatives`: no row may be without.
    `fixed`: each row has the same number of them. `numbered`: documents and queries are named by their places.
    `unit`: what a row is, where rows can stand in batches that a trainer reads as they are: a positive of a query, or a
    pair of a positive and a negative. `instructions`: has a place for them. `whole`: tables of documents hold the whole
    corpus, not only what rows name. `finish` adds files that describe the others, given the folder, where it will
    stand, and the names of the splits.
    """

    name: str
    description: str
    load: str
    tables: tuple[Table, ...]
    read: Callable[[Path], Iterator[pl.DataFrame]]
    matches: Callable[[Look], bool]
    negatives: bool = True
    fixed: bool = False
    scores: Scores = "none"
    numbered: bool = False
    unit: Unit | None = None
    whole: bool = False
    instructions: bool = False
    finish: Callable[[Path, Path, tuple[str, ...]], None] | None = None

    @property
    def has_documents(self) -> bool:
        """Whether the texts of documents stand in a table of their own."""
        return any(table.of == "documents" for table in self.tables)
