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
from datagen.mining.judgements import Judgements, judge_by_positives, number_labels
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
from datagen.mining.replays import plan_replays
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
        return {**promise, "labels": labels_fingerprint(config), "mine": mining_settings(config.mine)}

    def run(self, work: Work) -> Counts:
        """Replay, fit and choose; the cut, what it promises and by which evidence, and the curve it was chosen from.

        Raises:
            InputError: nothing is judged.
            BackendMissingError: scipy is not installed.
        """
        try:
            from datagen.mining.calibrating import Chooser, calibrate, trace
        except ImportError as exc:
            raise BackendMissingError("--max-false-negatives", extra="calibrate") from exc
        opened, config = open_mining(work), work.config
        known = number_pairs(positive_pairs(work), opened.query_ids, opened.document_ids)
        judged = _judgements(work, opened, known)
        limits = config.calibration.draws, config.calibration.max_replays
        replays = plan_replays(judged, known, opened.n_queries, config.seed, *limits)
        if not len(replays):
            raise _nothing_judged(config)
        promise = config.calibration.max_false_negatives or 0.0
        traced = trace(opened, replays, close_replays(work, replays, opened.families), promise, work.progress)
        others = opened.n_queries - len(np.unique(replays.queries))
        chooser = Chooser(choice_rule(config.mine), config.seed, config.mine.margin_ceiling)
        found = calibrate(traced, opened.miner.model, chooser, config.calibration, max(1, others))
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
        return {**found.counts, **later, "model": found.model.to_json()}


def _judgements(work: Work, opened: OpenMining, known: Pairs) -> Judgements:
    labels = read_labels(work)
    if labels is None:
        return judge_by_positives(known)
    return number_labels(labels, work.config.calibration.labels_complete, opened.query_ids, opened.document_ids)


def _nothing_judged(config: RunConfig) -> InputError:
    what = "no query has two known positives" if config.calibration.labels is None else "no label fits the run"
    return InputError(
        f"--max-false-negatives {config.calibration.max_false_negatives} cannot be kept without judgements, and {what}"
        ": give --labels FILE with query id, document id and 0 or 1 for some dozen queries drawn at random"
    )
