"""What the reranker takes for relevant, and how much of what is wrong it is reckoned to see."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.backends.protocols import Float32
from datagen.mining.calibrating import Chooser, Traced, calibrate
from datagen.mining.replays import sample_replays
from datagen.mining.witness import ask_reranker
from datagen.selection.arrays import Int64
from datagen.selection.choice import ChoiceRule
from datagen.selection.doubt import FEATURES, DoubtModel
from datagen.settings.calibration import CalibrationConfig

N, PER = 60, 8
CHOOSER = Chooser(ChoiceRule("top", (4,)), 0, 0.2)
MODEL = DoubtModel(("gap",), np.zeros(1), np.ones(1), -np.ones(1), -1.0)
"""Of each query's candidates, gaps from 0 up, the further is the less doubtful."""


def _traced() -> Traced:
    """Queries with one positive each, number 1000 + query, and candidates numbered from 0."""
    replays = sample_replays((np.arange(N), 1000 + np.arange(N)), N, 0, N)
    rows, ranks = np.repeat(np.arange(N), PER), np.tile(np.arange(PER), N)
    features = np.zeros((N * PER, len(FEATURES)), np.float32)
    features[:, FEATURES.index("gap")] = ranks
    scores = -ranks.astype(np.float32)
    return Traced(replays, rows, ranks.astype(np.int64), 1 + ranks, scores, features, np.zeros(N))


def _score(queries: Int64, documents: Int64) -> Float32:
    """Positives score from 0 to 59, one each; of the candidates the first of each query 100, the others -1."""
    return np.where(documents >= 1000, queries, np.where(documents == 0, 100, -1)).astype(np.float32)


def test_a_candidate_like_most_positives_is_wrong_and_the_shown_positive_is_not() -> None:
    traced = ask_reranker(_traced(), MODEL, CHOOSER, 0.25, _score)
    asked = traced.judged()
    assert traced.wrong()[asked].tolist() == (traced.documents[asked] == 0).tolist()
    assert traced.wrong().sum() == N
    shown = np.arange(N), 1000 + np.arange(N)
    assert not traced.replays.wrong(*shown).any()
    assert traced.replays.found == pytest.approx(46 / 60)  # the lowest 14 of 60 lie below the place


def test_what_it_is_known_to_overlook_is_reckoned_with() -> None:
    config = CalibrationConfig(max_false_negatives=0.05)
    estimates = []
    for place in (0.0, 0.5):
        traced = ask_reranker(_traced(), MODEL, CHOOSER, place, _score)
        told = calibrate(traced, MODEL, CHOOSER, config, N).counts
        loosest = told["curve"][-1]
        assert (told["evidence"], told["refitted"]) == ("reranker", 0)
        estimates.append(loosest["estimate"])
        assert told["negatives_judged"] == 4 * N
    assert estimates[0] == pytest.approx(0.25)
    assert estimates[1] == pytest.approx(0.25 / (31 / 60), rel=1e-3)


def test_few_queries_are_drawn_and_only_those_with_a_positive() -> None:
    known = np.array([1, 3, 3, 5]), np.array([10, 30, 31, 50])
    replays = sample_replays(known, 8, 7, 2)
    assert len(replays) == 2
    assert set(replays.queries) <= {1, 3, 5}
    every = sample_replays(known, 8, 7, 100)
    assert every.queries.tolist() == [1, 3, 5]
    assert every.shown.values.tolist() == [10, 30, 31, 50]
