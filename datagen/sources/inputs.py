"""The four forms of input, each read into corpus, queries and pairs."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from datagen.config import InputConfig
from datagen.errors import InputError
from datagen.sources.columns import no_queries, shape_corpus, shape_nothing, shape_queries
from datagen.sources.frames import read_frame
from datagen.sources.locate import Layout, Source, locate_input
from datagen.sources.pairs import shape_pairs
from datagen.sources.qrels import read_qrels


@dataclass(frozen=True)
class RawInput:
    """The user's data in the columns of `tables.CORPUS`, `QUERIES` and `PAIRS`, row for row, not cleaned.

    Texts may be empty, ids may be repeated or unknown, relevance may be NaN. Queries and pairs have no rows when
    the input is a corpus alone.
    """

    corpus: pl.DataFrame
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
        return RawInput(shape_nothing(), *no_queries())
    layout = locate_input(config)
    corpus = None if layout.corpus is None else _load_corpus(layout.corpus, config)
    if layout.pairs is not None:
        frame = read_frame(layout.pairs, config.split)
        return RawInput(*shape_pairs(frame, layout.pairs, corpus, config))
    if corpus is None:
        raise InputError("the input has neither a corpus nor pairs: give one of them")
    if layout.queries is None:
        return RawInput(corpus, *no_queries())
    queries = shape_queries(read_frame(layout.queries, config.split), layout.queries)
    return RawInput(corpus, queries, _load_qrels(layout, config))


def _load_corpus(source: Source, config: InputConfig) -> pl.DataFrame:
    return shape_corpus(read_frame(source, config.split), source)


def _load_qrels(layout: Layout, config: InputConfig) -> pl.DataFrame:
    pairs = pl.concat([read_qrels(source, config.split) for source in layout.qrels])
    if pairs.is_empty():
        names = ", ".join(source.name for source in layout.qrels)
        raise InputError(f"{names} hold no judgements: give at least one line of query id, document id, relevance")
    return pairs
