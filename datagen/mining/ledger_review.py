"""The ledger of a run as arrays, to be decided again under other settings: between the run folder and `tuning`.

No model is loaded and nothing is searched: what the run found and scored is judged and chosen anew by the functions
that the stages use.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from datagen import shards
from datagen.config import RunConfig, build_config
from datagen.errors import InputError, RunFolderError
from datagen.mining.lineup import choice_rule, denoise_rule, number_queries, pair_keys
from datagen.mining.miner import candidates_wanted, doubt_rule, first_depths, last_depth, margin_rule
from datagen.run_folder import RunFolder
from datagen.selection.arrays import Bool, Float32, Float64, Int64, UInt64, index_in_row, quantile_per_row, starts_of
from datagen.selection.choice import Eligible, choose_first, line_up
from datagen.selection.denoise import DenoiseRule, measure_scale, middle_scores, reranker_limits
from datagen.selection.hubs import choose_within, claims
from datagen.selection.margins import PositiveScores, score_limits
from datagen.selection.redecide import (
    Ledger,
    SearchRule,
    let_through,
    let_through_doubted,
    made_ready,
    serve_short,
    within_search,
)
from datagen.settings.sources import DENSE

log = logging.getLogger(__name__)

_PAIR = ["query_id", "doc_id"]
_COLUMNS = [*_PAIR, "rank", "teacher_score", "reranker_score", "p_false_negative", "reason", "sources"]
_CLEAN, _DOUBTED, _NEAR = ("surplus", "selected"), "reranker", "near_positive"
_REOPENED = (*_CLEAN, _DOUBTED, _NEAR, "margin")


class Marks(NamedTuple):
    """What labels say of the candidates."""

    relevant: Bool
    """Whether each is labelled relevant, (n,)."""
    judged: Bool
    """Whether the query of each has a relevant document that the run does not know, (n,)."""


class Decision(NamedTuple):
    """What some settings make of a ledger."""

    chosen: Int64
    """Places of the negatives."""
    eligible: Bool
    """Candidates that closure and margin let through, as far as these settings search, (n,)."""
    deeper: Bool
    """Queries that lack eligible candidates and that the search would follow deeper than the run did, (n_rows,)."""


@dataclass(frozen=True)
class Review:
    """The ledger of a run as arrays, read once for all rows of a grid."""

    path: Path
    config: RunConfig
    pairs: pl.DataFrame
    """query_id, doc_id, rank and reason of each candidate."""
    ledger: Ledger
    positives: PositiveScores
    n_queries: int
    n_documents: int
    reranked: bool
    doubted: Bool
    """Whether the reranker sets each candidate aside, (n,)."""
    scored: Bool
    """Whether the reranker has seen each, (n,)."""
    given: Int64
    """Documents that a refresh took from an earlier run instead of searching, (n_rows,)."""

    @cached_property
    def anchors(self) -> Float64:
        """Median teacher score of the positives of each query."""
        return quantile_per_row(self.positives.scores, self.positives.starts, 0.5)

    @cached_property
    def keys(self) -> UInt64:
        """A random number for each candidate."""
        return pair_keys(self.pairs, self.config.seed)

    @cached_property
    def documents(self) -> Int64:
        """A number for the document of each candidate."""
        return self.pairs["doc_id"].rank("dense").cast(pl.Int64).to_numpy() - 1

    def mark(self, labels: pl.DataFrame) -> Marks:
        """What labels say of the candidates.

        Raises:
            InputError: they name no query of the run.
        """
        known = self.pairs.filter(pl.col("reason") == "known_positive")
        relevant = labels.filter(pl.col("relevance") > 0).select(_PAIR).unique()
        if relevant.join(self.pairs, on="query_id", how="semi").is_empty():
            raise InputError(
                f"the labels hold no relevant document for a query of {self.path}: give the query ids of its `queries`"
            )
        hidden = relevant.join(known, on=_PAIR, how="anti")
        found = self.pairs.select(_PAIR).join(
            hidden.with_columns(relevant=pl.lit(value=True)), on=_PAIR, how="left", maintain_order="left"
        )
        if hidden.is_empty():
            log.warning("the labels name no relevant document that %s does not know: leak is not known", self.path)
        judged = self.pairs["query_id"].is_in(hidden["query_id"].unique().implode())
        return Marks(found["relevant"].fill_null(value=False).to_numpy(), judged.to_numpy())

    def decide(self, config: RunConfig) -> Decision:
        """The negatives under these settings; diversity and hubness, which look at vectors, are left out."""
        eligible, deeper = self._eligible(config)
        places = np.flatnonzero(eligible)
        rows, scores = self.ledger.rows[places], self.ledger.scores[places]
        drawn = config.mine.choice.method != "top"
        keys = self.keys[places] if drawn else np.empty(0, np.uint64)
        line = line_up(choice_rule(config.mine), Eligible(rows, self.ledger.n_rows, scores, self.anchors, keys))
        if self.reranked:
            line = line.take(np.flatnonzero(index_in_row(line.rows) < candidates_wanted(config)))
            seen = places[line.places]
            ready = made_ready(line, self.doubted[seen], self.scored[seen], config.reserve)
            line = line.take(np.flatnonzero(ready))
        at, cap = places[line.places], config.mine.choice.hub_cap
        taken = choose_within(line, self.documents[at], claims(line, self.keys[at]), cap) if cap else choose_first(line)
        return Decision(at[taken], eligible, deeper)

    def _eligible(self, config: RunConfig) -> tuple[Bool, Bool]:
        """The candidates that closure and margin let through, and the queries that would be searched deeper."""
        if config.mine.margin_policy == "adaptive":
            self._check_doubts()
            rule = doubt_rule(config.mine)
            eligible, deeper = within_search(self.ledger, let_through_doubted(self.ledger, rule), self._search(config))
            return serve_short(self.ledger, eligible, deeper, rule), deeper
        limits = score_limits(margin_rule(config.mine), self.positives)
        passed = let_through(self.ledger, limits, near_too=config.mine.margin_policy != "spread")
        return within_search(self.ledger, passed, self._search(config))

    def _check_doubts(self) -> None:
        if np.isnan(self.ledger.doubts).all() and self.ledger.open.any() and len(self.positives.scores):
            raise RunFolderError(
                f"the ledger of {self.path} is from before datagen kept p_false_negative, which the policy adaptive "
                "looks at: mine again into a new --out; vectors and scores come from the cache"
            )

    def _search(self, config: RunConfig) -> SearchRule:
        first = first_depths(config.mine, np.diff(self.positives.starts), self.n_documents)
        return SearchRule(
            np.maximum(first, self.given), last_depth(config.mine, self.n_documents), candidates_wanted(config)
        )


def open_review(run: Path) -> Review:
    """The ledger of a run, to be decided anew.

    Raises:
        RunFolderError: the folder holds no ledger, or one without margins.
    """
    summary = RunFolder(run).read_summary()
    if not (run / "candidates").exists():
        raise RunFolderError(
            f"{run} holds no ledger (candidates/): mine first, with datagen mine-negatives --run {run}"
        )
    if not (run / "margins").exists():
        raise RunFolderError(
            f"the ledger of {run} is from before datagen kept what each margin was measured with (margins/): mine "
            "again into a new --out; vectors and scores come from the cache"
        )
    config = read_settings(run)
    candidates = shards.read(run / "candidates", _COLUMNS)
    rows = number_queries(candidates)
    positives = _positives(candidates, rows, shards.read(run / "margins"))
    scores = candidates["reranker_score"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    ledger = _ledger(candidates, rows)
    rule = denoise_rule(config.denoise, summary["stages"]["mine"]["counts"].get("unmarked"))
    return Review(
        run,
        config,
        candidates.select(*_PAIR, "rank", "reason"),
        ledger,
        positives,
        shards.count_rows(run / "margins"),
        shards.count_rows(run / "corpus"),
        "denoise" in summary["stages"],
        _doubted(rule, candidates["reason"], rows, scores),
        ~np.isnan(scores),
        _given(run, candidates["query_id"], ledger),
    )


def read_settings(run: Path) -> RunConfig:
    """The settings of a run; where a rate was promised, with the cut that was found for it in its place.

    Raises:
        RunFolderError: the folder holds none.
    """
    values = {**RunFolder(run).read_summary()["settings"], "out": run}
    cut = read_cut(run)
    found = {} if cut is None else {"mine": {**values["mine"], "margin": cut}, "calibration": {}}
    return build_config({**values, **found})


def read_cut(run: Path) -> float | None:
    """The cut that the stage `calibrate` of a run found; None where nothing was promised.

    Raises:
        RunFolderError: the folder is not that of a run.
    """
    record = RunFolder(run).read_summary()["stages"].get("calibrate")
    return None if record is None else float(record["counts"]["cut"])


def _ledger(candidates: pl.DataFrame, rows: Int64) -> Ledger:
    reasons = candidates["reason"]
    ranks, elsewhere = _own_ranks(candidates)
    return Ledger(
        rows,
        int(rows.max(initial=-1)) + 1,
        candidates["teacher_score"].to_numpy(),
        ranks,
        elsewhere,
        reasons.is_in(_REOPENED).to_numpy(),
        reasons.eq(_NEAR).to_numpy(),
        candidates["p_false_negative"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
    )


def _given(run: Path, query_ids: pl.Series, ledger: Ledger) -> Int64:
    """How many documents of each query a refresh kept from an earlier run; 0 where it searched."""
    given = np.zeros(ledger.n_rows, np.int64)
    if (run / "refresh").exists():
        earlier = shards.read(run / "refresh", ["query_id", "earlier_round"])
        rounds = shards.read(run / "candidates", ["round"]).with_columns(query_ids)
        joined = rounds.join(earlier, on="query_id", how="left", maintain_order="left")
        kept = joined.select(pl.col("round").eq(pl.col("earlier_round")).fill_null(value=False)).to_series().to_numpy()
        np.maximum.at(given, ledger.rows[kept], ledger.ranks[kept])
    return given


def _own_ranks(candidates: pl.DataFrame) -> tuple[Int64, Bool]:
    """The rank of each candidate for the run's own teacher, 0 where it has none, and whether others found it."""
    ranks = candidates["rank"].cast(pl.Int64).to_numpy().copy()
    elsewhere = candidates["sources"].is_not_null().to_numpy().copy()
    several = candidates.select("sources").with_row_index("place").filter(pl.col("sources").is_not_null())
    if len(several):
        found = several.explode("sources").unnest("sources")
        own, others = found.filter(pl.col("source") == DENSE), found.filter(pl.col("source") != DENSE)
        ranks[several["place"].to_numpy()] = 0
        ranks[own["place"].to_numpy()] = own["rank"].to_numpy()
        elsewhere[:] = False
        elsewhere[others["place"].to_numpy()] = True
    return ranks, elsewhere


