"""The teacher: any sentence-transformers model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from datagen.backends.protocols import Float32, Role, TokenUsage
from datagen.backends.st_model import count_tokens, explaining_memory, give_back_memory, load_st_model, token_batches
from datagen.config import TeacherConfig


class SentenceTransformerTeacher:
    """A sentence-transformers model as teacher; the model's own prompts unless the settings name others."""

    def __init__(self, model: SentenceTransformer, settings: TeacherConfig) -> None:
        """Keep a loaded model; see `load_teacher`."""
        self._model = model
        self._settings = settings
        self.usage = TokenUsage()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """Vectors of the texts, float32 (n, dim), rows of unit length, in the order of the texts."""
        out = np.empty((len(texts), self.dim), np.float32)
        lengths = count_tokens(self._model, texts)
        for batch in token_batches(lengths, self._settings.batch_tokens, self.usage):
            out[batch] = self._encode_batch([texts[i] for i in batch], role)
        norms: Float32 = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, norms, out=out, where=norms > 0)
        give_back_memory()
        return out

    def _encode_batch(self, texts: list[str], role: Role) -> Float32:
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        prompt = self._settings.query_prompt if role == "query" else self._settings.document_prompt
        with explaining_memory("teacher.batch_tokens", self._settings.batch_tokens):
            vectors = encode(
                texts, prompt=prompt, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
            )
        return np.asarray(vectors, np.float32)


def load_teacher(folder: Path, settings: TeacherConfig) -> SentenceTransformerTeacher:
    """The teacher of a model folder.

    Raises:
        ModelLoadError: the folder does not hold a model that can be loaded.
    """
    return SentenceTransformerTeacher(load_st_model(folder, settings), settings)
