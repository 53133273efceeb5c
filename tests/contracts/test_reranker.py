"""What every reranker must do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.backends.models import find_model
from datagen.backends.protocols import Reranker, RerankPairs
from datagen.backends.reranker_ce import load_cross_encoder
from datagen.backends.reranker_llm import load_llm_reranker
from datagen.backends.reranker_maxsim import load_maxsim
from datagen.config import DenoiseConfig
from datagen.settings.rerank import LLMRerankerConfig
from datagen.testing import OverlapReranker
from tests.support.tiny_llama import save_tiny_llama

QUERIES = ["what raises the risk of stroke", "what does the liver make"]
DOCUMENTS = ["Hypertension raises the risk of stroke.", "The liver makes bile and proteins.", "A song about rain."]
CROSS_ENCODER = Path(__file__).resolve().parents[2] / ".." / "shared" / "models" / "minilm-cross-encoder"


@pytest.fixture(scope="module", params=["overlap", "maxsim", "cross-encoder", "llm"])
def reranker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    if request.param == "llm":
        folder = tmp_path_factory.mktemp("tiny-llama")
        save_tiny_llama(folder)
        return load_llm_reranker(folder, DenoiseConfig(dtype="float32", llm=LLMRerankerConfig(yes="y", no="n")))
    if request.param == "overlap":
        return OverlapReranker(DenoiseConfig())
    if request.param == "maxsim":
        return load_maxsim(find_model("packaged:all-MiniLM-L6-v2"), DenoiseConfig(dtype="float32"))
    if not CROSS_ENCODER.exists():
        pytest.skip(f"no cross-encoder at {CROSS_ENCODER}")
    return load_cross_encoder(CROSS_ENCODER, DenoiseConfig(dtype="float32"))


def _pairs() -> RerankPairs:
    return RerankPairs(QUERIES, DOCUMENTS, np.array([1, 0, 0, 1, 0, 1]), np.array([2, 0, 1, 1, 2, 0]))


def test_scores_are_one_finite_number_a_pair(reranker: Reranker) -> None:
    scores = reranker.score(_pairs())
    assert scores.dtype == np.float32
    assert scores.shape == (6,)
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) > 1


def test_no_pairs_have_no_scores(reranker: Reranker) -> None:
    none = np.empty(0, np.int64)
    assert reranker.score(RerankPairs(QUERIES, DOCUMENTS, none, none)).shape == (0,)


def test_score_puts_the_answer_first(reranker: Reranker, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["reranker"] == "llm":
        pytest.skip("weights drawn by chance know no answers")
    scores = reranker.score(_pairs())
    assert scores[1] > max(scores[2], scores[4])
    assert scores[3] > max(scores[0], scores[5])


def test_score_does_not_depend_on_the_order_of_the_pairs(reranker: Reranker) -> None:
    pairs = _pairs()
    turned = RerankPairs(QUERIES, DOCUMENTS, pairs.query_index[::-1].copy(), pairs.document_index[::-1].copy())
    np.testing.assert_allclose(reranker.score(turned), reranker.score(pairs)[::-1], atol=1e-4)


def test_scale_and_round_size_are_named(reranker: Reranker) -> None:
    assert reranker.scale
    assert reranker.round_size >= 1
