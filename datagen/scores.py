"""Reranker scores of (query, document) pairs: paid once, kept in the cache, read from there ever after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from datagen.backends.protocols import Float32, Int64, Reranker, RerankPairs
from datagen.errors import BackendError
from datagen.progress import Progress
from datagen.store import ArrayStore, Keys, hash_pairs, hash_texts
from datagen.vectors import TEXT_OVERHEAD, parts_of


@dataclass(frozen=True)
class Texts:
    """Texts with their hashes and lengths."""

    texts: Sequence[str]
    keys: Keys
    lengths: Int64

    @classmethod
    def of(cls, texts: pl.Series) -> Texts:
        """Hash and measure a column of texts."""
        return cls(texts.to_list(), hash_texts(texts), texts.str.len_chars().cast(pl.Int64).to_numpy())


class PairScores:
    """The scores of one reranker."""

    def __init__(self, cache: Path, identity: str) -> None:
        """Name the store; its folder is named by all that decides a score but the two texts."""
        self._store = ArrayStore(cache / "scores" / identity, np.float32)

    def ensure(
        self,
        queries: Texts,
        documents: Texts,
        pairs: tuple[Int64, Int64],
        reranker: Callable[[], Reranker],
        progress: Progress,
    ) -> tuple[Float32, int]:
        """Scores of the pairs, float32 (n,), and how many were computed now.

        Missing pairs are scored document by document, longest first, in parts that are committed one by one, in an
        order that depends on the missing pairs alone.

        Raises:
            BackendError: the reranker gave the wrong number of scores, or scores that are not finite.
        """
        query, document = pairs
        keys = hash_pairs(queries.keys[query], documents.keys[document])
        self._store.refresh()
        missing = np.flatnonzero(self._store.locate(keys) < 0)
        _, first = np.unique(keys[missing], axis=0, return_index=True)
        missing = missing[first]
        if len(missing):
            order = missing[_document_order(documents, document[missing], keys[missing])]
            sizes = queries.lengths[query] + documents.lengths[document] + TEXT_OVERHEAD
            with progress.step("rerank", len(order), "pairs") as advance:
                for part in parts_of(order, sizes):
                    scores = reranker().score(RerankPairs(queries.texts, documents.texts, query[part], document[part]))
                    _check(scores, len(part))
                    self._store.append(keys[part], scores[:, None])
                    advance(len(part))
        return self._read(keys), len(missing)

    def _read(self, keys: Keys) -> Float32:
        if not len(keys):
            return np.empty(0, np.float32)
        return self._store.take(self._store.locate(keys))[:, 0]


def _document_order(documents: Texts, document: Int64, keys: Keys) -> Int64:
    of_document = documents.keys[document]
    return np.lexsort((keys[:, 0], of_document[:, 1], of_document[:, 0], -documents.lengths[document]))


def _check(scores: Float32, expected: int) -> None:
    if scores.shape != (expected,):
        raise BackendError(f"the reranker gave scores of shape {scores.shape} for {expected} pairs: one each is needed")
    bad = int((~np.isfinite(scores)).sum())
    if bad:
        raise BackendError(
            f"the reranker gave NaN or infinite scores for {bad} of {expected} pairs: try --dtype float32, or another"
        )
