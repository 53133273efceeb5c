"""All that a run's queries are mined with, opened from its tables: teacher, index, sources, words, closure.

Between a stage and the parts of mining; `mine` and `calibrate` open the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from datagen.backends.protocols import Backends, Float32, Int64
from datagen.config import RunConfig, fingerprint
from datagen.document_vectors import DocumentVectors, open_document_vectors, search_demand
from datagen.documents import iterate_documents
from datagen.mining.candidate_sources import (
    CandidateSource,
    LexicalSource,
    OpenSources,
    PairSource,
    RandomSource,
    TeacherSource,
)
from datagen.mining.closing import Closing, LabelledPairs, number_pairs
from datagen.mining.judgements import place_labels
from datagen.mining.miner import Found, Miner, candidates_wanted
from datagen.mining.near_queries import QueryFamilies
from datagen.mining.planning import LEAST_INDEX, plan_search
from datagen.mining.replays import Replays, sibling_pairs
from datagen.mining.unmarked import bound_unmarked, choose_sample
from datagen.mining.words import WordVectors, open_words
from datagen.progress import Progress
from datagen.selection.arrays import sample_rows
from datagen.selection.closure import Closure
from datagen.selection.doubt import load_doubt_model
from datagen.selection.select import NO_CANDIDATES, Candidates
from datagen.settings.mine import MineConfig
from datagen.settings.sources import BM25, RANDOM, WRITTEN
from datagen.sources import load_labels
from datagen.storage import hash_file
from datagen.vectors import TextVectors, open_vectors

_PAIR = ("query_id", "doc_id")
_DOUBTS = ("round_trip", "inconsistent_positive")
"""Reasons for which the stage `verify` sets a positive aside."""


class RunView(Protocol):
    """What is seen of a run: its settings, its models and the tables before a stage."""

    @property
    def config(self) -> RunConfig:
        """The settings of the run."""
        ...

    @property
    def backends(self) -> Backends:
        """The models of the run."""
        ...

    @property
    def progress(self) -> Progress:
        """Where long steps are shown."""
        ...

    @property
    def partial(self) -> Path:
        """The folder in which the stage works."""
        ...

    def source(self, table: str) -> Path:
        """The folder of a table as the stages before left it."""
        ...

    def read(self, table: str, columns: list[str] | None = None) -> pl.DataFrame:
        """A table in memory."""
        ...


@dataclass(frozen=True)
class OpenMining:
    """What any queries of a run are mined with."""

    miner: Miner
    sources: OpenSources
    words: WordVectors
    """Of the documents, then of the queries."""
    closure: Closure
    """Of the run's queries, with all that is known of them."""
    families: QueryFamilies
    document_vectors: DocumentVectors
    query_vectors: TextVectors
    query_places: Int64
    query_ids: pl.Series
    document_ids: pl.Series
    sample: Int64
    """Documents whose scores tell how a score stands in the corpus."""
    at_once: int
    """Queries searched together."""

    @property
    def n_queries(self) -> int:
        """Queries of the run."""
        return len(self.query_ids)

    def vectors(self, queries: Int64) -> Float32:
        """The teacher's vectors of some queries, (n, dim)."""
        return self.query_vectors.take(self.query_places[queries])

    def mine(self, queries: Int64, closure: Closure, given: Candidates = NO_CANDIDATES) -> Found:
        """Search some queries, which may be repeated; closure and what is given are numbered in their order."""
        words = self.words.take(queries + len(self.document_ids))
        return self.miner.mine(self.vectors(queries), closure, self.sources.find(queries), given, words)


