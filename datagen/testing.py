"""Backends that behave like models but need no weights: for tests, demos and pipelines under construction.

Name them like any user's own: `--teacher datagen.testing:HashingTeacher --reranker datagen.testing:OverlapReranker`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence

import numpy as np

from datagen.backends.protocols import Float32, RerankPairs, Role, TokenUsage
from datagen.config import DenoiseConfig, TeacherConfig

_DIM = 64


class HashingTeacher:
    """Texts as hashed bags of words: texts that share words are close."""

    def __init__(self, settings: TeacherConfig) -> None:
        """Take the settings of the teacher; none of them matters here."""
        self.settings = settings
        self.usage = TokenUsage()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return _DIM

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """Unit vectors of the texts, float32 (n, 64)."""
        out = np.zeros((len(texts), _DIM), np.float32)
        for row, text in enumerate(texts):
            words = _words(text)
            self.usage.tokens += len(words)
            self.usage.padded += len(words)
            for word in words:
                out[row] += _direction(word)
        norms: Float32 = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, norms, out=out, where=norms > 0)
        return out


class OverlapReranker:
    """Pairs scored by the share of the query's words that the document has."""

    scale = "share of query words, 0 to 1"
    round_size = 8

    def __init__(self, settings: DenoiseConfig) -> None:
        """Take the settings of the reranker; none of them matters here."""
        self.settings = settings

    def score(self, pairs: RerankPairs) -> Float32:
        """Shares of shared words, float32 (n_pairs,)."""
        queries = [set(_words(text)) for text in pairs.queries]
        documents = [set(_words(text)) for text in pairs.documents]
        shares = [
            len(queries[q] & documents[d]) / max(1, len(queries[q]))
            for q, d in zip(pairs.query_index, pairs.document_index, strict=True)
        ]
        return np.asarray(shares, np.float32)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@functools.cache
def _direction(word: str) -> Float32:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(_DIM, np.float32)
