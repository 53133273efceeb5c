"""Denoise with a language model that answers yes or no (the kind of Qwen3-Reranker), run by transformers.

score(q, d) = logit(yes) - logit(no) of the token that would follow the question whether d answers q (Zhang et al.,
"Qwen3 Embedding", 2025, section 2; there as the softmax over the two, of which this is the logit).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from datagen.backends.devices import choose_devices, choose_dtype
from datagen.backends.protocols import Float32, RerankPairs, TokenUsage
from datagen.backends.rerank_prompts import AnswerTokens, RerankPrompts
from datagen.backends.st_batches import Batch, Features, Part, cut_batches
from datagen.backends.st_lanes import Lanes
from datagen.backends.st_model import choose_batch_tokens, explaining_load, explaining_memory, to_device
from datagen.config import DenoiseConfig

_LONGEST = 8192


class LLMReranker:
    """Logit of yes minus logit of no."""

    scale = "logit"
    round_size = 8

    def __init__(
        self,
        models: Sequence[Any],  # Any: causal LMs
        prompts: RerankPrompts,
        settings: DenoiseConfig,
    ) -> None:
        """Keep a loaded model, once for each device; see `load_llm_reranker`."""
        self._prompts = prompts
        self._batch_tokens = choose_batch_tokens(settings.batch_tokens, models[0].device)
        self._lanes = Lanes(models, models[0].device, several_callers=not settings.trust_remote_code)
        self.usage = TokenUsage()

    def score(self, pairs: RerankPairs) -> Float32:
        """Differences of logits, float32 (n_pairs,), higher is more relevant, in the order of the pairs."""
        if not len(pairs):
            return np.empty(0, np.float32)
        part = Part(pairs.texts(), np.empty(len(pairs), np.float32), len(pairs))
        cut = functools.partial(cut_batches, tokenise=self._tokenise, budget=self._batch_tokens)
        (filled,) = self._lanes.fill([part], cut, self._compute, self.usage)
        return filled.found

    def _tokenise(self, pairs: list[tuple[str, str]]) -> Features:
        """Prompts padded on the left, so that the last column is the last token of each."""
        rows = self._prompts.encode(pairs)
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, -len(tokens) :] = torch.tensor(tokens)
            mask[row, -len(tokens) :] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def _compute(self, model: Any, batch: Batch) -> Float32:  # Any: a causal LM
        with explaining_memory("denoise.batch_tokens", self._batch_tokens), torch.inference_mode():
            features = to_device(batch.features or {}, model.device)
            places = (features["attention_mask"].cumsum(1) - 1).clamp(min=0)
            logits = model(**features, position_ids=places, logits_to_keep=1, use_cache=False).logits[:, -1].float()
            return np.asarray((logits[:, 0] - logits[:, 1]).cpu().numpy(), np.float32)


class AnswerHead(torch.nn.Module):
    """The rows of a model's output layer for two tokens, in float32.

    In bfloat16 logits of 20 are known to an eighth, and most of the vocabulary would be computed for nothing.
    """

    def __init__(self, head: torch.nn.Linear, answers: AnswerTokens) -> None:
        """Copy the rows."""
        super().__init__()
        rows = list(answers)
        self.register_buffer("weight", head.weight[rows].detach().float())
        self.register_buffer("bias", None if head.bias is None else head.bias[rows].detach().float())

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of yes and no, (..., 2)."""
        return torch.nn.functional.linear(hidden.float(), self.weight, self.bias)  # type: ignore[arg-type]


def load_llm_reranker(folder: Path, settings: DenoiseConfig) -> LLMReranker:
    """The reranker of a model folder.

    Raises:
        ModelLoadError: the folder does not hold a causal language model, or an answer is not one of its tokens.
        ConfigError: a prompt template cannot be used.
    """
    trust = settings.trust_remote_code
    with explaining_load(folder, "a causal language model that transformers can load"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
        loaded = [_load(folder, settings, device) for device in choose_devices(settings.device)]
    positions = getattr(loaded[0].config, "max_position_embeddings", _LONGEST)
    prompts = RerankPrompts(tokenizer, settings.llm, min(settings.max_tokens or _LONGEST, positions))
    for model in loaded:
        model.set_output_embeddings(AnswerHead(model.get_output_embeddings(), prompts.answers))
    return LLMReranker([model.eval() for model in loaded], prompts, settings)


def _load(folder: Path, settings: DenoiseConfig, device: torch.device) -> Any:  # Any: a causal LM
    dtype = choose_dtype(settings.dtype, device)
    model: Any = AutoModelForCausalLM.from_pretrained(  # Any: a causal LM
        folder, dtype=dtype, trust_remote_code=settings.trust_remote_code
    )
    return model.to(device)
