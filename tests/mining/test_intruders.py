"""The search for passages near to improbably many queries, and what the report says of them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from datagen.backends.protocols import Float32, Int64
from datagen.mining.intruders import SAMPLE, search_intruders, tell_intruders

DIM = 32


class _Index:
    """Finds exactly."""

    def __init__(self, documents: Float32) -> None:
        self.documents = documents
        self.asked = 0

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        self.asked += len(vectors)
        scores = vectors @ self.documents.T
        positions = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, positions, axis=1), positions


def _unit(vectors: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Float32:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture
def world() -> tuple[Float32, Float32]:
    """Queries in 30 topics that lean one way, five documents of each topic, and one document that lies that way."""
    rng = np.random.default_rng(0)
    lean = np.zeros(DIM)
    lean[0] = 2.5
    topics = np.repeat(rng.standard_normal((30, DIM)), 20, axis=0) * np.r_[0, np.ones(DIM - 1)]
    queries = topics + lean + 0.4 * rng.standard_normal(topics.shape)
    documents = topics[::4] + 0.4 * rng.standard_normal((len(topics) // 4, DIM))
    return _unit(queries), _unit(np.vstack([documents, 2 * lean]))


def test_document_near_to_all_kinds_of_queries_is_found(world: tuple[Float32, Float32]) -> None:
    queries, documents = world
    index, last = _Index(documents), len(documents) - 1
    family = np.arange(len(queries))
    found = search_intruders(index, lambda rows: queries[rows], family, np.empty(0, np.int64), (len(documents), 0))
    assert found.documents.tolist() == [last]


def test_known_positive_is_none(world: tuple[Float32, Float32]) -> None:
    queries, documents = world
    positives = np.array([len(documents) - 1])
    family = np.arange(len(queries))
    found = search_intruders(_Index(documents), lambda rows: queries[rows], family, positives, (len(documents), 0))
    assert found.documents.tolist() == []
    assert tell_intruders(found, pl.Series(["a"])) == {}


def test_queries_that_ask_the_same_are_asked_once(world: tuple[Float32, Float32]) -> None:
    queries, documents = world
    index = _Index(documents)
    family = np.arange(len(queries)) // 2
    found = search_intruders(index, lambda rows: queries[rows], family, np.empty(0, np.int64), (len(documents), 0))
    assert index.asked == found.queries == len(queries) // 2


def test_sample_of_many_queries_is_looked_at(world: tuple[Float32, Float32]) -> None:
    queries, documents = world
    index = _Index(documents)
    many = np.arange(SAMPLE + 100)
    search_intruders(index, lambda rows: queries[rows % len(queries)], many, np.empty(0, np.int64), (len(documents), 0))
    assert index.asked == SAMPLE


def test_report_names_them_with_why(world: tuple[Float32, Float32]) -> None:
    queries, documents = world
    ids = pl.Series([f"d{n}" for n in range(len(documents))])
    found = search_intruders(
        _Index(documents), lambda rows: queries[rows], np.arange(len(queries)), np.empty(0, np.int64), (len(ids), 0)
    )
    told = tell_intruders(found, ids)["adversarial"]
    assert [row["doc_id"] for row in told] == [f"d{len(documents) - 1}"]
    assert told[0]["why"].endswith(" of 600 queries")
