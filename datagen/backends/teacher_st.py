"""The teacher: any sentence-transformers model.

While the model computes, the next texts are tokenised in a thread of their own. On processors several batches run side
by side, each on a core of its own: a batch split over the cores waits for the slowest at every one of its many small
steps. On GPUs each device has a copy of the model.
"""

from __future__ import annotations

import functools
import itertools
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from datagen.backends.devices import choose_devices
from datagen.backends.protocols import Float32, Role, TokenUsage
from datagen.backends.st_batches import Batch, Block, Part, cut_batches, cut_blocks, map_ahead, prompt_of
from datagen.backends.st_model import explaining_memory, give_back_memory, load_st_model
from datagen.config import TeacherConfig

_BLOCKS_AHEAD = 2
_MOST_LANES = 16
_BATCH_TOKENS = {"cpu": 2048}
_BATCH_TOKENS_ELSEWHERE = 16_384


class SentenceTransformerTeacher:
    """A sentence-transformers model as teacher; the model's own prompts unless the settings name others."""

    def __init__(self, models: Sequence[SentenceTransformer], settings: TeacherConfig) -> None:
        """Keep a loaded model, once for each device; see `load_teacher`."""
        self._model = models[0]
        self._settings = settings
        self._threads = torch.get_num_threads()
        lanes = _lanes(models, settings, self._threads)
        self._threads_per_lane = max(1, self._threads // len(lanes))
        self._n_lanes = len(lanes)
        self._free: queue.SimpleQueue[SentenceTransformer] = queue.SimpleQueue()
        for model in lanes:
            self._free.put(model)
        self._whole_encode = threading.Lock()
        self.usage = TokenUsage()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension() or 0)

    @property
    def batch_tokens(self) -> int:
        """Padded tokens in one batch: what the settings say, else what suits the device."""
        by_device = _BATCH_TOKENS.get(self._model.device.type, _BATCH_TOKENS_ELSEWHERE)
        return self._settings.batch_tokens or by_device

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """Vectors of the texts, float32 (n, dim), rows of unit length, in the order of the texts."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        (vectors,) = self.encode_parts([texts], role)
        return vectors

    def encode_parts(self, parts: Iterable[Sequence[str]], role: Role) -> Iterator[Float32]:
        """Vectors of each part of the texts (none of them empty), as `encode` gives them.

        The parts after the one that is asked for are worked on ahead; no batch holds texts of two parts.
        """
        named = self._settings.query_prompt if role == "query" else self._settings.document_prompt
        prompt = prompt_of(self._model, role, named)
        cut = functools.partial(cut_batches, model=self._model, role=role, prompt=prompt, budget=self.batch_tokens)
        run = functools.partial(self._run, role=role, prompt=named)
        started: deque[Part] = deque()
        share = functools.partial(torch.set_num_threads, self._threads_per_lane)
        try:
            with ThreadPoolExecutor(1) as tokenizer, ThreadPoolExecutor(self._n_lanes, initializer=share) as runner:
                blocks = map_ahead(tokenizer, cut, self._blocks(parts, started), _BLOCKS_AHEAD)
                for batch in map_ahead(runner, run, itertools.chain.from_iterable(blocks), 2 * self._n_lanes):
                    self.usage.tokens += batch.usage.tokens
                    self.usage.padded += batch.usage.padded
                    batch.part.missing -= len(batch.numbers)
                    if not batch.part.missing:
                        give_back_memory()
                        yield started.popleft().vectors
        finally:
            torch.set_num_threads(self._threads)  # what the lanes set is the default of threads that start later

    def _blocks(self, parts: Iterable[Sequence[str]], started: deque[Part]) -> Iterator[Block]:
        for texts in parts:
            part = Part(texts, np.empty((len(texts), self.dim), np.float32), len(texts))
            started.append(part)
            yield from cut_blocks(part)

    def _run(self, batch: Batch, role: Role, prompt: str | None) -> Batch:
        """Fill in the vectors of a batch."""
        model = self._free.get()
        try:
            with explaining_memory("teacher.batch_tokens", self.batch_tokens):
                found = self._forward(model, batch, role) if batch.features else self._encode(batch, role, prompt)
        finally:
            self._free.put(model)
        norms: Float32 = np.linalg.norm(found, axis=1, keepdims=True)
        batch.part.vectors[batch.numbers] = np.divide(found, norms, out=found, where=norms > 0)
        return batch

    def _forward(self, model: SentenceTransformer, batch: Batch, role: Role) -> Float32:
        device = model.device
        features = {
            name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for name, value in (batch.features or {}).items()
        }
        with torch.inference_mode():
            found = model(features, task=role)["sentence_embedding"]
            if model.truncate_dim is not None:
                found = found[..., : model.truncate_dim]
            return np.asarray(found.float().cpu().numpy(), np.float32)

    def _encode(self, batch: Batch, role: Role, prompt: str | None) -> Float32:
        """The model's own `encode`, one at a time: its tokenizer does not stand two callers."""
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        texts = [batch.part.texts[i] for i in batch.numbers]
        with self._whole_encode:
            return np.array(encode(texts, prompt=prompt, batch_size=len(texts), show_progress_bar=False), np.float32)


def load_teacher(folder: Path, settings: TeacherConfig) -> SentenceTransformerTeacher:
    """The teacher of a model folder.

    Raises:
        ModelLoadError: the folder does not hold a model that can be loaded.
    """
    models = [load_st_model(folder, settings, device) for device in choose_devices(settings.device)]
    return SentenceTransformerTeacher(models, settings)


def _lanes(models: Sequence[SentenceTransformer], settings: TeacherConfig, threads: int) -> list[SentenceTransformer]:
    """The model of each batch that runs at the same time.

    A model's own code and the runtimes of other backends are not known to stand several callers.
    """
    if settings.backend != "torch" or settings.trust_remote_code:
        return list(models)
    on_processor = models[0].device.type == "cpu"
    wanted = max(len(models), min(threads, _MOST_LANES)) if on_processor else 2 * len(models)
    return [models[number % len(models)] for number in range(wanted)]
