"""What the teacher and the late-interaction reranker share: a sentence-transformers model fed by token budget."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from transformers.utils.logging import disable_progress_bar

from datagen.backends.devices import choose_device, choose_dtype
from datagen.backends.protocols import Int64, TokenUsage
from datagen.config import Backend, DenoiseConfig, Dtype, TeacherConfig
from datagen.errors import BackendError, ModelLoadError, first_line

_BATCH_TOKENS = {"cpu": 2048}
_BATCH_TOKENS_ELSEWHERE = 16_384
_OPENVINO_TYPES: dict[Dtype, str] = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


def load_st_model(
    folder: Path, settings: TeacherConfig | DenoiseConfig, device: torch.device | None = None
) -> SentenceTransformer:
    """The model in evaluation mode on a device (by default that of the settings) and in the settings' number type.

    Raises:
        ModelLoadError: the folder does not hold a model that sentence-transformers can load.
    """
    device = device or choose_device(settings.device)
    backend = settings.backend if isinstance(settings, TeacherConfig) else "torch"
    with explaining_load(folder, "a sentence-transformers model"):
        model = SentenceTransformer(
            str(folder),
            device=str(device),
            model_kwargs=_model_settings(backend, settings.dtype, device),
            trust_remote_code=settings.trust_remote_code,
            backend=backend,
        )
    if settings.max_tokens is not None:
        _cut_texts(model, settings.max_tokens)
    return model.eval()


def _cut_texts(model: SentenceTransformer, max_tokens: int) -> None:
    """Read the first tokens of a text alone; a bag of words has no limit of its own, but its tokenizer may have one."""
    first = model[0]
    if isinstance(first, StaticEmbedding):
        first.tokenizer.enable_truncation(max_tokens)
    else:
        model.max_seq_length = max_tokens


def _model_settings(backend: Backend, dtype: Dtype, device: torch.device) -> dict[str, object]:
    """The number type in each runtime's words; OpenVINO's own default is bfloat16 where the processor has it."""
    if backend == "torch":
        return {"dtype": choose_dtype(dtype, device)}
    if backend == "openvino" and dtype != "auto":
        return {"ov_config": {"INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[dtype]}}
    return {}


def choose_batch_tokens(named: int | None, device: torch.device) -> int:
    """Padded tokens in one batch: what the settings say, else what suits the device."""
    return named or _BATCH_TOKENS.get(device.type, _BATCH_TOKENS_ELSEWHERE)


@contextlib.contextmanager
def explaining_load(folder: Path, kind: str) -> Iterator[None]:
    """Load a model quietly; what goes wrong becomes a `ModelLoadError` that says what the folder should hold."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except Exception as exc:  # a runtime that is not installed is a plain Exception of sentence-transformers
        raise ModelLoadError(
            f"cannot load the model in {folder}: {first_line(exc)}; give the folder of {kind}"
        ) from exc


@contextlib.contextmanager
def explaining_memory(setting: str, batch_tokens: int) -> Iterator[None]:
    """Run a model; when it runs out of memory, say which setting needs less."""
    try:
        yield
    except torch.OutOfMemoryError as exc:
        raise BackendError(
            f"the model ran out of device memory with {setting} {batch_tokens:,}: lower it with --set {setting}="
            f"{max(256, batch_tokens // 4)}, or use --device cpu; what is done is kept",
            retryable=True,
        ) from exc


def to_device(features: Mapping[str, Any], device: torch.device) -> dict[str, Any]:  # Any: tensors and other values
    """What a model reads, its tensors on a device."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in features.items()
    }


def give_back_memory() -> None:
    """Return freed memory to the system.

    Batches come in ever new shapes, and glibc keeps what it can hardly use again: without this a process that embeds
    15,000 passages holds gigabytes that are free.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def count_tokens(model: SentenceTransformer, texts: Sequence[str]) -> Int64:
    """Tokens of each text as the model reads it, cut at its limit, int64 (n,)."""
    limit = model.max_seq_length or 512
    encoded = model.tokenizer(list(texts), truncation=True, max_length=limit, return_attention_mask=False)
    return np.fromiter((len(ids) for ids in encoded["input_ids"]), np.int64, len(texts))


def token_batches(lengths: Int64, budget: int, usage: TokenUsage) -> Iterator[Int64]:
    """Batches of text numbers, longest texts first, each of at most `budget` padded tokens (at least one text).

    `usage` is advanced by what each batch reads.
    """
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        longest = max(1, int(lengths[order[begin]]))
        batch = order[begin : begin + max(1, budget // longest)]
        usage.tokens += int(lengths[batch].sum())
        usage.padded += longest * len(batch)
        yield batch
        begin += len(batch)
