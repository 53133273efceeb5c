"""Denoise: a reranker checks what the margin let through, in rounds, until each query has its clean candidates.

The outcome is three-way: eligible (clearly below the positive for both scorers), ignored (in doubt), and positive
(clearly above the known positive for both; only when promotion is asked for). Candidates are asked for in the order
in which the stage `choose` takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends, Float32, Int64
from datagen.config import DenoiseConfig, RunConfig, StageName
from datagen.documents import take_documents
from datagen.mining.lineup import Lining, denoise_rule, number_queries, open_lining, order_settings
from datagen.mining.miner import candidates_wanted
from datagen.progress import Progress
from datagen.report.ledger import count_candidates
from datagen.run_folder import Counts
from datagen.scores import PairScores, Texts
from datagen.selection.arrays import Bool, Float64, index_in_row, quantile_per_row, starts_of
from datagen.selection.choice import next_round
from datagen.selection.denoise import (
    DenoiseRule,
    RerankerScale,
    lowest_limits,
    measure_scale,
    middle_scores,
    reranker_limits,
    spared_limits,
)
from datagen.selection.select import choose_top
from datagen.stages.base import Work
from datagen.storage import make_folder
from datagen.tables import DECISION_POSITIVE

_UNIT_PARTS = 16
"""Ledger parts decided together: more share the token vectors of their documents, fewer need less memory."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the scores of known positives, told in the report."""
_DOUBTED = ("margin", "near_positive")
"""Reasons of the teacher that a promotion may overrule."""


class Denoise:
    """Reads the ledger; writes it again with reranker scores and what they say against a candidate."""

    name: StageName = "denoise"
    reads = ("candidates", "corpus", "queries")
    writes = ("candidates",)

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The reranker's identity and the numbers of the decision."""
        batching = {"batch_tokens", "device", "trust_remote_code", "llm"}  # what `llm` changes is in the identity
        return {
            **config.denoise.model_dump(mode="json", exclude=batching),
            "reranker_scores": backends.reranker_identity(),
            **{f"choice_{name}": value for name, value in order_settings(config).items()},
        }

    def run(self, work: Work) -> Counts:
        """Score, decide, write; pairs scored and cached, removed, promoted."""
        desk = _open_desk(work)
        parts = sorted(work.source("candidates").glob("*.parquet"))
        units = [parts[i : i + _UNIT_PARTS] for i in range(0, len(parts), _UNIT_PARTS)]
        scale = _measure(desk, units)
        folder = work.partial / "candidates"
        make_folder(folder)
        for unit in units:
            _decide_parts(desk, scale, unit, folder)
        counts = count_candidates(folder, desk.n_queries)
        pairs = int(shards.scan(folder).select(pl.col("reranker_score").count()).collect().item())
        cached = {"pairs": pairs, "pairs_cached": max(0, pairs - desk.tally["pairs_scored"])}
        return {**counts, **desk.tally, **cached, **_describe(desk, scale)}


@dataclass(frozen=True)
class Desk:
    """What every unit of queries is decided with."""

    config: DenoiseConfig
    lining: Lining
    reserve: int
    """Clean candidates made ready for each negative wanted."""
    most: int
    """Candidates that a query has scored at most, but for those asked for promotion."""
    least: int
    """Candidates that a query keeps that has so many: what it needs, where a rate of wrong labels is promised. The
    promise holds for all of them, so that the reranker chooses among them and leaves no query short."""
    backends: Backends
    progress: Progress
    scores: PairScores
    queries: pl.DataFrame
    documents: Callable[[pl.Series], pl.DataFrame]
    """Columns doc_id and text of the documents of these ids."""
    tally: dict[str, int]
    unmarked: float | None
    """log2 of how many unmarked positives a query of the run may have; None where that is not known."""

    @property
    def n_queries(self) -> int:
        """Queries of the run."""
        return len(self.queries)

    @property
    def rule(self) -> DenoiseRule:
        """The numbers of the decision."""
        return denoise_rule(self.config, self.unmarked)

    @property
    def round_size(self) -> int:
        """Candidates scored a query and round."""
        return self.config.round_size or self.backends.reranker().round_size


