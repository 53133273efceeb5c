"""What a probe is evaluated on: the documents, queries and judgements of a BEIR folder."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from datagen.documents import render_documents
from datagen.errors import InputError
from datagen.probe.measures import Judgements
from datagen.settings.input import InputConfig
from datagen.sources import load_input, load_labels
from datagen.sources.columns import find_column
from datagen.sources.frames import read_frame
from datagen.sources.locate import locate_input

log = logging.getLogger(__name__)

SLICES = ("source", "query_type", "type", "language", "generator")
"""Columns of the queries file by which the figures are told apart, where they are there."""
_MOST_VALUES = 20


@dataclass(frozen=True)
class JudgedSet:
    """Documents to search, and queries with their relevant ones."""

    documents: pl.Series
    queries: pl.Series
    judgements: Judgements
    slices: pl.DataFrame
    """A column for each way to tell queries apart, a row for each query."""
    trained_on: int
    """Queries left out because the run trains on them."""

    @property
    def identity(self) -> str:
        """Hash of all texts and judgements in order."""
        digest = hashlib.sha256()
        for texts in (self.documents, self.queries):
            for text in texts:
                digest.update(f"{len(text)}:{text}".encode())
        for numbers in (self.judgements.rows, self.judgements.documents, self.judgements.gains):
            digest.update(numbers.tobytes())
        return digest.hexdigest()[:24]


def load_judged(folder: Path, template: str, trained: pl.Series) -> JudgedSet:
    """The set in a BEIR folder; where it has qrels/test.tsv that file alone counts, else all of its judgements.

    Judgements of documents that are not there do not count, nor do queries without a relevant document.

    Args:
        folder: with corpus.jsonl, queries.jsonl and qrels, plain or .gz.
        template: how title and text become one document.
        trained: queries that the run trains on; they are left out.

    Raises:
        InputError: a file is missing or malformed, or no query is left.
    """
    raw = load_input(InputConfig(beir=str(folder)))
    corpus = pl.concat(raw.corpus).unique("doc_id", keep="first", maintain_order=True)
    queries = raw.queries.with_columns(_read_slices(folder)).unique("query_id", keep="first", maintain_order=True)
    pairs = _test_judgements(folder, raw.pairs).filter(pl.col("relevance") > 0)
    pairs = pairs.join(corpus.select("doc_id"), on="doc_id", how="semi")
    judged = queries.join(pairs, on="query_id", how="semi", maintain_order="left")
    kept = judged.filter(~pl.col("query").is_in(trained.implode()))
    if kept.is_empty():
        raise InputError(
            f"{str(folder)!r} has no query to evaluate on: {len(judged):,} of {len(queries):,} have a relevant one, "
            f"and the run trains on {len(judged) - len(kept):,} of these; give judgements of other queries"
        )
    names = [name for name in _names_of(kept.columns) if 1 < kept[name].n_unique() <= _MOST_VALUES]
    return JudgedSet(
        render_documents(corpus, template),
        kept["query"],
        _number(pairs, kept["query_id"], corpus["doc_id"]),
        kept.select(pl.col(names).fill_null("-")),
        len(judged) - len(kept),
    )


def _test_judgements(folder: Path, all_of_them: pl.DataFrame) -> pl.DataFrame:
    for name in ("test.tsv", "test.tsv.gz"):
        if (folder / "qrels" / name).is_file():
            return load_labels(str(folder / "qrels" / name))
    return all_of_them


def _read_slices(folder: Path) -> list[pl.Series]:
    """The columns of the queries file that tell queries apart, by the names of `SLICES`."""
    source = locate_input(InputConfig(beir=str(folder))).queries
    frame = pl.DataFrame() if source is None else read_frame(source, "test")
    found = {name: column for name in SLICES if (column := find_column(frame, (name,)))}
    plain = {name: frame[column] for name, column in found.items() if not frame[column].dtype.is_nested()}
    return [column.cast(pl.String).alias(name) for name, column in plain.items()]


def _names_of(columns: Iterable[str]) -> list[str]:
    return [name for name in SLICES if name in columns]


def _number(pairs: pl.DataFrame, query_ids: pl.Series, doc_ids: pl.Series) -> Judgements:
    rows = pl.DataFrame({"query_id": query_ids, "row": np.arange(len(query_ids))})
    documents = pl.DataFrame({"doc_id": doc_ids, "document": np.arange(len(doc_ids))})
    known = pairs.join(rows, on="query_id").join(documents, on="doc_id").sort("row", "document", "relevance")
    known = known.unique(["row", "document"], keep="last", maintain_order=True)
    return Judgements(
        known["row"].to_numpy().astype(np.int64),
        known["document"].to_numpy().astype(np.int64),
        known["relevance"].to_numpy().astype(np.float32),
    )
