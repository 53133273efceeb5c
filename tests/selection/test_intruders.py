"""Passages near to improbably many queries, told from natural hubs."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.selection.arrays import Float32, Int64
from datagen.selection.intruders import find_intruders

TOPICS, EACH, DIM = 40, 20, 64


def _world(seed: int = 0) -> tuple[Float32, Float32]:
    """Unit vectors of queries and documents about the same topics."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((TOPICS, DIM))
    near = np.repeat(topics, EACH, axis=0)
    pair = [near + 0.7 * rng.standard_normal(near.shape) for _ in range(2)]
    queries, documents = ((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for x in pair)
    return queries, documents


def _nearest(queries: Float32, documents: Float32, k: int = 10) -> Int64:
    return np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :k]


def test_natural_corpus_has_none() -> None:
    queries, documents = _world()
    assert find_intruders(_nearest(queries, documents), queries, len(documents)).documents.tolist() == []


@pytest.mark.parametrize("scale", [1.0, 0.3], ids=["as-is", "other-scale"])
def test_document_in_the_middle_of_unlike_queries_is_found(scale: float) -> None:
    queries, documents = _world()
    nearest = _nearest(queries, documents)
    nearest[::4, -1] = len(documents)
    found = find_intruders(nearest, queries * np.float32(scale), len(documents) + 1)
    assert found.documents.tolist() == [len(documents)]
    assert found.near.tolist() == [200]
    assert found.queries == len(queries)


def test_hub_of_one_topic_is_none() -> None:
    queries, documents = _world()
    many = np.r_[queries, np.repeat(queries[:EACH], 20, axis=0)]
    nearest = _nearest(many, documents)
    assert np.bincount(nearest.ravel()).max() > 200
    assert find_intruders(nearest, many, len(documents)).documents.tolist() == []


def test_few_queries_tell_nothing() -> None:
    queries, documents = _world()
    nearest = _nearest(queries, documents)[:99]
    nearest[:, -1] = 0
    assert find_intruders(nearest, queries[:99], len(documents)).documents.tolist() == []


def test_some_can_be_taken_out() -> None:
    queries, documents = _world()
    nearest = _nearest(queries, documents)
    nearest[::4, -1], nearest[1::5, -1] = len(documents), len(documents) + 1
    found = find_intruders(nearest, queries, len(documents) + 2)
    assert found.documents.tolist() == [len(documents), len(documents) + 1]
    assert found.take(found.documents > len(documents)).documents.tolist() == [len(documents) + 1]
