"""What every reranker must do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.backends.models import find_model
from datagen.backends.protocols import Reranker, RerankPairs
from datagen.backends.reranker_ce import load_cross_encoder
from datagen.backends.reranker_maxsim import load_maxsim
from datagen.config import DenoiseConfig
from datagen.testing import OverlapReranker

QUERIES = ["what raises the risk of stroke", "what does the liver make"]
DOCUMENTS = ["Hypertension raises the risk of stroke.", "The liver makes bile and proteins.", "A song about rain."]
CROSS_ENCODER = Path(__file__).resolve().parents[2] / ".." / "shared" / "models" / "minilm-cross-encoder"


@pytest.fixture(scope="module", params=["overlap", "maxsim", "cross-encoder"])
def reranker(request: pytest.FixtureRequest) -> Reranker:
    if request.param == "overlap":
        return OverlapReranker(DenoiseConfig())
    if request.param == "maxsim":
        return load_maxsim(find_model("packaged:all-MiniLM-L6-v2"), DenoiseConfig(dtype="float32"))
    if not CROSS_ENCODER.exists():
        pytest.skip(f"no cross-encoder at {CROSS_ENCODER}")
    return load_cross_encoder(CROSS_ENCODER, DenoiseConfig(dtype="float32"))


def _pairs() -> RerankPairs:
    return RerankPairs(QUERIES, DOCUMENTS, np.array([1, 0, 0, 1, 0, 1]), np.array([2, 0, 1, 1, 2, 0]))


def test_score_puts_the_answer_first(reranker: Reranker) -> None:
    scores = reranker.score(_pairs())
    assert scores.dtype == np.float32
    assert scores.shape == (6,)
    assert np.isfinite(scores).all()
    assert scores[1] > max(scores[2], scores[4])
    assert scores[3] > max(scores[0], scores[5])


def test_score_does_not_depend_on_the_order_of_the_pairs(reranker: Reranker) -> None:
    pairs = _pairs()
    turned = RerankPairs(QUERIES, DOCUMENTS, pairs.query_index[::-1].copy(), pairs.document_index[::-1].copy())
    np.testing.assert_allclose(reranker.score(turned), reranker.score(pairs)[::-1], atol=1e-4)


def test_scale_and_round_size_are_named(reranker: Reranker) -> None:
    assert reranker.scale
    assert reranker.round_size >= 1
