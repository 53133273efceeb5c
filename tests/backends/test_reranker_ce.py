"""A cross-encoder gives what its own `predict` gives, whatever its batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from datagen.backends.models import find_model
from datagen.backends.protocols import Float32, RerankPairs
from datagen.backends.reranker_ce import CrossEncoderReranker, load_cross_encoder
from datagen.config import DenoiseConfig
from datagen.errors import ModelLoadError

QUERIES = ["what raises the risk of stroke", "what does the liver make", ""]
DOCUMENTS = ["Hypertension raises it.", "", "The liver makes bile. " * 40, *("word " * n for n in range(30))]
PAIRS = RerankPairs(QUERIES, DOCUMENTS, np.arange(60) % 3, np.arange(60)[::-1] % len(DOCUMENTS))
ON_PROCESSOR = DenoiseConfig(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("tiny-cross-encoder"), outputs=1)


@pytest.mark.parametrize("batch_tokens", [256, 8192])
def test_scores_are_the_logits_of_predict(folder: Path, batch_tokens: int) -> None:
    settings = ON_PROCESSOR.model_copy(update={"batch_tokens": batch_tokens})
    np.testing.assert_allclose(load_cross_encoder(folder, settings).score(PAIRS), _predict(folder), atol=1e-5)


def test_each_pair_is_tokenised_once_and_its_tokens_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = CrossEncoder(str(folder), device="cpu")
    preprocess, seen, read = model.preprocess, list[tuple[str, str]](), list[int]()

    def note(inputs: list[tuple[str, str]], **options: Any) -> Any:  # Any: as in sentence-transformers
        features = preprocess(inputs, **options)
        seen.extend(inputs)
        read.append(int(features["attention_mask"].sum()))
        return features

    monkeypatch.setattr(model, "preprocess", note)
    reranker = CrossEncoderReranker([model], ON_PROCESSOR.model_copy(update={"batch_tokens": 256}))
    reranker.score(PAIRS)
    assert sorted(seen) == sorted(PAIRS.texts())
    assert reranker.usage.tokens == sum(read)
    assert reranker.usage.tokens <= reranker.usage.padded < 1.5 * reranker.usage.tokens


def test_what_gives_no_plain_tensors_is_left_to_predict(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = CrossEncoder(str(folder), device="cpu")
    reranker = CrossEncoderReranker([model], ON_PROCESSOR)
    monkeypatch.setattr("datagen.backends.st_batches._is_plain", lambda features, n: False)
    np.testing.assert_allclose(reranker.score(PAIRS), _predict(folder), atol=1e-5)


def test_several_devices_share_the_work(folder: Path) -> None:
    one, two = (load_cross_encoder(folder, ON_PROCESSOR.model_copy(update={"device": d})) for d in ("cpu", "cpu,cpu"))
    np.testing.assert_allclose(one.score(PAIRS), two.score(PAIRS), atol=1e-6)
    assert one.usage == two.usage


def test_max_tokens_cuts_the_document(folder: Path) -> None:
    reranker = load_cross_encoder(folder, ON_PROCESSOR.model_copy(update={"max_tokens": 16}))
    long = RerankPairs(QUERIES, ["bile " * 50, "bile " * 90], np.array([0, 0]), np.array([0, 1]))
    scores = reranker.score(long)
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert reranker.usage.tokens == 32


def test_a_model_with_several_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="has 3 outputs: one with a single score is needed"):
        load_cross_encoder(_save(tmp_path, outputs=3), ON_PROCESSOR)


def _predict(folder: Path) -> Float32:
    model = CrossEncoder(str(folder), device="cpu")
    return np.asarray(model.predict(PAIRS.texts(), activation_fn=torch.nn.Identity(), show_progress_bar=False))


def _save(folder: Path, outputs: int) -> Path:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(find_model("packaged:all-MiniLM-L6-v2"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.5,
    )
    config.num_labels = outputs
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
