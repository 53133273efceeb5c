"""Mine: the nearest documents of each query, and what is against each of them as a negative.

Queries are searched in batches, because each search may read the whole corpus; a batch is judged and written in
blocks, each one part of the ledger, so that a run that was killed goes on with the next batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from datagen import shards
from datagen.backends.protocols import Backends, Float32, Int64, Telling
from datagen.config import RunConfig, StageName
from datagen.config_mine import MineConfig
from datagen.config_sources import BM25, DENSE, RANDOM, WRITTEN
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
from datagen.mining.miner import Found, Miner, candidates_wanted, measure_recall
from datagen.mining.near_queries import QueryFamilies
from datagen.mining.planning import LEAST_INDEX, plan_search
from datagen.mining.refresh import EarlierLedger, Refresh, RefreshPlan
from datagen.mining.words import WordVectors, open_words
from datagen.report.ledger import count_candidates
from datagen.run_folder import Counts
from datagen.selection.closure import Closure
from datagen.selection.select import NO_CANDIDATES, Reason
from datagen.stages.base import Work
from datagen.storage import make_folder
from datagen.tables import DECISION_IGNORED, EARLIER_CANDIDATES
from datagen.vectors import TextVectors, open_vectors

_PAIR = ("query_id", "doc_id")

_FOUND_BY = ("source", "rank", "sources", "agreement", "lexical_score")

_RECALL_QUERIES = 256
"""Queries on which the search on a part of the vectors is compared with the full one."""


class Mine:
    """Reads corpus, queries and pairs; writes the ledger of candidates."""

    name: StageName = "mine"
    reads = ("corpus", "queries", "pairs", "dropped")
    writes = ("candidates", "margins", "refresh")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The settings of the search and of the margin, the seed, and how many candidates a query needs."""
        unused = () if config.input.run is not None else ("refresh_overlap", "refresh_depth")
        searching = config.mine.model_dump(mode="json", exclude={"choice", "num_negatives", *unused})
        return {**searching, "seed": config.seed, "wanted": candidates_wanted(config)}

    def run(self, work: Work) -> Counts:
        """Search and judge, batch by batch; candidates per reason, queries without an eligible one."""
        folder = work.partial / "candidates"
        for table in self.writes:
            make_folder(work.partial / table)
        task = _prepare(work)
        with work.progress.step("mine", task.n_queries, "queries") as advance:
            for batch in _batches(task.n_queries, work.config.mine.query_block, task.at_once):
                missing = [block for block in batch if not (folder / block.name).exists()]
                if missing:
                    _write(task, missing, work.partial)
                advance(sum(len(block.queries) for block in batch))
        counts = count_candidates(folder, task.n_queries)
        near_queries = {"texts": task.families.joined, "largest": task.families.largest}
        again = task.refresh.count(folder) if task.refresh else {}
        index = task.miner.index
        facts = {"index": dict(index.facts)} if isinstance(index, Telling) else {}
        return {**counts, **again, **_recall(task, work.config.mine), **facts, "near_queries": near_queries}


@dataclass(frozen=True)
class Block:
    """Consecutive queries that make one part of the ledger."""

    name: str
    queries: Int64


