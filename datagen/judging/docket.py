"""The docket: which candidates of a ledger a judge is asked about, in which order, as far as the budget goes.

Between the tables of a run and the arrays of `selection.questions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from datagen import shards
from datagen.mining.lineup import ELIGIBLE, Lining, number_queries, pair_keys
from datagen.selection.arrays import Bool, Float64, Int64, UInt64
from datagen.selection.choice import choose_first
from datagen.selection.questions import (
    Askable,
    best_of_each,
    count_affordable,
    joint_distances,
    ledger_distances,
    logit_distances,
    rank_questions,
    score_distances,
)
from datagen.settings.judge import JudgeConfig

DOUBTED = ("margin", "near_positive", "reranker")
"""Reasons of a scorer, which a judge may overrule."""

_OF_QUERY, _IN_ALL = (2, 16), 2_000_000
"""Candidates among which the questions of a query are chosen, on either side of the cut, fewest and most; and in all,
so that what is held in memory stays below some 200 MB."""
_READY = 2
"""How many times the negatives wanted are looked at: who stands next in line matters where a judge removes one."""
_CHOSEN, _NEXT = 1.0, 0.5
"""The stake of a candidate that would be chosen, and of one that comes next or was set aside near the cut."""
_COLUMNS = ["query_id", "doc_id", "teacher_score", "reranker_score", "p_false_negative", "reason"]

_MASK = 0xFFFF_FFFF


@dataclass(frozen=True)
class Docket:
    """Draws the questions of a run."""

    config: JudgeConfig
    n_judges: int
    lining: Lining
    reranked: bool
    """Whether only candidates with a reranker score would be chosen."""
    margins: pl.DataFrame
    """query_id, spread and limit."""
    generated: pl.DataFrame
    """query_id of the queries whose positives may be replaced; none where that is not asked for."""
    folder: Path
    """The parts of the ledger."""

    def draw(self) -> pl.DataFrame:
        """The candidates that are asked about, in the order of their questions, which a smaller budget begins alike.

        Returns:
            question (a number), both (whether two judges answer), query_id, doc_id, chosen (whether it would become a
            negative), distance (from the cut, in spreads).
        """
        parts = [self._part(path) for path in sorted(self.folder.glob("*.parquet"))]
        askable = _join(parts)
        ranked = rank_questions(askable, self.config.list_size if self.config.mode == "list" else 1)
        first = ranked.places[np.unique(ranked.questions, return_index=True)[1]]
        both = self._answered_by_both(askable.keys[first])
        kept = ranked.questions < count_affordable(1 + both.astype(np.int64), self.config.budget)
        places, questions = ranked.places[kept], ranked.questions[kept]
        numbers = {"question": questions, "both": both[questions], "distance": askable.distances[places]}
        chosen = pl.Series("chosen", askable.stakes[places] == _CHOSEN)
        return _ids(parts, places).with_columns(chosen, **{name: pl.Series(x) for name, x in numbers.items()})

    def _part(self, path: Path) -> _Part:
        ledger = pl.read_parquet(path, columns=_COLUMNS, glob=False)
        stakes, rows = self._stakes(ledger), number_queries(ledger)
        places = np.flatnonzero(stakes)
        keys = pair_keys(ledger[places], self.lining.seed)
        askable = Askable(rows[places], self._distances(ledger)[places], stakes[places], keys)
        best = best_of_each(askable, self._most)
        return _Part(path, askable.take(best), places[best], _count_rows(rows))

    @property
    def _most(self) -> int:
        """Candidates of a query, on either side of the cut, among which its questions are chosen."""
        fewest, most = _OF_QUERY
        return max(fewest, min(most, _IN_ALL // max(1, len(self.margins))))

    def _stakes(self, ledger: pl.DataFrame) -> Float64:
        """How much of a decision hangs on each candidate."""
        line = self.lining.line_up(ledger)
        allowed = ledger["reason"].eq("surplus")
        if self.reranked:
            allowed &= ledger["reranker_score"].is_not_null()
        line = line.take(np.flatnonzero(allowed.to_numpy()[line.places]))
        seeds = ledger["reason"].eq("known_positive") & ledger["query_id"].is_in(self.generated["query_id"].implode())
        stakes = np.where((ledger["reason"].is_in(DOUBTED) | seeds).to_numpy(), _NEXT, 0.0)
        for times, stake in ((_READY, _NEXT), (1, _CHOSEN)):
            stakes[line.places[choose_first(line, times)]] = stake
        return stakes

    def _distances(self, ledger: pl.DataFrame) -> Float64:
        """How far each candidate lies above the cuts of margin and reranker.

        That of the margin is one of P(false negative) where the run decided by it.
        """
        measured = ledger.select("query_id").join(self.margins, on="query_id", how="left", maintain_order="left")
        limits, spreads = (_numbers(measured[name]) for name in ("limit", "spread"))
        distances = score_distances(_numbers(ledger["teacher_score"]), limits, spreads)
        if self._cut is not None:
            by_probability = logit_distances(_numbers(ledger["p_false_negative"]), self._cut)
            distances = np.where(np.isnan(by_probability), distances, by_probability)
        rows, doubted = number_queries(ledger), ledger["reason"].is_in(DOUBTED).to_numpy()
        candidate = (ledger["reason"] != "known_positive").to_numpy()
        scores = np.where(candidate, _numbers(ledger["reranker_score"]), np.nan)
        by_reranker = ledger["reason"].eq("reranker").to_numpy()
        second = ledger_distances(scores, rows, by_reranker, _count_rows(rows))
        side = joint_distances(doubted, distances, second)
        return np.where(candidate, side, np.nan_to_num(distances))

    @cached_property
    def _cut(self) -> float | None:
        """The P(false negative) above which the ledger sets candidates aside; None where it decided nothing."""
        p, reason = pl.col("p_false_negative"), pl.col("reason")
        through, out = p.filter(reason.is_in(ELIGIBLE)).max(), p.filter(reason == "margin").min()
        highest, lowest = shards.scan(self.folder).select(through, out.alias("out")).collect().row(0)
        if highest is None or lowest is None or highest > lowest:
            return None
        return float(highest + lowest) / 2

    def _answered_by_both(self, keys: UInt64) -> Bool:
        """Whether the second judge gets each question, too: drawn by the key of its first candidate."""
        share = self.config.shared if self.n_judges > 1 else 0.0
        return (keys & np.uint64(_MASK)).astype(np.float64) < share * (_MASK + 1)


@dataclass(frozen=True)
class _Part:
    """The candidates of one part of the ledger that may be asked about."""

    path: Path
    askable: Askable
    places: Int64
    """Rows of the part."""
    n_rows: int
    """Queries of the part."""


def _join(parts: Sequence[_Part]) -> Askable:
    """The candidates of all parts, the queries numbered on."""
    shifts = np.cumsum([0, *(part.n_rows for part in parts)])
    rows = [part.askable.rows + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    distances, stakes, keys = (
        np.concatenate([getattr(part.askable, name) for part in parts]) for name in ("distances", "stakes", "keys")
    )
    return Askable(np.concatenate(rows), distances, stakes, keys)


def _ids(parts: Sequence[_Part], wanted: Int64) -> pl.DataFrame:
    """query_id and doc_id of these candidates, numbered over all parts, in their order."""
    ends = np.cumsum([len(part.places) for part in parts])
    of_part = np.searchsorted(ends, wanted, side="right")
    found, orders = [pl.DataFrame(schema={"query_id": pl.String, "doc_id": pl.String})], [np.empty(0, np.int64)]
    for number in np.unique(of_part):
        part, orders = parts[number], [*orders, np.flatnonzero(of_part == number)]
        ids = pl.read_parquet(part.path, columns=["query_id", "doc_id"], glob=False)
        found.append(ids[part.places[wanted[orders[-1]] - ends[number] + len(part.places)]])
    return pl.concat(found)[np.argsort(np.concatenate(orders))]


def _count_rows(rows: Int64) -> int:
    return int(rows[-1]) + 1 if len(rows) else 0


def _numbers(values: pl.Series) -> Float64:
    """A column as float64 with NaN for nulls."""
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()