def open_mining(view: RunView) -> OpenMining:
    """What the settings and the tables of a run ask for, each part ready to be asked."""
    config = view.config
    closure, families = close_queries(view)
    document_ids = view.read("corpus", ["doc_id"])["doc_id"]
    queries = view.read("queries", ["query_id", "query"])
    documents = _documents(view)
    document_vectors = open_document_vectors(config, view.backends, documents, view.progress)
    query_vectors = open_vectors(config, view.backends, "query")
    query_places, _ = query_vectors.ensure(queries["query"], view.backends.teacher, view.progress)
    sample = sample_rows(len(document_ids), config.mine.reference_sample, config.seed)
    depth = config.mine.candidates + 1
    plan = plan_search(config, document_vectors.dim, depth, view.partial / "plan.json")
    demand = search_demand(config.seed, query_vectors, query_places, depth, plan.index)
    index = view.backends.index(document_vectors, view.progress, demand)
    sources = _open_sources(view, queries, document_ids)
    words = _open_words(view, queries["query"], len(document_ids))
    some = choose_sample(closure.positives, config.seed)
    miner = Miner(
        config.mine,
        candidates_wanted(config),
        index,
        len(document_ids),
        document_vectors.take,
        document_vectors.take(sample),
        sources.fusion,
        load_doubt_model(config.mine.margin_model),
        words=words.take,
        sample_words=words.take(sample),
        unmarked=bound_unmarked(index, query_vectors.take(query_places[some]), closure.take(some)),
    )
    vectors = document_vectors, query_vectors, query_places
    return OpenMining(
        miner, sources, words, closure, families, *vectors, queries["query_id"], document_ids, sample, plan.queries
    )


def close_queries(view: RunView) -> tuple[Closure, QueryFamilies]:
    """What is never a negative of the run's queries, and which of them ask the same."""
    corpus, queries = read_corpus(view), view.read("queries", ["query_id", "query"])
    pairs = LabelledPairs(positive_pairs(view), doubted_pairs(view))
    return open_closing(view).close(corpus, queries, _documents(view), pairs)


def close_replays(view: RunView, replays: Replays, families: QueryFamilies) -> Closure:
    """What is never a negative in replays: each stands alone, so that its hidden positives stay open."""
    corpus, queries = read_corpus(view), view.read("queries", ["query_id", "query"])
    pairs = pl.concat([positive_pairs(view).select(_PAIR), doubted_pairs(view)])
    answers = number_pairs(pairs, queries["query_id"], corpus["doc_id"])
    rows, documents = sibling_pairs(replays, families.family, answers)
    names = pl.Series(np.arange(len(replays))).cast(pl.String)
    siblings = {"query_id": names.gather(rows), "doc_id": corpus["doc_id"].gather(documents)}
    asked = pl.DataFrame({"query_id": names, "query": queries["query"].gather(replays.queries)})
    known = LabelledPairs(replays.pairs(names, corpus["doc_id"]), pl.DataFrame(siblings))
    alone = QueryFamilies(np.arange(len(replays)), 0, 1)
    return open_closing(view).close(corpus, asked, _documents(view), known, alone)[0]


def open_closing(view: RunView) -> Closing:
    """What a closure is made with."""
    return Closing(view.config.mine, view.config.cache_folder, view.progress)


def read_corpus(view: RunView) -> pl.DataFrame:
    """The columns of the corpus that a closure looks at."""
    return view.read("corpus", ["doc_id", "origin", "meta", *_rule_columns(view.config)])


def positive_pairs(view: RunView) -> pl.DataFrame:
    """The known positives."""
    return view.read("pairs", ["query_id", "doc_id", "relevance"]).filter(pl.col("relevance") > 0)


def doubted_pairs(view: RunView) -> pl.DataFrame:
    """What is neither a known positive nor a negative: positives that the teacher does not find, and labelled ones."""
    doubted = view.read("dropped").filter(pl.col("stage") == "verify", pl.col("reason").is_in(_DOUBTS))
    ids = doubted.select(pl.col("payload").str.json_path_match(f"$.{name}").alias(name) for name in _PAIR)
    labels = read_labels(view)
    labelled = [] if labels is None else [labels.filter(pl.col("relevance") > 0).select(_PAIR)]
    return pl.concat([ids.drop_nulls(), *labelled])


