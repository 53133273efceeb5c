"""Where the candidates of a batch of queries come from beside the search of the run's own teacher.

Each source gives a list a query; `selection.union` makes one of them. The stage `mine` opens them, `mining` asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from datagen.backends.protocols import Int64, LexicalIndex, SearchIndex
from datagen.mining.miner import Fusion
from datagen.selection.select import Candidates, from_search
from datagen.selection.union import Union, random_candidates
from datagen.settings.sources import BM25, DENSE, SourcesConfig
from datagen.store import Keys, hash_texts
from datagen.vectors import TextVectors


class CandidateSource(Protocol):
    """A list of candidates a query."""

    def find(self, queries: Int64) -> Candidates:
        """Candidates of these queries, numbered from 0 in this order, each query's best first, ranks from 1."""
        ...


@dataclass(frozen=True)
class OpenSources:
    """The sources of a run beside its own teacher, and how all of them become one list."""

    config: SourcesConfig
    opened: dict[str, CandidateSource]
    """By name, in the order in which they settle ties."""
    teachers: tuple[str, ...]
    """Which of them are teachers."""

    @property
    def names(self) -> tuple[str, ...]:
        """All sources, the run's own teacher first."""
        return (DENSE, *self.opened)

    @property
    def fusion(self) -> Fusion:
        """How their lists become one."""
        weights = tuple(self.config.weight(name) for name in self.names)
        return Fusion(weights, tuple(self.config.quotas.get(name, 0) for name in self.names))

    def teacher_depths(self, candidates: int) -> Int64:
        """How deep each teacher's search counts for agreement, (n_sources,); 0 for what is no teacher."""
        teachers = (DENSE, *self.teachers)
        return np.asarray([self.config.depth(name, candidates) * (name in teachers) for name in self.names])

    def find(self, queries: Int64) -> list[Candidates]:
        """What each source but the run's own teacher finds for these queries."""
        return [source.find(queries) for source in self.opened.values()]

    def columns(self, union: Union, candidates: int) -> dict[str, pl.Series]:
        """The columns of the ledger that say who found each candidate of a union.

        Args:
            union: of all sources, in the order of `names`.
            candidates: how deep the run's own teacher was asked at first.
        """
        best = union.best_source(self.fusion.weights)
        names = np.asarray(self.names)
        columns = {"source": pl.Series(names[best]), "rank": pl.Series(union.ranks[np.arange(len(union)), best])}
        if len(self.names) > 1:
            columns["sources"] = _struct_lists(union, names)
        if self.teachers:
            columns["agreement"] = pl.Series(union.agreement(self.teacher_depths(candidates)))
        if BM25 in self.opened:
            columns["lexical_score"] = pl.Series(union.scores[:, self.names.index(BM25)], nan_to_null=True)
        return columns


@dataclass(frozen=True)
class TeacherSource:
    """The documents nearest to a query for a further teacher."""

    index: SearchIndex
    vectors: TextVectors
    places: Int64
    """Where the vector of each query of the run is, (n_queries,)."""
    depth: int

    def find(self, queries: Int64) -> Candidates:
        """The first `depth` documents of each query."""
        scores, positions = self.index.search(self.vectors.take(self.places[queries]), self.depth)
        return from_search(scores, positions, np.arange(len(queries)))


@dataclass(frozen=True)
class LexicalSource:
    """The documents that share words with a query."""

    index: LexicalIndex
    texts: pl.Series
    """All queries of the run."""
    depth: int

    def find(self, queries: Int64) -> Candidates:
        """At most `depth` documents of each query, each with a word of it."""
        scores, positions = self.index.search(self.texts.gather(queries).to_list(), self.depth)
        found = from_search(scores, positions, np.arange(len(queries)))
        return found.take(found.documents >= 0)


class PairSource:
    """Documents that the pairs of the run name for a query: the negatives that were written or given for it."""

    def __init__(self, queries: Int64, documents: Int64) -> None:
        """Take query number and document number of each pair, in any order."""
        order = np.argsort(queries, kind="stable")
        self._queries, self._documents = queries[order], documents[order]

    def find(self, queries: Int64) -> Candidates:
        """The documents of each query in the order of the pairs, without scores."""
        begins, ends = np.searchsorted(self._queries, [queries, queries + 1])
        sizes = ends - begins
        rows = np.repeat(np.arange(len(queries)), sizes)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        documents = self._documents[np.repeat(begins, sizes) + within]
        return Candidates(rows, documents, (within + 1).astype(np.int32), np.full(len(rows), np.nan, np.float32))


class RandomSource:
    """Documents drawn at random, the same for a query whatever stands beside it."""

    def __init__(self, query_ids: Sequence[str] | pl.Series, seed: int, count: int, n_documents: int) -> None:
        """Take the ids of all queries of the run, how many documents each gets, and among how many."""
        keys: Keys = hash_texts(f"{seed}:{query_id}" for query_id in query_ids)
        self._keys = keys[:, 0]
        self._count, self._n_documents = count, n_documents

    def find(self, queries: Int64) -> Candidates:
        """Up to `count` documents of each query, without scores."""
        return random_candidates(self._keys[queries], self._count, self._n_documents)


def _struct_lists(union: Union, names: np.ndarray[tuple[int], np.dtype[np.str_]]) -> pl.Series:
    """For each candidate a list of source, rank and score, one for each source that found it."""
    found = union.found
    places, columns = np.nonzero(found)
    scores = union.scores[places, columns]
    fields = {
        "source": pa.array(names).take(pa.array(columns)),
        "rank": pa.array(union.ranks[places, columns]),
        "score": pa.array(scores, mask=np.isnan(scores)),
    }
    offsets = np.concatenate([[0], np.cumsum(found.sum(axis=1))]).astype(np.int32)
    structs = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    return pl.Series(pl.from_arrow(pa.ListArray.from_arrays(pa.array(offsets), structs)))
