"""Mining again after a new teacher: which queries are searched anew, and the earlier candidates of the others.

Before the search: the stage `mine` asks here when its run takes over an earlier one (`input.run`), and `mining` is
given what need not be searched. As in ANCE (Xiong et al., arXiv 2007.00808) the negatives follow the student as it
learns, but a query whose nearest documents have not moved is not paid for again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Float32, Int64, SearchIndex
from datagen.progress import Progress
from datagen.report.ledger import quantiles
from datagen.run_folder import Counts
from datagen.selection.arrays import Bool, Lists, pair_products
from datagen.selection.overlap import (
    Movement,
    Sample,
    expect_overlap,
    first_documents,
    measure_movement,
    rank_by_score,
    share_kept,
)
from datagen.selection.select import NO_CANDIDATES, Candidates, from_search, join_candidates
from datagen.settings.mine import MineConfig
from datagen.settings.sources import DENSE

log = logging.getLogger(__name__)

CHECKED_QUERIES = 256
"""Queries that would be kept whose overlap is looked up by a real search."""
_STEP = 256
"""Queries whose candidates' vectors are in memory at once."""
_NO_ROWS = pl.DataFrame(schema=dict.fromkeys(("row", "document", "rank", "round"), pl.Int64))


class EarlierLedger:
    """The documents that each query had nearest in an earlier round, on disk."""

    def __init__(self, folder: Path, query_ids: pl.Series, document_ids: pl.Series) -> None:
        """See which queries each part holds, and which was the last round of any.

        Args:
            folder: the parts of a table `candidates`.
            query_ids: of this run, in the order of its queries.
            document_ids: of this run, in the order of its documents.
        """
        self._documents = pl.DataFrame({"doc_id": document_ids}).with_row_index("document")
        self._query_ids = query_ids
        queries = pl.DataFrame({"query_id": query_ids}).with_row_index("query")
        self._parts = [(file, *_span(file, queries)) for file in sorted(folder.glob("*.parquet"))]
        self._rank, self._round = _columns(shards.scan(folder).collect_schema().names())
        self.last_round = int(shards.scan(folder).select(self._round.max()).collect().item() or 0)

    def take(self, queries: Int64) -> tuple[Candidates, Int64]:
        """What some queries had, numbered from 0 in this order, and the round of each, (n_queries,); 0 for nothing.

        The candidates are those that the run's own teacher found, in the order in which it found them; they have no
        scores here. Known positives that it did not reach are not among them.
        """
        asked = pl.DataFrame({"query_id": self._query_ids.gather(queries), "row": np.arange(len(queries))})
        holds = [(low <= queries) & (queries <= high) for _, low, high in self._parts]
        found = [self._read(file, asked) for (file, *_), some in zip(self._parts, holds, strict=True) if some.any()]
        rows = pl.concat([_NO_ROWS, *found]).sort("row", "rank")
        row, document, rank, round_ = (rows[name].to_numpy() for name in rows.columns)
        rounds = np.zeros(len(queries), np.int64)
        np.maximum.at(rounds, row, round_)
        return Candidates(row, document, rank.astype(np.int32), np.full(len(row), np.nan, np.float32)), rounds

    def _read(self, file: Path, asked: pl.DataFrame) -> pl.DataFrame:
        ledger = pl.scan_parquet(file, glob=False).select("query_id", "doc_id", rank=self._rank, round=self._round)
        found = ledger.filter(pl.col("rank") > 0).collect()
        numbered = found.join(asked, on="query_id").join(self._documents, on="doc_id")
        return numbered.select(pl.col(_NO_ROWS.columns).cast(pl.Int64))