def read_labels(view: RunView) -> pl.DataFrame | None:
    """The labels that the settings name: query_id, doc_id and relevance of documents that the run has kept."""
    named = view.config.calibration.labels
    return None if named is None else place_labels(_load_labels(named), view.read("dropped"))


def mining_settings(config: MineConfig, unused: Collection[str] = ()) -> dict[str, Any]:  # Any: JSON settings
    """The settings but for the unused ones, a file by what it holds."""
    model = None if config.margin_model is None else hash_file(config.margin_model)
    return {**config.model_dump(mode="json", exclude={"margin_model", *unused}), "margin_model": model}


def labels_fingerprint(config: RunConfig) -> str | None:
    """What the labels hold; None without any."""
    named = config.calibration.labels
    return None if named is None else fingerprint(_load_labels(named).rows())


def _load_labels(named: str) -> pl.DataFrame:
    """Labels, read once as long as their files stay as they are: a run asks for them again and again."""
    place = Path(named).expanduser()
    seen = [(str(file), file.stat()) for file in sorted([place, *place.rglob("*")]) if file.is_file()]
    return _load_unchanged(named, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in seen))


@lru_cache(maxsize=4)
def _load_unchanged(named: str, files: tuple[tuple[str, int, int], ...]) -> pl.DataFrame:
    return load_labels(named)


def _open_words(view: RunView, queries: pl.Series, n_documents: int) -> WordVectors:
    documents = _documents(view)
    return open_words(view.config.cache_folder, lambda: chain(documents(), [queries]), n_documents, view.progress)


def _rule_columns(config: RunConfig) -> list[str]:
    """Columns that only a user's rules look at."""
    return ["language", "title"] if config.mine.rules.same_field or config.mine.rules.exclude_same else []


def _open_sources(view: RunView, queries: pl.DataFrame, document_ids: pl.Series) -> OpenSources:
    """The sources that the settings ask for beside the run's own teacher, each ready to be asked."""
    config, n_documents = view.config.mine.sources, len(document_ids)
    opened: dict[str, CandidateSource] = {}
    for name in view.config.teachers:
        opened[name] = _open_teacher(view, name, queries["query"], _depth(view, name, n_documents))
    if BM25 in config.use:
        index = view.backends.lexical_index(_documents(view), view.progress)
        opened[BM25] = LexicalSource(index, queries["query"], _depth(view, BM25, n_documents))
    written = number_pairs(_written_pairs(view), queries["query_id"], document_ids)
    if config.written and len(written[0]):
        opened[WRITTEN] = PairSource(*written)
    if RANDOM in config.use:
        depth = _depth(view, RANDOM, n_documents)
        opened[RANDOM] = RandomSource(queries["query_id"], view.config.seed, depth, n_documents)
    return OpenSources(config, opened, tuple(view.config.teachers))


def _open_teacher(view: RunView, name: str, queries: pl.Series, depth: int) -> TeacherSource:
    documents = open_document_vectors(view.config, view.backends, _documents(view, name), view.progress, name)
    vectors = open_vectors(view.config, view.backends, "query", name)
    places, _ = vectors.ensure(queries, partial(view.backends.teacher, name), view.progress)
    demand = search_demand(view.config.seed, vectors, places, depth, LEAST_INDEX)
    return TeacherSource(view.backends.index(documents, view.progress, demand), vectors, places, depth)


def _documents(view: RunView, teacher: str | None = None) -> Callable[[], Iterator[pl.Series]]:
    return partial(iterate_documents, view.source("corpus"), view.config.teacher_named(teacher).document_template)


def _depth(view: RunView, name: str, n_documents: int) -> int:
    return min(view.config.mine.sources.depth(name, view.config.mine.candidates), n_documents)


def _written_pairs(view: RunView) -> pl.DataFrame:
    return view.read("pairs", ["query_id", "doc_id", "relevance"]).filter(pl.col("relevance") <= 0)