class Unit:
    """Some consecutive queries with their part of the ledger, and the reranker scores known so far."""

    def __init__(self, desk: Desk, ledger: pl.DataFrame) -> None:
        """Number the rows; `ledger` is ordered by query."""
        self._desk = desk
        self.ledger = ledger
        self.rows: Int64 = number_queries(ledger)
        line = desk.lining.line_up(ledger)
        self.line = line.take(np.flatnonzero(index_in_row(line.rows) < desk.most))
        ids = ledger.select("query_id").unique(maintain_order=True)
        self.n_queries = len(ids)
        self._texts = Texts.of(ids.join(desk.queries, on="query_id", how="left", maintain_order="left")["query"])
        self.scores: Float32 = np.full(len(ledger), np.nan, np.float32)

    def score(self, chosen: Bool) -> None:
        """Fill in the scores of the chosen rows, whose texts are read for that alone."""
        if not chosen.any():
            return
        desk, ids = self._desk, self.ledger.select("doc_id").filter(pl.Series(chosen))
        documents = desk.documents(ids["doc_id"]).with_row_index("number")
        numbers = ids.join(
            documents.select("doc_id", pl.col("number").cast(pl.Int64)), on="doc_id", maintain_order="left"
        )
        pairs = self.rows[chosen], numbers["number"].to_numpy()
        texts, scorer = Texts.of(documents["text"]), desk.backends.reranker
        self.scores[chosen], new = desk.scores.ensure(self._texts, texts, pairs, scorer, desk.progress)
        desk.tally["pairs_scored"] += new

    def reason_is(self, *reasons: str) -> Bool:
        """Whether each row has one of these reasons."""
        return self.ledger["reason"].is_in(reasons).to_numpy()

    def next_round(self, limit: Float64 | None = None) -> Bool:
        """Which rows to score next, when those up to each query's limit are clean; the first round without a limit."""
        scores = self.scores[self.line.places]
        asked = next_round(self.line, self._clean(limit), np.isnan(scores), self._desk.round_size, self._desk.reserve)
        todo = np.zeros(len(self.rows), bool)
        todo[self.line.places[asked]] = True
        return todo

    def lacking(self, limit: Float64) -> Bool:
        """Whether each query has too few clean candidates, those up to its limit being clean, (n_queries,)."""
        clean = np.bincount(self.line.rows[self._clean(limit)], minlength=self.n_queries)
        return clean < sum(self.line.needs) * self._desk.reserve

    def asked(self) -> tuple[Float64, Int64]:
        """The scores of the candidates that the reranker was asked about, and where those of each query begin."""
        scores = self.scores[self.line.places].astype(np.float64)
        known = ~np.isnan(scores)
        return scores[known], starts_of(self.line.rows[known], self.n_queries)

    def _clean(self, limit: Float64 | None) -> Bool:
        limits = np.full(self.n_queries, -np.inf) if limit is None else limit
        return self.scores[self.line.places] <= limits[self.line.rows]

    def positives(self, values: Float32) -> tuple[Float64, Int64]:
        """The values of the known positives, query by query, and where each query begins."""
        known = self.reason_is("known_positive")
        return values[known].astype(np.float64), starts_of(self.rows[known], self.n_queries)


def _open_desk(work: Work) -> Desk:
    return Desk(
        work.config.denoise,
        open_lining(work.config, work.backends, work.progress, work.source),
        work.config.reserve,
        candidates_wanted(work.config),
        work.config.mine.wanted if work.config.calibration.enabled else 0,
        work.backends,
        work.progress,
        PairScores(work.config.cache_folder, work.backends.reranker_identity()),
        work.read("queries", ["query_id", "query"]),
        partial(take_documents, work.source("corpus"), work.config.teacher.document_template),
        {"pairs_scored": 0},
        work.counts_before()["mine"].get("unmarked"),
    )


