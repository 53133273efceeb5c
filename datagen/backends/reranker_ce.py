"""Denoise with a cross-encoder: any sentence-transformers CrossEncoder with one output."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from datagen.backends.devices import choose_devices, choose_dtype
from datagen.backends.protocols import Float32, RerankPairs, TokenUsage
from datagen.backends.st_batches import Batch, Part, cut_batches
from datagen.backends.st_lanes import Lanes
from datagen.backends.st_model import choose_batch_tokens, explaining_load, explaining_memory, to_device
from datagen.config import DenoiseConfig
from datagen.errors import ModelLoadError


class CrossEncoderReranker:
    """Raw logits of a cross-encoder, whatever activation its own settings name."""

    scale = "logit"
    round_size = 8

    def __init__(self, models: Sequence[CrossEncoder], settings: DenoiseConfig) -> None:
        """Keep a loaded model, once for each device; see `load_cross_encoder`."""
        self._model = models[0]
        self._batch_tokens = choose_batch_tokens(settings.batch_tokens, self._model.device)
        self._lanes = Lanes(models, self._model.device, several_callers=not settings.trust_remote_code)
        self._whole_predict = threading.Lock()
        self.usage = TokenUsage()

    def score(self, pairs: RerankPairs) -> Float32:
        """Logits, float32 (n_pairs,), higher is more relevant, in the order of the pairs."""
        if not len(pairs):
            return np.empty(0, np.float32)
        part = Part(pairs.texts(), np.empty(len(pairs), np.float32), len(pairs))
        cut = functools.partial(cut_batches, tokenise=self._model.preprocess, budget=self._batch_tokens)
        (filled,) = self._lanes.fill([part], cut, self._compute, self.usage)
        return filled.found

    def _compute(self, model: CrossEncoder, batch: Batch) -> Float32:
        with explaining_memory("denoise.batch_tokens", self._batch_tokens):
            if batch.features is None:
                return self._predict(batch)
            with torch.inference_mode():
                scores = model(to_device(batch.features, model.device))["scores"]
                return np.asarray(scores.float().cpu().numpy(), np.float32).reshape(len(batch.numbers))

    def _predict(self, batch: Batch) -> Float32:
        """The model's own `predict`, one at a time: its tokenizer does not stand two callers."""
        texts = [batch.part.texts[i] for i in batch.numbers]
        with self._whole_predict:
            logits = self._model.predict(
                texts,
                batch_size=len(texts),
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return np.asarray(logits, np.float32).reshape(len(texts))


def load_cross_encoder(folder: Path, settings: DenoiseConfig) -> CrossEncoderReranker:
    """The reranker of a model folder.

    Raises:
        ModelLoadError: the folder does not hold a cross-encoder with one output.
    """
    models = [_load(folder, settings, device) for device in choose_devices(settings.device)]
    if models[0].num_labels != 1:
        raise ModelLoadError(
            f"the cross-encoder {folder} has {models[0].num_labels} outputs: one with a single score is needed"
        )
    return CrossEncoderReranker(models, settings)


def _load(folder: Path, settings: DenoiseConfig, device: torch.device) -> CrossEncoder:
    with explaining_load(folder, "a cross-encoder that sentence-transformers can load"):
        model: CrossEncoder = CrossEncoder(
            str(folder),
            device=str(device),
            max_length=settings.max_tokens,
            model_kwargs={"dtype": choose_dtype(settings.dtype, device)},
            trust_remote_code=settings.trust_remote_code,
        )
    model.eval()
    return model
