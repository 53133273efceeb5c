"""Calibrate: which chance of being a false negative keeps the promised rate of wrong labels, from judged queries.

Runs where something is promised; `mine` then decides with the model and the cut that are found here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from datagen.backends.protocols import Backends
from datagen.config import RunConfig, StageName
from datagen.errors import BackendMissingError, InputError
from datagen.mining.closing import number_pairs
from datagen.mining.judgements import LABELS, RERANKER, Judgements, judge_by_positives, number_labels
from datagen.mining.lineup import choice_rule
from datagen.mining.opening import (
    OpenMining,
    close_replays,
    labels_fingerprint,
    mining_settings,
    open_mining,
    positive_pairs,
    read_labels,
)
from datagen.mining.replays import Replays, plan_replays, sample_replays
from datagen.run_folder import Counts
from datagen.selection.closure import Pairs
from datagen.selection.doubt import FEATURES
from datagen.stages.base import Work


class Calibrate:
    """Reads corpus, queries, pairs and labels; writes what the replays of judged queries gave."""

    name: StageName = "calibrate"
    reads = ("corpus", "queries", "pairs", "dropped")
    writes = ("calibration",)

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The promise, what the labels hold, and all that mining is done with."""
        promise = config.calibration.model_dump(mode="json", exclude={"labels"})
        asked = {"reranker_scores": backends.reranker_identity()} if _may_ask(config) else {}
        return {**promise, "labels": labels_fingerprint(config), "mine": mining_settings(config.mine), **asked}

    def run(self, work: Work) -> Counts:
        """Replay, fit and choose; the cut, what it promises and by which evidence, and the curve it was chosen from.

        Raises:
            InputError: nothing is judged.
            BackendMissingError: scipy is not installed.
        """
        try:
            from datagen.mining.calibrating import Chooser, calibrate, trace
            from datagen.mining.witness import ask_reranker, open_scorer
        except ImportError as exc:
            raise BackendMissingError("--max-false-negatives", extra="calibrate") from exc
        opened, config = open_mining(work), work.config
        known = number_pairs(positive_pairs(work), opened.query_ids, opened.document_ids)
        replays = _plan(work, opened, known)
        promise = config.calibration.max_false_negatives or 0.0
        traced = trace(opened, replays, close_replays(work, replays, opened.families), promise, work.progress)
        chooser = Chooser(choice_rule(config.mine), config.seed, config.mine.margin_ceiling)
        if replays.source == RERANKER:
            place, scorer = config.calibration.reranker_place, open_scorer(work, opened)
            traced = ask_reranker(traced, opened.miner.model, chooser, place, scorer)
        judged = len(np.unique(replays.queries)) if replays.source == LABELS else 0  # the run knows what labels tell
        found = calibrate(traced, opened.miner.model, chooser, config.calibration, max(1, opened.n_queries - judged))
        candidates = traced.take(found.places)
        label = pl.Series(candidates.wrong(), dtype=pl.Boolean)
        rows = {
            "query_id": opened.query_ids.gather(replays.queries[candidates.rows]),
            "replay": candidates.rows,
            "doc_id": opened.document_ids.gather(candidates.documents),
            "label": label.set(pl.Series(~candidates.judged()), None),
            "p_false_negative": found.chances,
            "rank": candidates.ranks,
            "gap": candidates.features[:, FEATURES.index("gap")],
        }
        work.write("calibration", [pl.DataFrame(rows)])
        later = {"reranked": 1, "low": 0.0} if config.denoise.enabled else {"reranked": 0}  # it only takes away
        seen = _tell_witness(traced.replays, found.counts, config)
        return {**found.counts, **later, **seen, "model": found.model.to_json()}


def _may_ask(config: RunConfig) -> bool:
    """Whether the reranker may be the evidence."""
    promise = config.calibration
    return config.denoise.enabled and promise.labels is None and promise.evidence != "judged"


def _plan(work: Work, opened: OpenMining, known: Pairs) -> Replays:
    """Replays of what is judged, or where nothing is, of what the reranker is asked about."""
    config, promise, size = work.config, work.config.calibration, (opened.n_queries, work.config.seed)
    if promise.evidence != "reranker":
        replays = plan_replays(_judgements(work, opened, known), known, *size, promise.draws, promise.max_replays)
        if len(replays):
            return replays
    if not _may_ask(config) or not len(known[0]):
        raise _nothing_judged(config)
    return sample_replays(known, *size, promise.reranker_queries)


def _tell_witness(replays: Replays, counts: Counts, config: RunConfig) -> Counts:
    """Who the reranker is that stands in for judgements, and what it is known to see; nothing where it does not.

    Whether it sees the promised rate is told as `seen`: what it sees certifies nothing.
    """
    if replays.source != RERANKER:
        return {}
    who = {"reranker": config.denoise.reranker, "own_model": int(config.denoise.is_own_model)}
    return {
        **who,
        "certified": 0,
        "seen": counts["certified"],
        "place": config.calibration.reranker_place,
        "positives_found": round(replays.found, 4),
    }


def _judgements(work: Work, opened: OpenMining, known: Pairs) -> Judgements:
    labels = read_labels(work)
    if labels is None:
        return judge_by_positives(known)
    return number_labels(labels, work.config.calibration.labels_complete, opened.query_ids, opened.document_ids)


def _nothing_judged(config: RunConfig) -> InputError:
    what = "no query has two known positives" if config.calibration.labels is None else "no label fits the run"
    return InputError(
        f"--max-false-negatives {config.calibration.max_false_negatives} cannot be kept without judgements, and {what}"
        ": give --labels FILE with query id, document id and 0 or 1 for some dozen queries drawn at random, or as a "
        "fallback, which measures nothing, let a --reranker tell (calibration.evidence auto)"
    )
