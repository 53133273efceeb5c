"""Feeds a model: texts, or pairs of texts, tokenised once, by the model's own preprocessing, and cut into batches.

Texts are tokenised in blocks of like length, which are then sorted by their real length: what is left of the padding
is the difference inside one batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from datagen.backends.protocols import Float32, Int64, Role, TokenUsage
from datagen.backends.st_model import token_batches

Features: TypeAlias = dict[str, Any]  # Any: tensors, and whatever else the model's own preprocessing gives
Inputs: TypeAlias = Sequence[str] | Sequence[tuple[str, str]]
"""Texts, or pairs of texts that a model reads together."""
Tokenise: TypeAlias = Callable[[list[Any]], Features]  # Any: what the model reads, texts or pairs

BLOCK_TEXTS = 1024
"""Texts tokenised at once, at most."""
BLOCK_CHARACTERS = 2_000_000
"""Texts in a block times the length of the longest, at most: bounds what the padded block takes."""

_BY_TOKEN = {"input_ids", "attention_mask", "token_type_ids"}
_PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
_CHARACTERS_PER_TOKEN = 4
_STEP = 8
"""Lengths of batches are multiples of this: kernels are made anew, and kept, for every shape that comes."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Part:
    """Texts whose results belong together; `found`, vectors (n, dim) or scores (n,), is filled batch by batch."""

    texts: Inputs
    found: Float32
    missing: int


@dataclass(frozen=True)
class Block:
    """Some texts of a part, of like length, by their numbers in it."""

    part: Part
    numbers: Int64


@dataclass(frozen=True)
class Batch:
    """What the model reads at once: rows of a part, as tensors where the model's preprocessing gives plain ones."""

    part: Part
    numbers: Int64
    features: Features | None
    usage: TokenUsage


def cut_blocks(part: Part) -> Iterator[Block]:
    """The texts of a part in blocks, longest texts first."""
    lengths = np.fromiter(map(_characters, part.texts), np.int64, len(part.texts))
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        longest = max(1, int(lengths[order[begin]]))
        end = begin + max(1, min(BLOCK_TEXTS, BLOCK_CHARACTERS // longest))
        yield Block(part, order[begin:end])
        begin = end


def cut_batches(block: Block, tokenise: Tokenise, budget: int) -> list[Batch]:
    """A block tokenised and cut into batches of at most `budget` padded tokens, longest first.

    What gives no plain token tensors (static embeddings, images, packed texts) is cut by characters instead and left
    to the model's own `encode` or `predict`; its tokens are then an estimate.
    """
    texts = [block.part.texts[i] for i in block.numbers]
    features = tokenise(texts)
    plain = _is_plain(features, len(texts))
    if plain:
        lengths = np.asarray(features["attention_mask"].sum(1).numpy(), np.int64)
    else:
        lengths = np.fromiter((1 + _characters(text) // _CHARACTERS_PER_TOKEN for text in texts), np.int64, len(texts))
    padded = -(-lengths // _STEP) * _STEP
    batches = []
    for rows in token_batches(padded, budget, TokenUsage()):
        spent = TokenUsage(int(lengths[rows].sum()), int(padded[rows].max()) * len(rows))
        taken = _take(features, torch.from_numpy(rows)) if plain else None
        batches.append(Batch(block.part, block.numbers[rows], taken, spent))
    return batches


def prompt_of(model: SentenceTransformer, role: Role, named: str | None) -> str | None:
    """What `encode_query` and `encode_document` put before a text: the named prompt, else the model's own."""
    if named is not None:
        return named
    name = next((name for name in _PROMPT_NAMES[role] if name in model.prompts), model.default_prompt_name)
    return model.prompts.get(name) if name else None


def map_ahead(executor: Executor, function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """`function` of each item, in order, worked on up to `ahead` items before it is asked for."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(executor.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _characters(text: str | tuple[str, str]) -> int:
    return len(text) if isinstance(text, str) else len(text[0]) + len(text[1])


def _is_plain(features: Features, n: int) -> bool:
    mask = features.get("attention_mask")
    if not isinstance(mask, torch.Tensor) or mask.ndim != 2 or len(mask) != n or "input_ids" not in features:
        return False
    tensors = {name: value for name, value in features.items() if isinstance(value, torch.Tensor)}
    return all(value.shape == mask.shape if name in _BY_TOKEN else value.ndim == 0 for name, value in tensors.items())


def _take(features: Features, rows: torch.Tensor) -> Features:
    """The rows without the columns that are padding in all of them, on whichever side, but for some to fill a step."""
    mask = features["attention_mask"][rows]
    used = mask.any(0).nonzero()
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    wanted = -(-(last - first) // _STEP) * _STEP
    last = min(mask.shape[1], first + wanted)
    columns = slice(max(0, last - wanted), last)
    return {name: value[rows, columns].contiguous() if name in _BY_TOKEN else value for name, value in features.items()}
