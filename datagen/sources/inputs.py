"""The four forms of input that are files, each read into corpus, queries and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import polars as pl

from datagen.errors import InputError
from datagen.settings.input import InputConfig
from datagen.sources.columns import no_queries, shape_corpus, shape_nothing, shape_queries
from datagen.sources.frames import iterate_frames, read_frame
from datagen.sources.judgements import holds_judgements, read_judgements
from datagen.sources.locate import Layout, Source, locate, locate_input
from datagen.sources.pairs import shape_pairs
from datagen.sources.qrels import read_qrels

Slices: TypeAlias = Iterable[pl.DataFrame]


@dataclass(frozen=True)
class RawInput:
    """The user's data in the columns of `tables.CORPUS`, `QUERIES` and `PAIRS`, row for row, not cleaned.

    Texts may be empty, ids may be repeated or unknown, relevance may be NaN. Queries and pairs have no rows when
    the input is a corpus alone.
    """

    corpus: Slices
    """The documents, in frames that together are the table; may be read once only."""
    queries: pl.DataFrame
    pairs: pl.DataFrame


def load_input(config: InputConfig) -> RawInput:
    """All rows of the input, in the order of its files.

    Raises:
        InputError: a file is missing, empty or unreadable, a column is missing, or a line is malformed.
        ConfigError: there is no packaged sample of this name.
        BackendMissingError: a dataset was named and `datasets` is not installed.
    """
    if config.is_empty:
        return RawInput([shape_nothing()], *no_queries())
    layout = locate_input(config)
    if layout.pairs is not None:
        return _load_pairs(layout.pairs, layout.corpus, config)
    if layout.corpus is None:
        raise InputError("the input has neither a corpus nor pairs: give one of them")
    corpus = _iterate_corpus(layout.corpus, config)
    if layout.queries is None:
        return RawInput(corpus, *no_queries())
    queries = shape_queries(read_frame(layout.queries, config.split), layout.queries)
    return RawInput(corpus, queries, _load_qrels(layout, config.split))


def load_labels(value: str, split: str = "train") -> pl.DataFrame:
    """Judgements with the columns of `tables.PAIRS`, from all that qrels may be, a BEIR folder, or a run with a judge.

    Raises:
        InputError: nothing is there, or it holds no judgements.
    """
    folder = Path(value).expanduser()
    if holds_judgements(folder):
        return read_judgements(folder)
    if (folder / "qrels").is_dir() or any((folder / name).is_file() for name in ("qrels.tsv", "qrels.tsv.gz")):
        return _load_qrels(locate_input(InputConfig(beir=value)), split)
    return _load_qrels(Layout(qrels=(locate(value, split),)), split)


def load_queries(value: str, split: str = "train") -> pl.DataFrame:
    """Queries with the columns of `tables.QUERIES`, from a file, a dataset folder or a dataset id.

    Raises:
        InputError: nothing is there, or there is no column with queries.
    """
    source = locate(value, split)
    return shape_queries(read_frame(source, split), source)


def _iterate_corpus(source: Source, config: InputConfig) -> Iterator[pl.DataFrame]:
    for frame in iterate_frames(source, config.split):
        yield shape_corpus(frame, source)


def _load_pairs(source: Source, corpus: Source | None, config: InputConfig) -> RawInput:
    """A table of pairs; its texts are looked up in the corpus, so that both are in memory."""
    given = None if corpus is None else pl.concat(_iterate_corpus(corpus, config))
    documents, queries, pairs = shape_pairs(read_frame(source, config.split), source, given, config)
    return RawInput([documents], queries, pairs)


def _load_qrels(layout: Layout, split: str) -> pl.DataFrame:
    pairs = pl.concat([read_qrels(source, split) for source in layout.qrels])
    if pairs.is_empty():
        names = ", ".join(source.name for source in layout.qrels)
        raise InputError(f"{names} hold no judgements: give at least one line of query id, document id, relevance")
    return pairs