@dataclass(frozen=True)
class Refresh:
    """What it takes to see which queries have moved, and to score the earlier candidates of the others."""

    config: MineConfig
    seed: int
    earlier: EarlierLedger
    queries: Callable[[Int64], Float32]
    """Vectors of queries by number, (n, dim)."""
    documents: Callable[[Int64], Float32]
    """Vectors of documents by number, (n, dim)."""
    n_documents: int
    positives: Lists
    """Known positives of all queries."""

    @property
    def round(self) -> int:
        """The round of what is searched now."""
        return self.earlier.last_round + 1

    def candidates(self, queries: Int64) -> Candidates:
        """The earlier candidates of some queries, numbered from 0 in this order, ranked by their new scores."""
        steps = [(begin, queries[begin : begin + _STEP]) for begin in range(0, len(queries), _STEP)]
        found = [replace(part, rows=part.rows + begin) for begin, step in steps for part in [self._scored(step)[0]]]
        together = join_candidates([*found, NO_CANDIDATES])
        return rank_by_score(together.rows, together.documents, together.scores)

    def measure(self, sample: Int64, depths: Int64, progress: Progress) -> pl.DataFrame:
        """Columns overlap, unseen and earlier_round of all queries, in their order.

        Args:
            sample: numbers of some documents, drawn at random, ascending.
            depths: how many candidates each query needs now, (n_queries,); one that had fewer has the overlap 0.
            progress: shows how far this is.
        """
        vectors = self.documents(sample)
        parts: list[pl.DataFrame] = []
        with progress.step("compare", len(depths), "queries") as advance:
            for begin in range(0, max(1, len(depths)), _STEP):
                step = np.arange(begin, min(begin + _STEP, len(depths)))
                drawn = Sample(sample, self.queries(step) @ vectors.T, self.n_documents)
                parts.append(self._measure(step, drawn, depths[step]))
                advance(len(step))
        return pl.concat(parts)

    def decide(self, measured: pl.DataFrame, index: SearchIndex) -> pl.DataFrame:
        """The same with the columns checked_overlap and searched.

        Where the queries that would be kept do not overlap enough as a whole, by what the sample lets expect or by a
        search for some of them, all are searched.
        """
        overlap = measured["overlap"].to_numpy()
        keep = overlap >= self.config.refresh_overlap
        checked = np.full(len(overlap), np.nan)
        expected = _expect(measured, keep, self.config.refresh_depth)
        if expected < self.config.refresh_overlap:
            self._say_all("are expected to overlap", expected)
            keep[:] = False
        elif keep.any():
            chosen = self._draw(np.flatnonzero(keep))
            checked[chosen] = self._check(chosen, index)
            keep &= ~(checked < self.config.refresh_overlap)
            if checked[chosen].mean() < self.config.refresh_overlap:
                self._say_all(f"overlap, by a search for {len(chosen):,} of them,", checked[chosen].mean())
                keep[:] = False
        return measured.with_columns(
            pl.Series("checked_overlap", checked, nan_to_null=True), pl.Series("searched", ~keep)
        )

    def _measure(self, queries: Int64, sample: Sample, depths: Int64) -> pl.DataFrame:
        candidates, rounds = self._scored(queries)
        moved = measure_movement(candidates, sample, self.positives.take(queries), self.config.refresh_depth)
        enough = np.bincount(candidates.rows, minlength=len(queries)) >= depths
        return pl.DataFrame({"overlap": moved.overlap * enough, "unseen": moved.unseen, "earlier_round": rounds})

    def _scored(self, queries: Int64) -> tuple[Candidates, Int64]:
        """The earlier candidates of a few queries in their earlier order, with new scores, and the rounds."""
        candidates, rounds = self.earlier.take(queries)
        documents, index = np.unique(candidates.documents, return_inverse=True)
        scores = pair_products(self.queries(queries), self.documents(documents), candidates.rows, index)
        return replace(candidates, scores=scores), rounds

    def _draw(self, kept: Int64) -> Int64:
        chance = np.random.default_rng(self.seed)
        return np.sort(chance.choice(kept, min(CHECKED_QUERIES, len(kept)), replace=False))

    def _check(self, queries: Int64, index: SearchIndex) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The true overlap of some queries."""
        depth, positives = self.config.refresh_depth, self.positives.take(queries)
        reach = min(depth + int(positives.sizes.max()), self.n_documents)
        now = from_search(*index.search(self.queries(queries), reach), np.arange(len(queries)))
        before, _ = self.earlier.take(queries)
        return share_kept(first_documents(before, positives, depth), first_documents(now, positives, depth))

    def _say_all(self, how: str, overlap: float) -> None:
        log.info(
            "all queries are searched anew: those that would be kept %s by %.3f, below mine.refresh_overlap %.3f",
            how,
            overlap,
            self.config.refresh_overlap,
        )


@dataclass(frozen=True)
class RefreshPlan:
    """What is searched anew, and what is not."""

    refresh: Refresh
    decided: pl.DataFrame
    """The table `refresh`."""

    def given(self, queries: Int64) -> Candidates:
        """The candidates of those of some queries that are kept, numbered from 0 in this order."""
        rows = np.flatnonzero(~self.decided["searched"].to_numpy()[queries])
        kept = self.refresh.candidates(queries[rows])
        return replace(kept, rows=rows[kept.rows])

    def rounds(self, queries: Int64, searched: Bool) -> Int64:
        """The round that the candidates of each of some queries come from, given which of them were searched now."""
        return np.where(searched, self.refresh.round, self.decided["earlier_round"].to_numpy()[queries])

    def count(self, ledger: Path) -> Counts:
        """How many queries were kept and searched, and the overlaps that say so.

        Args:
            ledger: the parts of `candidates` that came of it.
        """
        config, decided = self.refresh.config, self.decided
        keep = decided["overlap"].to_numpy() >= config.refresh_overlap
        checked = decided["checked_overlap"].drop_nulls()
        searched = int(decided["searched"].sum())
        counts: Counts = {
            "round": self.refresh.round,
            "queries_kept": len(decided) - searched,
            "queries_searched": searched,
            "queries_searched_deeper": self._count_new(ledger) - searched,
            "overlap": quantiles(decided.lazy(), "overlap"),
        }
        if keep.any():
            counts["expected_overlap_of_kept"] = round(_expect(decided, keep, config.refresh_depth), 4)
        if len(checked):
            counts |= {"queries_checked": len(checked), "checked_overlap": round(float(checked.to_numpy().mean()), 4)}
        return counts

    def _count_new(self, ledger: Path) -> int:
        """Queries whose candidates are of this round: those that were searched at once, and those kept for too few."""
        new = shards.scan(ledger).filter(pl.col("round") == self.refresh.round)
        return int(new.select(pl.col("query_id").n_unique()).collect().item())


def _expect(measured: pl.DataFrame, chosen: Bool, depth: int) -> float:
    return expect_overlap(Movement(measured["overlap"].to_numpy(), measured["unseen"].to_numpy()), chosen, depth)


def _columns(names: Sequence[str]) -> tuple[pl.Expr, pl.Expr]:
    """A candidate's rank for the run's own teacher, and its round, as far as a ledger has columns that say so."""
    rank: pl.Expr = pl.when(pl.col("source") == DENSE).then("rank")
    if "sources" in names:
        own = pl.col("sources").list.eval(pl.element().filter(pl.element().struct.field("source") == DENSE))
        rank = pl.coalesce(own.list.first().struct.field("rank"), rank)
    return rank, pl.col("round").fill_null(0) if "round" in names else pl.lit(0, pl.Int32)


def _span(file: Path, queries: pl.DataFrame) -> tuple[int, int]:
    """The first and last number of the queries of a part; nothing lies between those of an empty part."""
    numbers = pl.scan_parquet(file, glob=False).select("query_id").unique().collect().join(queries, on="query_id")
    low, high = numbers.select(low=pl.col("query").min(), high=pl.col("query").max()).row(0)
    return (0, -1) if low is None else (low, high)