def _measure(desk: Desk, units: list[list[Path]]) -> RerankerScale:
    """The reranker's scale, from the scores of known positives; each query counts once, by their median.

    The first round of candidates is scored along with them: a document's token vectors then serve both.
    """
    found: list[Float64] = []
    for parts in units:
        unit = Unit(desk, pl.concat(map(_read, parts)))
        unit.score(unit.reason_is("known_positive") | unit.next_round())
        found.append(middle_scores(*unit.positives(unit.scores)))
    middles = np.concatenate(found)
    return measure_scale(middles[~np.isnan(middles)])


def _describe(desk: Desk, scale: RerankerScale) -> Counts:
    """What the reranker's numbers are, and where those of the known positives lie on its scale."""
    n = len(scale.positives)
    quantiles = {f"{q:.0%}": round(float(scale.scores(q * n)), 4) for q in _QUANTILES}
    return {
        "margin": round(desk.rule.margin, 4),
        "reranker_scale": desk.backends.reranker().scale,
        "positive_scores": quantiles,
    }


def _decide_parts(desk: Desk, scale: RerankerScale, parts: list[Path], folder: Path) -> None:
    """Decide some ledger parts together and write each under its own name, unless that is done."""
    if all((folder / path.name).exists() for path in parts):
        return
    tables = [_read(path) for path in parts]
    decided = decide(Unit(desk, pl.concat(tables)), desk, scale)
    begin = 0
    for path, table in zip(parts, tables, strict=True):
        shards.write_part(folder / path.name, "candidates", decided.slice(begin, len(table)))
        begin += len(table)


def decide(unit: Unit, desk: Desk, scale: RerankerScale) -> pl.DataFrame:
    """The ledger of a unit with reranker scores, and what they say."""
    unit.score(unit.reason_is("known_positive"))
    below, above = reranker_limits(desk.rule, scale, *unit.positives(unit.scores))
    limit = _score_in_rounds(unit, desk, below)
    doubted = unit.reason_is("surplus") & (unit.scores > limit[unit.rows])
    promoted = _promote(unit, desk, above)
    return unit.ledger.with_columns(
        pl.Series("reranker_score", unit.scores, dtype=pl.Float32, nan_to_null=True),
        decision=pl.when(pl.Series(promoted)).then(pl.lit(DECISION_POSITIVE)).otherwise("decision"),
        reason=pl.when(pl.Series(promoted))
        .then(pl.lit("promoted"))
        .when(pl.Series(doubted))
        .then(pl.lit("reranker"))
        .otherwise("reason"),
    )


def _score_in_rounds(unit: Unit, desk: Desk, below: Float64) -> Float64:
    """Score until each query has enough clean candidates or has asked for enough; the highest score of a clean one.

    A positive that the reranker puts below nearly all candidates does not tell where relevance ends: of a query that
    is left with too few, some that score lowest stay.
    """
    while (todo := unit.next_round(below)).any():
        unit.score(todo)
    spared = spared_limits(*unit.asked(), desk.config.max_overruled)
    if desk.least:
        spared = np.fmax(spared, lowest_limits(*unit.asked(), desk.least))
    return np.where(unit.lacking(below), np.fmax(below, spared), below)


def _promote(unit: Unit, desk: Desk, above: Float64) -> Bool:
    """Candidates that both scorers put clearly above the known positive."""
    teacher = unit.ledger["teacher_score"].to_numpy()
    middle = quantile_per_row(*unit.positives(teacher), 0.5)
    better = unit.reason_is(*_DOUBTED) & (teacher >= middle[unit.rows])
    asked = choose_top(unit.rows, better, desk.config.promote_depth, unit.n_queries)
    unit.score(asked)
    return asked & (unit.scores >= above[unit.rows])


def _read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False)