def _positives(candidates: pl.DataFrame, rows: Int64, margins: pl.DataFrame) -> PositiveScores:
    """What the margin of each query of the ledger looked at."""
    known = candidates["reason"].eq("known_positive").to_numpy()
    ids = candidates.select("query_id").unique(maintain_order=True)
    measured = ids.join(margins, on="query_id", how="left", maintain_order="left")
    return PositiveScores(
        candidates["teacher_score"].to_numpy()[known].astype(np.float64),
        starts_of(rows[known], len(ids)),
        measured["floor"].cast(pl.Float64).fill_null(-np.inf).to_numpy(),
        measured["spread"].cast(pl.Float64).to_numpy(),
    )


def _doubted(rule: DenoiseRule, reasons: pl.Series, rows: Int64, scores: Float32) -> Bool:
    """Whether the reranker sets each candidate aside, also those that another margin would have let through.

    The verdicts of the run stay. The highest score that it took for clean is the limit of its query, or where that is
    higher, what the stage `denoise` takes as such from the scores of the positives.
    """
    doubted = reasons.eq(_DOUBTED).to_numpy()
    known = reasons.eq("known_positive").to_numpy() & ~np.isnan(scores)
    if not known.any():
        return doubted
    n_rows = int(rows[-1]) + 1
    positives = scores[known].astype(np.float64), starts_of(rows[known], n_rows)
    middles = middle_scores(*positives)
    scale = measure_scale(middles[~np.isnan(middles)])
    limit, _ = reranker_limits(rule, scale, *positives)
    clean = reasons.is_in(_CLEAN).to_numpy() & ~np.isnan(scores)
    np.maximum.at(limit, rows[clean], scores[clean].astype(np.float64))
    return doubted | (scores > limit[rows])
