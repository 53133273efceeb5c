"""The teacher: any sentence-transformers model."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from datagen.backends.devices import choose_devices
from datagen.backends.protocols import Float32, Role, TokenUsage
from datagen.backends.st_batches import Batch, Part, cut_batches, prompt_of
from datagen.backends.st_lanes import Lanes
from datagen.backends.st_model import choose_batch_tokens, explaining_memory, load_st_model, to_device
from datagen.config import TeacherConfig


class SentenceTransformerTeacher:
    """A sentence-transformers model as teacher; the model's own prompts unless the settings name others."""

    def __init__(self, models: Sequence[SentenceTransformer], settings: TeacherConfig) -> None:
        """Keep a loaded model, once for each device; see `load_teacher`."""
        self._model = models[0]
        self._settings = settings
        # A model's own code and the runtimes of other backends are not known to stand several callers.
        several = settings.backend == "torch" and not settings.trust_remote_code
        self._lanes = Lanes(models, self._model.device, several_callers=several)
        self._whole_encode = threading.Lock()
        self.usage = TokenUsage()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension() or 0)

    @property
    def batch_tokens(self) -> int:
        """Padded tokens in one batch: what the settings say, else what suits the device."""
        return choose_batch_tokens(self._settings.batch_tokens, self._model.device)

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
        tokenise = functools.partial(self._model.preprocess, prompt=prompt, task=role)
        cut = functools.partial(cut_batches, tokenise=tokenise, budget=self.batch_tokens)
        compute = functools.partial(self._compute, role=role, prompt=named)
        begun = (Part(texts, np.empty((len(texts), self.dim), np.float32), len(texts)) for texts in parts)
        for part in self._lanes.fill(begun, cut, compute, self.usage):
            yield part.found

    def _compute(self, model: SentenceTransformer, batch: Batch, role: Role, prompt: str | None) -> Float32:
        """The vectors of a batch, rows of unit length."""
        with explaining_memory("teacher.batch_tokens", self.batch_tokens):
            found = self._forward(model, batch, role) if batch.features else self._encode(batch, role, prompt)
        norms: Float32 = np.linalg.norm(found, axis=1, keepdims=True)
        return np.divide(found, norms, out=found, where=norms > 0)

    def _forward(self, model: SentenceTransformer, batch: Batch, role: Role) -> Float32:
        with torch.inference_mode():
            found = model(to_device(batch.features or {}, model.device), task=role)["sentence_embedding"]
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