def _batches(n_queries: int, rows: int, at_once: int) -> Iterator[list[Block]]:
    """The blocks of so many rows, in the groups that are searched together."""
    starts = range(0, n_queries, rows)
    blocks = [
        Block(shards.part_name(number), np.arange(begin, min(begin + rows, n_queries)))
        for number, begin in enumerate(starts)
    ]
    step = max(1, at_once // rows)
    for first in range(0, len(blocks), step):
        yield blocks[first : first + step]


def _write(task: MiningTask, blocks: list[Block], folder: Path) -> None:
    """Search the queries of some blocks together and write the parts of each; the ledger's comes last."""
    queries = np.concatenate([block.queries for block in blocks])
    closure = task.closure.take(queries)
    given = task.refresh.given(queries) if task.refresh else NO_CANDIDATES
    words = task.words.take(queries + len(task.document_ids))
    found = task.miner.mine(task.vectors(queries), closure, task.sources.find(queries), given, words)
    begin = 0
    for block in blocks:
        end = begin + len(block.queries)
        part = found.take(begin, end)
        shards.write_part(folder / "margins" / block.name, "margins", task.margins(part, block.queries))
        ledger = task.ledger(part, closure.take(np.arange(begin, end)), block.queries)
        shards.write_part(folder / "candidates" / block.name, "candidates", ledger)
        begin = end


@dataclass(frozen=True)
class MiningTask:
    """The queries of a run, and all that is needed to mine any block of them."""

    miner: Miner
    sources: OpenSources
    words: WordVectors
    """Of the documents, then of the queries."""
    closure: Closure
    families: QueryFamilies
    document_vectors: DocumentVectors
    query_vectors: TextVectors
    query_places: Int64
    query_ids: pl.Series
    document_ids: pl.Series
    at_once: int
    """Queries searched together."""
    refresh: RefreshPlan | None = None
    """What is searched anew, where an earlier run is mined again."""

    @property
    def n_queries(self) -> int:
        """Queries to mine for."""
        return len(self.query_ids)

    def vectors(self, queries: Int64) -> Float32:
        """The teacher's vectors of some queries, (n, dim)."""
        return self.query_vectors.take(self.query_places[queries])

    def margins(self, found: Found, queries: Int64) -> pl.DataFrame:
        """What the margin of each query was measured with."""
        floor, limit = (np.where(np.isfinite(x), x, np.nan) for x in (found.positives.floor, found.limits))
        numbers = {"spread": found.positives.spread, "floor": floor, "limit": limit}
        return pl.DataFrame({"query_id": self.query_ids.gather(queries), **numbers}, nan_to_null=True)

    def ledger(self, found: Found, closure: Closure, queries: Int64) -> pl.DataFrame:
        """All candidates of a block of queries, each with what is against it, query by query, best first.

        Known positives that the search did not reach follow at the end of their query with rank 0.
        """
        candidates = found.candidates
        rows = pl.DataFrame(
            {
                "row": candidates.rows,
                "document": candidates.documents,
                "teacher_score": candidates.scores,
                "reason": found.reasons,
                "p_false_negative": pl.Series(found.doubts.astype(np.float32), nan_to_null=True),
                **self.sources.columns(found.union, self.miner.config.candidates),
            }
        )
        rounds = self.refresh.rounds(queries, found.searched) if self.refresh else np.zeros(len(queries), np.int64)
        return self._named(_with_positives(rows, closure, found), queries, pl.Series(rounds))

    def _named(self, rows: pl.DataFrame, queries: Int64, rounds: pl.Series) -> pl.DataFrame:
        labels = pl.Series([reason.label for reason in Reason])
        return rows.select(
            cs.by_name(*_FOUND_BY, require_all=False),
            query_id=self.query_ids.gather(queries[rows["row"].to_numpy()]),
            doc_id=self.document_ids.gather(rows["document"]),
            teacher_score="teacher_score",
            p_false_negative=pl.when(pl.col("reason") != int(Reason.KNOWN_POSITIVE)).then("p_false_negative"),
            decision=pl.lit(DECISION_IGNORED),
            reason=labels.gather(rows["reason"]),
            round=rounds.gather(rows["row"]),
        )


def _with_positives(rows: pl.DataFrame, closure: Closure, found: Found) -> pl.DataFrame:
    """The candidates with every known positive among them, each with its exact score."""
    known = pl.DataFrame(
        {
            "row": closure.positives.rows,
            "document": closure.positives.values,
            "exact": found.positives.scores.astype(np.float32),
        }
    )
    merged = rows.join(known, on=["row", "document"], how="full", coalesce=True, maintain_order="left_right")
    return merged.with_columns(
        pl.col("source").fill_null(DENSE),
        pl.col("rank").fill_null(0),
        pl.coalesce("exact", "teacher_score").alias("teacher_score"),
        pl.col("reason").fill_null(int(Reason.KNOWN_POSITIVE)),
    ).sort("row", maintain_order=True)


def _recall(task: MiningTask, config: MineConfig) -> Counts:
    """How much of the full search the search on `mine.dims` numbers finds, on some of the queries."""
    documents = task.document_vectors
    if config.dims is None or config.dims >= documents.dim:
        return {}
    queries = task.vectors(np.arange(min(_RECALL_QUERIES, task.n_queries)))
    depth = min(config.candidates, len(documents))
    return {"dims": config.dims, "recall": round(measure_recall(task.miner.index, documents, queries, depth), 4)}


def _prepare(work: Work) -> MiningTask:
    config = work.config
    corpus = work.read("corpus", ["doc_id", "origin", "meta", *_rule_columns(config)])
    queries = work.read("queries", ["query_id", "query"])
    documents = _documents(work)
    document_vectors = open_document_vectors(config, work.backends, documents, work.progress)
    query_vectors = open_vectors(config, work.backends, "query")
    query_places, _ = query_vectors.ensure(queries["query"], work.backends.teacher, work.progress)
    pairs = LabelledPairs(_positive_pairs(work), _doubted_pairs(work))
    closing = Closing(config.mine, config.cache_folder, work.progress)
    closure, families = closing.close(corpus, queries, documents, pairs)
    sample = _sample(len(corpus), config.mine.reference_sample, config.seed)
    depth = config.mine.candidates + 1
    plan = plan_search(config, document_vectors.dim, depth, work.partial / "plan.json")
    demand = search_demand(config.seed, query_vectors, query_places, depth, plan.index)
    index = work.backends.index(document_vectors, work.progress, demand)
    sources = open_sources(work, queries, corpus["doc_id"])
    words = _open_words(work, queries["query"], len(corpus))
    miner = Miner(
        config.mine,
        candidates_wanted(config),
        index,
        len(corpus),
        document_vectors.take,
        document_vectors.take(sample),
        sources.fusion,
        words=words.take,
        sample_words=words.take(sample),
    )
    ids = queries["query_id"], corpus["doc_id"]
    vectors = document_vectors, query_vectors, query_places
    task = MiningTask(miner, sources, words, closure, families, *vectors, *ids, plan.queries)
    return replace(task, refresh=_plan_refresh(work, task, sample)) if config.input.run is not None else task


def _open_words(work: Work, queries: pl.Series, n_documents: int) -> WordVectors:
    documents = _documents(work)
    return open_words(work.config.cache_folder, lambda: chain(documents(), [queries]), n_documents, work.progress)


def _plan_refresh(work: Work, task: MiningTask, sample: Int64) -> RefreshPlan:
    """What is searched anew; decided once, so that a run that was killed goes on with the same."""
    config, miner = work.config, task.miner
    ledger = EarlierLedger(work.source(EARLIER_CANDIDATES), task.query_ids, task.document_ids)
    vectors, positives = task.vectors, task.closure.positives
    refresh = Refresh(config.mine, config.seed, ledger, vectors, miner.document_vectors, miner.n_documents, positives)
    folder = work.partial / "refresh"
    if not (folder / shards.part_name(0)).exists():
        measured = refresh.measure(sample, miner.first_depths(positives), work.progress)
        decided = refresh.decide(measured, miner.index).with_columns(query_id=task.query_ids)
        shards.write_part(folder / shards.part_name(0), "refresh", decided)
    return RefreshPlan(refresh, shards.read(folder))


def _rule_columns(config: RunConfig) -> list[str]:
    """Columns that only a user's rules look at."""
    return ["language", "title"] if config.mine.rules.same_field or config.mine.rules.exclude_same else []


def open_sources(work: Work, queries: pl.DataFrame, document_ids: pl.Series) -> OpenSources:
    """The sources that the settings ask for beside the run's own teacher, each ready to be asked."""
    config, n_documents = work.config.mine.sources, len(document_ids)
    opened: dict[str, CandidateSource] = {}
    for name in work.config.teachers:
        opened[name] = _open_teacher(work, name, queries["query"], _depth(work, name, n_documents))
    if BM25 in config.use:
        index = work.backends.lexical_index(_documents(work), work.progress)
        opened[BM25] = LexicalSource(index, queries["query"], _depth(work, BM25, n_documents))
    written = number_pairs(_written_pairs(work), queries["query_id"], document_ids)
    if config.written and len(written[0]):
        opened[WRITTEN] = PairSource(*written)
    if RANDOM in config.use:
        depth = _depth(work, RANDOM, n_documents)
        opened[RANDOM] = RandomSource(queries["query_id"], work.config.seed, depth, n_documents)
    return OpenSources(config, opened, tuple(work.config.teachers))


def _open_teacher(work: Work, name: str, queries: pl.Series, depth: int) -> TeacherSource:
    documents = open_document_vectors(work.config, work.backends, _documents(work, name), work.progress, name)
    vectors = open_vectors(work.config, work.backends, "query", name)
    places, _ = vectors.ensure(queries, partial(work.backends.teacher, name), work.progress)
    demand = search_demand(work.config.seed, vectors, places, depth, LEAST_INDEX)
    return TeacherSource(work.backends.index(documents, work.progress, demand), vectors, places, depth)


def _documents(work: Work, teacher: str | None = None) -> Callable[[], Iterator[pl.Series]]:
    return partial(iterate_documents, work.source("corpus"), work.config.teacher_named(teacher).document_template)


def _depth(work: Work, name: str, n_documents: int) -> int:
    return min(work.config.mine.sources.depth(name, work.config.mine.candidates), n_documents)


def _written_pairs(work: Work) -> pl.DataFrame:
    return work.read("pairs", ["query_id", "doc_id", "relevance"]).filter(pl.col("relevance") <= 0)


def _positive_pairs(work: Work) -> pl.DataFrame:
    return work.read("pairs", ["query_id", "doc_id", "relevance"]).filter(pl.col("relevance") > 0)


def _doubted_pairs(work: Work) -> pl.DataFrame:
    """Positives that were set aside before this stage because the teacher does not find them: no negatives either."""
    doubted = work.read("dropped").filter(pl.col("stage") == "verify", pl.col("reason") == "round_trip")
    ids = doubted.select(pl.col("payload").str.json_path_match(f"$.{name}").alias(name) for name in _PAIR)
    return ids.drop_nulls()


def _sample(n_documents: int, size: int, seed: int) -> Int64:
    if n_documents <= size:
        return np.arange(n_documents)
    return np.sort(np.random.default_rng(seed).choice(n_documents, size, replace=False))
