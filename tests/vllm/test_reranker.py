"""A language model as reranker on a real engine of vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from datagen.backends.protocols import RerankPairs
from datagen.backends.rerank_prompts import RerankPrompts
from datagen.config import DenoiseConfig, build_config
from datagen.errors import ConfigError
from datagen.settings.rerank import LLMRerankerConfig
from tests.support.tiny_llama import ENGINE

if TYPE_CHECKING:
    from datagen.backends.reranker_vllm import VLLMReranker

SETTINGS = DenoiseConfig(dtype="float32", llm=LLMRerankerConfig(yes="y", no="n", engine=ENGINE))
PAIRS = RerankPairs(
    ["what raises the risk of stroke", "what does the liver make"],
    ["Hypertension raises the risk of stroke.", "The liver makes bile. " * 100, "A song about rain."],
    np.array([1, 0, 1, 0, 0]),
    np.array([2, 0, 1, 1, 2]),
)


@pytest.fixture(scope="module")
def reranker(tiny_model: Path) -> Iterator[VLLMReranker]:
    from datagen.backends.reranker_vllm import load_vllm_reranker

    reranker = load_vllm_reranker(tiny_model, SETTINGS)
    yield reranker
    reranker.close()


def test_scores_are_those_of_the_model_run_by_transformers(reranker: VLLMReranker, tiny_model: Path) -> None:
    expected = _by_transformers(tiny_model, limit=511)
    found = reranker.score(PAIRS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.ptp(expected) > 0.01
    assert reranker.usage.tokens > 0


def test_scores_are_the_same_whatever_the_order(reranker: VLLMReranker) -> None:
    turned = RerankPairs(
        PAIRS.queries, PAIRS.documents, PAIRS.query_index[::-1].copy(), PAIRS.document_index[::-1].copy()
    )
    np.testing.assert_allclose(reranker.score(turned)[::-1], reranker.score(PAIRS), atol=1e-4)


def test_no_pairs_are_no_question(reranker: VLLMReranker) -> None:
    none = np.empty(0, np.int64)
    assert reranker.score(RerankPairs([], [], none, none)).shape == (0,)


def test_an_argument_that_the_engine_does_not_have_is_named(tiny_model: Path) -> None:
    from datagen.backends.reranker_vllm import load_vllm_reranker

    wrong = DenoiseConfig(llm=LLMRerankerConfig(engine={"max_length": 8}))
    with pytest.raises(ConfigError, match=r"denoise\.llm\.engine holds 'max_length'"):
        load_vllm_reranker(tiny_model, wrong)


def test_the_registry_starts_it_and_ends_it(tiny_model: Path, tmp_path: Path) -> None:
    from datagen.backends.registry import Registry
    from datagen.backends.reranker_vllm import VLLMReranker

    denoise = {**SETTINGS.model_dump(), "reranker": f"vllm:{tiny_model}"}
    registry = Registry(build_config({"out": tmp_path, "input": {"beir": "."}, "denoise": denoise}))
    assert isinstance(registry.reranker(), VLLMReranker)
    registry.close()


def _by_transformers(folder: Path, limit: int) -> list[float]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompts = RerankPrompts(tokenizer, SETTINGS.llm, limit)
    scores = []
    for ids in prompts.encode(PAIRS.texts()):
        with torch.inference_mode():
            last = model(torch.tensor([ids])).logits[0, -1]
        scores.append(float(last[prompts.answers.yes] - last[prompts.answers.no]))
    return scores
