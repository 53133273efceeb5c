"""Search on the first numbers of a vector, then all of them, held against search on all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from datagen.backends.index_faiss import FaissFlatIndex
from datagen.backends.index_prefix import PrefixIndex, PrefixVectors, cut
from datagen.backends.protocols import Float32, Int64, SearchIndex, Telling
from datagen.mining.miner import measure_recall


@dataclass
class Stored:
    """Vectors in memory as a source of vectors."""

    vectors: Float32

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def identity(self) -> str:
        return "stored"

    def take(self, numbers: Int64) -> Float32:
        return self.vectors[numbers]

    def blocks(self, rows: int) -> Iterator[tuple[Int64, Float32]]:
        for begin in range(0, len(self), rows):
            numbers = np.arange(begin, min(begin + rows, len(self)))
            yield numbers, self.take(numbers)


def _unit(vectors: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Float32:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _matryoshka(n: int, seed: int) -> Float32:
    """Unit vectors whose first numbers weigh most."""
    return _unit(np.random.default_rng(seed).standard_normal((n, 32)) * 0.8 ** np.arange(32))


def _index(documents: Float32, dims: int) -> SearchIndex:
    source = Stored(documents)
    first = FaissFlatIndex(dims)
    for _, vectors in PrefixVectors(source, dims).blocks(100):
        first.add(vectors)
    return PrefixIndex(first, source, dims)


def test_scores_are_those_of_the_whole_vectors_best_first() -> None:
    documents, queries = _matryoshka(300, 0), _matryoshka(40, 1)
    scores, places = _index(documents, 8).search(queries, 10)
    assert scores.shape == places.shape == (40, 10)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ documents.T, places, axis=1), atol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 10 for row in places.tolist())


def test_all_documents_overfetched_give_the_full_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.backends.index_prefix._DOCUMENTS", 7)  # several blocks
    documents, queries = _matryoshka(40, 0), _matryoshka(7, 1)
    _, places = _index(documents, 2).search(queries, 10)  # 4 times 10 is all of them
    assert places.tolist() == np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :10].tolist()


def test_ties_stand_by_position() -> None:
    documents = np.repeat(_matryoshka(4, 2), 3, axis=0)
    _, places = _index(documents, 4).search(documents[:1], 12)
    assert places[0, :3].tolist() == [0, 1, 2]


def test_no_query_gives_empty_results() -> None:
    documents = _matryoshka(20, 0)
    scores, places = _index(documents, 4).search(documents[:0], 3)
    assert scores.shape == places.shape == (0, 3)


def test_cut_vectors_have_unit_length_and_zeros_stay() -> None:
    documents = _matryoshka(20, 0)
    documents[3, :4] = 0
    source = PrefixVectors(Stored(documents), 4)
    assert (len(source), source.dim) == (20, 4)
    lengths = np.linalg.norm(source.take(np.arange(20)), axis=1)
    np.testing.assert_allclose(np.delete(lengths, 3), 1, atol=1e-6)
    assert lengths[3] == 0
    blocks = list(source.blocks(8))
    assert np.concatenate([numbers for numbers, _ in blocks]).tolist() == list(range(20))
    assert np.array_equal(np.concatenate([vectors for _, vectors in blocks]), cut(documents, 4))


def test_recall_rises_with_the_numbers_searched() -> None:
    documents, queries = _matryoshka(2000, 0), _matryoshka(50, 1)
    recalls = [measure_recall(_index(documents, dims), Stored(documents), queries, 20) for dims in (2, 8, 31)]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.7
    assert recalls[2] > 0.99
    assert measure_recall(_index(documents, 2), Stored(documents), queries[:0], 20) == 1.0


def test_index_says_what_it_searches_and_its_files_are_its_own() -> None:
    documents = _matryoshka(30, 0)
    index = _index(documents, 8)
    assert isinstance(index, Telling)
    assert index.facts == {"index": "flat", "dims": 8}
    assert len({PrefixVectors(Stored(documents), dims).identity for dims in (4, 8)} | {Stored(documents).identity}) == 3
