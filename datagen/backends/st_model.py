"""What the teacher and the late-interaction reranker share: a sentence-transformers model fed by token budget."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from datagen.backends.devices import choose_device, choose_dtype
from datagen.backends.protocols import Int64, TokenUsage
from datagen.config import DenoiseConfig, TeacherConfig
from datagen.errors import BackendError, ModelLoadError, first_line


def load_st_model(folder: Path, settings: TeacherConfig | DenoiseConfig) -> SentenceTransformer:
    """The model in evaluation mode on the device and in the number type of the settings.

    Raises:
        ModelLoadError: the folder does not hold a model that sentence-transformers can load.
    """
    device = choose_device(settings.device)
    with explaining_load(folder, "a sentence-transformers model"):
        model = SentenceTransformer(
            str(folder),
            device=str(device),
            model_kwargs={"dtype": choose_dtype(settings.dtype, device)},
            trust_remote_code=settings.trust_remote_code,
        )
    if settings.max_tokens is not None:
        model.max_seq_length = settings.max_tokens
    return model.eval()


@contextlib.contextmanager
def explaining_load(folder: Path, kind: str) -> Iterator[None]:
    """Load a model quietly; what goes wrong becomes a `ModelLoadError` that says what the folder should hold."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as exc:
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
