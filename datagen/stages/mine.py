"""Mine: the nearest documents of each query, and what is against each of them as a negative.

Queries are searched in batches, because each search may read the whole corpus; a batch is judged and written in
blocks, each one part of the ledger, so that a run that was killed goes on with the next batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from datagen import shards
from datagen.backends.protocols import Backends, Int64, Telling
from datagen.config import RunConfig, StageName
from datagen.mining.intruders import search_intruders, tell_intruders
from datagen.mining.miner import Found, candidates_wanted, measure_recall
from datagen.mining.near_queries import QueryFamilies
from datagen.mining.opening import OpenMining, mining_settings, open_mining
from datagen.mining.refresh import EarlierLedger, Refresh, RefreshPlan
from datagen.report.ledger import count_candidates
from datagen.run_folder import Counts
from datagen.selection.closure import Closure
from datagen.selection.doubt import parse_doubt_model
from datagen.selection.intruders import NO_INTRUDERS, Intruders
from datagen.selection.select import NO_CANDIDATES, Reason
from datagen.settings.mine import MineConfig
from datagen.settings.sources import DENSE
from datagen.stages.base import Work
from datagen.storage import make_folder
from datagen.tables import DECISION_IGNORED, EARLIER_CANDIDATES

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
        searching = mining_settings(config.mine, ("choice", "num_negatives", *unused))
        return {**searching, "seed": config.seed, "wanted": candidates_wanted(config)}

    def run(self, work: Work) -> Counts:
        """Search and judge, batch by batch; candidates per reason, queries without an eligible one."""
        folder = work.partial / "candidates"
        for table in self.writes:
            make_folder(work.partial / table)
        task = _prepare(work)
        with work.progress.step("mine", task.n_queries, "queries") as advance:
            for batch in _batches(task.n_queries, work.config.mine.query_block, task.opened.at_once):
                missing = [block for block in batch if not (folder / block.name).exists()]
                if missing:
                    _write(task, missing, work.partial)
                advance(sum(len(block.queries) for block in batch))
        counts = count_candidates(folder, task.n_queries)
        near_queries = {"texts": task.families.joined, "largest": task.families.largest}
        again = task.refresh.count(folder) if task.refresh else {}
        index = task.opened.miner.index
        facts = {"index": dict(index.facts)} if isinstance(index, Telling) else {}
        told = tell_intruders(task.intruders, task.opened.document_ids)
        bound = task.opened.miner.unmarked
        unmarked = {} if np.isnan(bound) else {"unmarked": round(bound, 3)}
        recall = _recall(task, work.config.mine)
        return {**counts, **again, **recall, **facts, **unmarked, "near_queries": near_queries, **told}


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
    found = task.opened.mine(queries, closure, given)
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

    opened: OpenMining
    closure: Closure
    families: QueryFamilies
    refresh: RefreshPlan | None = None
    """What is searched anew, where an earlier run is mined again."""
    intruders: Intruders = NO_INTRUDERS
    """Documents near to improbably many queries."""

    @property
    def n_queries(self) -> int:
        """Queries to mine for."""
        return self.opened.n_queries

    def margins(self, found: Found, queries: Int64) -> pl.DataFrame:
        """What the margin of each query was measured with."""
        floor, limit = (np.where(np.isfinite(x), x, np.nan) for x in (found.positives.floor, found.limits))
        numbers = {"spread": found.positives.spread, "floor": floor, "limit": limit}
        return pl.DataFrame({"query_id": self.opened.query_ids.gather(queries), **numbers}, nan_to_null=True)

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
                "p_false_negative": pl.Series(found.doubts, nan_to_null=True),
                **self.opened.sources.columns(found.union, self.opened.miner.config.candidates),
            }
        )
        rounds = self.refresh.rounds(queries, found.searched) if self.refresh else np.zeros(len(queries), np.int64)
        return self._named(_with_positives(rows, closure, found), queries, pl.Series(rounds))

    def _named(self, rows: pl.DataFrame, queries: Int64, rounds: pl.Series) -> pl.DataFrame:
        labels = pl.Series([reason.label for reason in Reason])
        return rows.select(
            cs.by_name(*_FOUND_BY, require_all=False),
            query_id=self.opened.query_ids.gather(queries[rows["row"].to_numpy()]),
            doc_id=self.opened.document_ids.gather(rows["document"]),
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
    documents = task.opened.document_vectors
    if config.dims is None or config.dims >= documents.dim:
        return {}
    queries = task.opened.vectors(np.arange(min(_RECALL_QUERIES, task.n_queries)))
    depth = min(config.candidates, len(documents))
    return {"dims": config.dims, "recall": round(measure_recall(task.opened.miner.index, documents, queries, depth), 4)}


def _prepare(work: Work) -> MiningTask:
    opened = _calibrated(work, open_mining(work))
    task = MiningTask(opened, opened.closure, opened.families)
    task = _without_intruders(task, work.config) if work.config.mine.adversarial else task
    return replace(task, refresh=_plan_refresh(work, task)) if work.config.input.run is not None else task


def _without_intruders(task: MiningTask, config: RunConfig) -> MiningTask:
    """The task with the documents shut out that are near to improbably many queries."""
    opened, size = task.opened, (len(task.opened.document_ids), config.seed)
    positives = task.closure.positives.values
    found = search_intruders(opened.miner.index, opened.vectors, task.families.family, positives, size)
    return replace(task, intruders=found, closure=replace(task.closure, intruders=found.documents))


def _calibrated(work: Work, opened: OpenMining) -> OpenMining:
    """The same with the model and the cut of the stage `calibrate`, where it ran."""
    told = work.counts_before().get("calibrate")
    if told is None:
        return opened
    rule = replace(opened.miner.doubt_rule, cut=told["cut"])
    return replace(opened, miner=replace(opened.miner, model=parse_doubt_model(told["model"]), rule=rule))


def _plan_refresh(work: Work, task: MiningTask) -> RefreshPlan:
    """What is searched anew; decided once, so that a run that was killed goes on with the same."""
    config, opened, miner = work.config, task.opened, task.opened.miner
    ledger = EarlierLedger(work.source(EARLIER_CANDIDATES), opened.query_ids, opened.document_ids)
    vectors, positives = opened.vectors, task.closure.positives
    refresh = Refresh(config.mine, config.seed, ledger, vectors, miner.document_vectors, miner.n_documents, positives)
    folder = work.partial / "refresh"
    if not (folder / shards.part_name(0)).exists():
        measured = refresh.measure(opened.sample, miner.first_depths(positives), work.progress)
        decided = refresh.decide(measured, miner.index).with_columns(query_id=opened.query_ids)
        shards.write_part(folder / shards.part_name(0), "refresh", decided)
    return RefreshPlan(refresh, shards.read(folder))
