"""Mine: the nearest documents of each query, and which of them may be its negatives.

Queries are searched in batches, because each search may read the whole corpus; a batch is judged and written in
blocks, each one part of the ledger, so that a run that was killed goes on with the next batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends, Int64, Telling
from datagen.closing import Closing, LabelledPairs
from datagen.config import RunConfig, StageName
from datagen.document_vectors import open_document_vectors, search_demand
from datagen.documents import iterate_documents
from datagen.mining import Found, Miner
from datagen.near_queries import QueryFamilies
from datagen.report.ledger import count_ledger
from datagen.run_folder import Counts
from datagen.selection.closure import Closure
from datagen.selection.select import Reason, choose_top
from datagen.stages.base import Work
from datagen.storage import make_folder
from datagen.tables import DECISION_IGNORED, DECISION_NEGATIVE
from datagen.vectors import TextVectors, open_vectors

_PAIR = ("query_id", "doc_id")

_BATCH = 16
"""Blocks of queries that are searched together."""


class Mine:
    """Reads corpus, queries and pairs; writes the ledger of candidates."""

    name: StageName = "mine"
    reads = ("corpus", "queries", "pairs", "dropped")
    writes = ("candidates", "margins")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The mining settings, the seed, and how many candidates a reranker wants in reserve."""
        return {**config.mine.model_dump(mode="json"), "seed": config.seed, "wanted": _wanted(config)}

    def run(self, work: Work) -> Counts:
        """Search and judge, batch by batch; rejected per reason, queries short, score quantiles."""
        task = _prepare(work)
        folder = work.partial / "candidates"
        for table in self.writes:
            make_folder(work.partial / table)
        with work.progress.step("mine", task.n_queries, "queries") as advance:
            for batch in _batches(task.n_queries, work.config.mine.query_block):
                missing = [block for block in batch if not (folder / block.name).exists()]
                if missing:
                    _write(task, missing, work.partial)
                advance(sum(len(block.queries) for block in batch))
        counts = count_ledger(folder, task.n_queries, work.config.mine.num_negatives)
        index = task.miner.index
        facts = {"index": dict(index.facts)} if isinstance(index, Telling) else {}
        return {**counts, **facts, "near_queries": {"texts": task.families.joined, "largest": task.families.largest}}


@dataclass(frozen=True)
class Block:
    """Consecutive queries that make one part of the ledger."""

    name: str
    queries: Int64


def _batches(n_queries: int, rows: int) -> Iterator[list[Block]]:
    """The blocks, in the groups that are searched together."""
    starts = range(0, n_queries, rows)
    blocks = [
        Block(shards.part_name(number), np.arange(begin, min(begin + rows, n_queries)))
        for number, begin in enumerate(starts)
    ]
    for first in range(0, len(blocks), _BATCH):
        yield blocks[first : first + _BATCH]


def _write(task: MiningTask, blocks: list[Block], folder: Path) -> None:
    """Search the queries of some blocks together and write the parts of each; the ledger's comes last."""
    queries = np.concatenate([block.queries for block in blocks])
    closure = task.closure.take(queries)
    found = task.miner.mine(task.query_vectors.take(task.query_places[queries]), closure)
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
    closure: Closure
    families: QueryFamilies
    query_vectors: TextVectors
    query_places: Int64
    query_ids: pl.Series
    document_ids: pl.Series

    @property
    def n_queries(self) -> int:
        """Queries to mine for."""
        return len(self.query_ids)

    def margins(self, found: Found, queries: Int64) -> pl.DataFrame:
        """What the margin of each query was measured with."""
        floor, limit = (np.where(np.isfinite(x), x, np.nan) for x in (found.positives.floor, found.limits))
        numbers = {"spread": found.positives.spread, "floor": floor, "limit": limit}
        return pl.DataFrame({"query_id": self.query_ids.gather(queries), **numbers}, nan_to_null=True)

    def ledger(self, found: Found, closure: Closure, queries: Int64) -> pl.DataFrame:
        """All candidates of a block of queries with decision and reason, query by query, best first.

        Known positives that the search did not reach follow at the end of their query with rank 0.
        """
        candidates, reasons = found.candidates, found.reasons.copy()
        wanted = self.miner.config.num_negatives
        reasons[choose_top(candidates.rows, reasons == Reason.SURPLUS, wanted, len(queries))] = Reason.SELECTED
        rows = pl.DataFrame(
            {
                "row": candidates.rows,
                "document": candidates.documents,
                "rank": candidates.ranks,
                "teacher_score": candidates.scores,
                "reason": reasons,
            }
        )
        return self._named(_with_positives(rows, closure, found), queries)

    def _named(self, rows: pl.DataFrame, queries: Int64) -> pl.DataFrame:
        labels = pl.Series([reason.label for reason in Reason])
        selected = pl.col("reason") == int(Reason.SELECTED)
        return rows.select(
            query_id=self.query_ids.gather(queries[rows["row"].to_numpy()]),
            doc_id=self.document_ids.gather(rows["document"]),
            source=pl.lit("dense"),
            rank="rank",
            teacher_score="teacher_score",
            decision=pl.when(selected).then(pl.lit(DECISION_NEGATIVE)).otherwise(pl.lit(DECISION_IGNORED)),
            reason=labels.gather(rows["reason"]),
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
        pl.col("rank").fill_null(0),
        pl.coalesce("exact", "teacher_score").alias("teacher_score"),
        pl.col("reason").fill_null(int(Reason.KNOWN_POSITIVE)),
    ).sort("row", maintain_order=True)


def _wanted(config: RunConfig) -> int:
    spare = config.denoise.spare_candidates if config.denoise.enabled else 0
    return config.mine.num_negatives + spare


def _prepare(work: Work) -> MiningTask:
    config = work.config
    corpus = work.read("corpus", ["doc_id", "origin", "meta", *_rule_columns(config)])
    queries = work.read("queries", ["query_id", "query"])
    documents = partial(iterate_documents, work.source("corpus"), config.teacher.document_template)
    document_vectors = open_document_vectors(config, work.backends, documents, work.progress)
    query_vectors = open_vectors(config, work.backends, "query")
    query_places, _ = query_vectors.ensure(queries["query"], work.backends.teacher, work.progress)
    pairs = LabelledPairs(_positive_pairs(work), _doubted_pairs(work))
    closing = Closing(config.mine, config.cache_folder, work.progress)
    closure, families = closing.close(corpus, queries, documents, pairs)
    sample = document_vectors.take(_sample(len(corpus), config.mine.reference_sample, config.seed))
    demand = search_demand(config, query_vectors, query_places, config.mine.candidates + 1)
    index = work.backends.index(document_vectors, work.progress, demand)
    miner = Miner(config.mine, _wanted(config), index, len(corpus), document_vectors.take, sample)
    return MiningTask(miner, closure, families, query_vectors, query_places, queries["query_id"], corpus["doc_id"])


def _rule_columns(config: RunConfig) -> list[str]:
    """Columns that only a user's rules look at."""
    return ["language", "title"] if config.mine.rules.same_field or config.mine.rules.exclude_same else []


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
