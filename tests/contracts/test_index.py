"""What every search index must do, held against plain products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from datagen.backends.index_faiss import FaissFlatIndex
from datagen.backends.protocols import Float32, SearchIndex

INDEXES: list[Callable[[int], SearchIndex]] = [FaissFlatIndex]


def _vectors(n: int, seed: int) -> Float32:
    vectors = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    unit: Float32 = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("make", INDEXES)
@pytest.mark.parametrize("n_queries", [1, 511, 700])
def test_search_gives_the_best_documents_in_order(make: Callable[[int], SearchIndex], n_queries: int) -> None:
    documents, queries = _vectors(300, 0), _vectors(n_queries, 1)
    index = make(32)
    index.add(documents[:100])
    index.add(documents[100:])
    scores, positions = index.search(queries, 20)
    exact = queries @ documents.T
    assert scores.shape == positions.shape == (n_queries, 20)
    assert positions.tolist() == np.argsort(-exact, axis=1, kind="stable")[:, :20].tolist()
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :20], atol=1e-6)


@pytest.mark.parametrize("make", INDEXES)
def test_search_orders_ties_by_position(make: Callable[[int], SearchIndex]) -> None:
    documents = np.repeat(_vectors(4, 2), 3, axis=0)
    index = make(32)
    index.add(documents)
    _, positions = index.search(documents[:1], 12)
    assert positions[0, :3].tolist() == [0, 1, 2]
    for group in positions[0].reshape(4, 3):
        assert group.tolist() == sorted(group.tolist())
