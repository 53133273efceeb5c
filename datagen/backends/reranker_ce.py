"""Denoise with a cross-encoder: any sentence-transformers CrossEncoder with one output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from datagen.backends.devices import choose_device, choose_dtype
from datagen.backends.protocols import Float32, Int64, RerankPairs, TokenUsage
from datagen.backends.st_model import explaining_load, explaining_memory, give_back_memory, token_batches
from datagen.config import DenoiseConfig
from datagen.errors import ModelLoadError


class CrossEncoderReranker:
    """Raw logits of a cross-encoder, whatever activation its own settings name."""

    scale = "logit"
    round_size = 8

    def __init__(self, model: CrossEncoder, settings: DenoiseConfig) -> None:
        """Keep a loaded model; see `load_cross_encoder`."""
        self._model = model
        self._settings = settings
        self.usage = TokenUsage()

    def score(self, pairs: RerankPairs) -> Float32:
        """Logits, float32 (n_pairs,), higher is more relevant, in the order of the pairs."""
        out = np.empty(len(pairs), np.float32)
        lengths = self._lengths(pairs)
        for batch in token_batches(lengths, self._settings.batch_tokens, self.usage):
            out[batch] = self._score_batch(pairs, batch)
        give_back_memory()
        return out

    def _score_batch(self, pairs: RerankPairs, batch: Int64) -> Float32:
        texts = [(pairs.queries[pairs.query_index[i]], pairs.documents[pairs.document_index[i]]) for i in batch]
        with explaining_memory("denoise.batch_tokens", self._settings.batch_tokens):
            logits = self._model.predict(
                texts,
                batch_size=len(texts),
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return np.asarray(logits, np.float32).reshape(len(texts))

    def _lengths(self, pairs: RerankPairs) -> Int64:
        queries = self._count(pairs.queries, np.unique(pairs.query_index))
        documents = self._count(pairs.documents, np.unique(pairs.document_index))
        lengths: Int64 = queries[pairs.query_index] + documents[pairs.document_index] - 1
        return np.minimum(lengths, self._limit)

    @property
    def _limit(self) -> int:
        own = min(int(self._model.tokenizer.model_max_length), 8192)  # 1e30 where a tokenizer names none
        return min(own, self._settings.max_tokens or own)

    def _count(self, texts: Sequence[str], used: Int64) -> Int64:
        counts = np.zeros(len(texts), np.int64)
        chosen = [texts[i] for i in used]
        encoded = self._model.tokenizer(chosen, truncation=True, max_length=self._limit, return_attention_mask=False)
        counts[used] = [len(ids) for ids in encoded["input_ids"]]
        return counts


def load_cross_encoder(folder: Path, settings: DenoiseConfig) -> CrossEncoderReranker:
    """The reranker of a model folder.

    Raises:
        ModelLoadError: the folder does not hold a cross-encoder with one output.
    """
    device = choose_device(settings.device)
    with explaining_load(folder, "a cross-encoder that sentence-transformers can load"):
        model = CrossEncoder(
            str(folder),
            device=str(device),
            max_length=settings.max_tokens,
            model_kwargs={"dtype": choose_dtype(settings.dtype, device)},
            trust_remote_code=settings.trust_remote_code,
        )
    if model.num_labels != 1:
        raise ModelLoadError(
            f"the cross-encoder {folder} has {model.num_labels} outputs: one with a single score is needed"
        )
    return CrossEncoderReranker(model, settings)
