"""Denoise with a language model that answers yes or no, run by vLLM: the scores of `reranker_llm`, up to rounding.

Pairs of one query are sent together: what their prompts begin with is computed once and kept (prefix caching).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datagen.backends.engine_log import EngineLog, open_engine_log
from datagen.backends.llm_vllm import FAULTS, check_arguments, check_device, engine_defaults
from datagen.backends.protocols import Float32, RerankPairs, TokenUsage
from datagen.backends.rerank_prompts import RerankPrompts
from datagen.config import DenoiseConfig
from datagen.errors import BackendError, ModelLoadError

# After the module above, which says where vLLM writes before it is imported.
from vllm import LLM, SamplingParams, TokensPrompt  # isort: skip

_LONGEST = 8192


class VLLMReranker:
    """Logit of yes minus logit of no."""

    scale = "logit"
    round_size = 8

    def __init__(self, engine: LLM, prompts: RerankPrompts, log: EngineLog) -> None:
        """Keep a started engine; see `load_vllm_reranker`."""
        self._engine = engine
        self._prompts = prompts
        self._log = log
        self.usage = TokenUsage()

    def score(self, pairs: RerankPairs) -> Float32:
        """Differences of logits, float32 (n_pairs,), higher is more relevant, in the order of the pairs.

        Raises:
            BackendError: the engine failed, in its own words.
        """
        out = np.empty(len(pairs), np.float32)
        if not len(pairs):
            return out
        order = np.argsort(pairs.query_index, kind="stable")
        texts = pairs.texts()
        rows = self._prompts.encode([texts[i] for i in order])
        read = sum(map(len, rows))
        self.usage.tokens += read
        self.usage.padded += read
        out[order] = self._ask(rows)
        return out

    def close(self) -> None:
        """End the engine and its processes."""
        self._engine.llm_engine.engine_core.shutdown()
        self._log.remove()

    def _ask(self, rows: list[list[int]]) -> list[float]:
        """Differences of the logarithms of two probabilities, which are those of the logits."""
        yes, no = self._prompts.answers
        sampling = SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=[yes, no])
        prompts = [TokensPrompt(prompt_token_ids=row) for row in rows]
        try:
            answers = self._engine.generate(prompts, sampling, use_tqdm=False)
        except FAULTS as exc:
            raise BackendError(f"vLLM failed on {len(rows)} pairs: {self._log.explain(exc)}") from exc
        found = [answer.outputs[0].logprobs[0] for answer in answers]
        return [float(told[yes].logprob - told[no].logprob) for told in found]


def load_vllm_reranker(folder: Path, settings: DenoiseConfig) -> VLLMReranker:
    """The engine of a model folder, started.

    `settings.llm.engine` goes to vLLM as it is; `denoise.device` and `denoise.batch_tokens` are its own business.

    Raises:
        ConfigError: an argument that vLLM does not have, or a prompt template that cannot be used.
        ModelLoadError: vLLM does not take the model, or an answer is not one of its tokens.
        BackendError: vLLM knows no device of this machine.
    """
    given = settings.llm.engine
    check_arguments(given, "denoise.llm.engine")
    check_device()
    log = open_engine_log()
    try:
        engine = LLM(model=str(folder), **{**engine_defaults(given, log), **_own(settings), **given})
    except FAULTS as exc:
        words = log.explain(exc)
        raise ModelLoadError(f"vLLM does not take the reranker {folder} with {given}: {words}") from exc
    limit = min(settings.max_tokens or _LONGEST, int(engine.model_config.max_model_len) - 1)
    return VLLMReranker(engine, RerankPrompts(engine.get_tokenizer(), settings.llm, limit), log)


def _own(settings: DenoiseConfig) -> Mapping[str, Any]:  # Any: arguments of vLLM's engine
    return {
        "enable_prefix_caching": True,
        "dtype": settings.dtype,
        "trust_remote_code": settings.trust_remote_code,
        "seed": 0,
    }
