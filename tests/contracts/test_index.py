"""What every search index must do, held against plain products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np
import pytest
import torch

from datagen.backends.index_approximate import ApproximateIndex
from datagen.backends.index_blocked import BlockedIndex
from datagen.backends.index_faiss import FaissFlatIndex
from datagen.backends.protocols import Float32, Int64, SearchDemand, SearchIndex, Telling
from datagen.progress import SilentProgress


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of FAISS wait for each other, on a busy machine far longer than these sizes take."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


class Stored:
    """Vectors as a source gives them; the order on disk is that of the numbers turned round."""

    def __init__(self, vectors: Float32) -> None:
        self.vectors = vectors
        self.reads = 0
        self.longest = 0

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def identity(self) -> str:
        return f"{abs(hash(self.vectors.tobytes())):x}"

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, numbers: Int64) -> Float32:
        self.longest = max(self.longest, len(numbers))
        return self.vectors[numbers]

    def blocks(self, rows: int) -> Iterator[tuple[Int64, Float32]]:
        self.reads += 1
        order = np.arange(len(self.vectors))[::-1].copy()
        for begin in range(0, len(order), rows):
            yield order[begin : begin + rows], self.take(order[begin : begin + rows])


class Make(Protocol):
    def __call__(self, documents: Stored, depth: int = 20) -> SearchIndex: ...


def _flat(documents: Stored, _: Path, __: int) -> SearchIndex:
    index = FaissFlatIndex(documents.dim)
    index.add(documents.vectors[: len(documents) // 3])
    index.add(documents.vectors[len(documents) // 3 :])
    return index


def _blocked(documents: Stored, _: Path, __: int) -> SearchIndex:
    return BlockedIndex(documents, 0, "cpu")  # in the smallest blocks


def _approximate(kind: str) -> Callable[[Stored, Path, int], SearchIndex]:
    def build(documents: Stored, folder: Path, depth: int) -> SearchIndex:
        demand = SearchDemand(500, depth, _vectors(100, 99), 2**20)
        index = ApproximateIndex(kind, documents, demand, 0.95, folder)
        index.build(SilentProgress())
        return index

    return build


EXACT = {"flat": _flat, "blocked": _blocked}
APPROXIMATE = {"ivf": _approximate("ivf"), "hnsw": _approximate("hnsw")}


def _making(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr("datagen.backends.index_approximate.PART_BYTES", 50_000)  # so that there are several
    monkeypatch.setattr("datagen.backends.index_blocked._TILES", {"cpu": (64, 256)})
    build = {**EXACT, **APPROXIMATE}[request.param]

    def make(documents: Stored, depth: int = 20) -> SearchIndex:
        return build(documents, folder, depth)

    return make


@pytest.fixture(params=EXACT)
def exact(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    return _making(request, tmp_path, monkeypatch)


@pytest.fixture(params=[*EXACT, *APPROXIMATE])
def every(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    return _making(request, tmp_path, monkeypatch)


def _vectors(n: int, seed: int, dim: int = 32) -> Float32:
    """Vectors around some centres, as those of texts are, of unit length, as a store of float16 holds them."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(1234).standard_normal((12, dim))
    vectors = centres[random.integers(0, 12, n)] + 0.7 * random.standard_normal((n, dim))
    unit: Float32 = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return unit


@pytest.mark.parametrize("n_queries", [1, 63, 511, 700])
@pytest.mark.parametrize("n_documents", [300, 1024, 3000])
def test_search_gives_the_best_documents_in_order(exact: Make, n_queries: int, n_documents: int) -> None:
    documents, queries = _vectors(n_documents, 0), _vectors(n_queries, 1)
    scores, positions = exact(Stored(documents)).search(queries, 20)
    products = queries.astype(np.float64) @ documents.T.astype(np.float64)
    assert scores.shape == positions.shape == (n_queries, 20)
    assert (str(scores.dtype), str(positions.dtype)) == ("float32", "int64")
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :20], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(products, positions, axis=1), scores, atol=1e-6)
    assert all(len(set(row)) == 20 for row in positions.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()


def test_search_orders_ties_by_position(every: Make) -> None:
    documents = np.repeat(_vectors(40, 2), 3, axis=0)
    _, positions = every(Stored(documents)).search(documents[:1], 12)
    assert positions[0, :3].tolist() == [0, 1, 2]
    for group in positions[0].reshape(4, 3):
        assert group.tolist() == sorted(group.tolist())


def test_the_first_of_many_equal_documents_are_taken(exact: Make) -> None:
    documents = np.repeat(_vectors(1, 3), 3000, axis=0)
    documents[7] = _vectors(8, 4)[7]
    if isinstance(exact(Stored(documents)), FaissFlatIndex):
        pytest.skip("FAISS keeps any of those that tie at the end of the list")
    _, positions = exact(Stored(documents)).search(documents[:3], 10)
    assert positions.tolist() == [[0, 1, 2, 3, 4, 5, 6, 8, 9, 10]] * 3


@pytest.mark.parametrize("n_documents", [1, 2, 5, 1100])
def test_all_documents_can_be_asked_for(every: Make, n_documents: int) -> None:
    documents, queries = _vectors(n_documents, 5), _vectors(70, 6)
    scores, positions = every(Stored(documents), n_documents).search(queries, n_documents)
    assert np.sort(positions, axis=1).tolist() == [list(range(n_documents))] * 70
    np.testing.assert_allclose(scores, -np.sort(-(queries @ documents.T), axis=1), atol=1e-6)


@pytest.mark.parametrize("k", [1, 20, 100, 400])
def test_every_position_is_a_document_once(every: Make, k: int) -> None:
    documents = np.concatenate([_vectors(2500, 7), np.repeat(_vectors(3, 8), 100, axis=0)])
    scores, positions = every(Stored(documents)).search(_vectors(200, 9), k)
    assert np.isfinite(scores).all()
    assert ((positions >= 0) & (positions < len(documents))).all()
    assert all(len(set(row)) == k for row in positions.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()


def test_the_recall_asked_for_is_reached(every: Make) -> None:
    documents, queries = _vectors(4000, 10), _vectors(300, 11)
    index = every(Stored(documents), depth=50)
    scores, _ = index.search(queries, 50)
    last = -np.sort(-(queries @ documents.T), axis=1)[:, 49:50]
    assert (scores >= last - 1e-6).mean() >= 0.93
    assert isinstance(index, Telling)
    assert index.facts.get("recall", 1.0) >= 0.95  # type: ignore[operator]


def test_opposite_vectors_are_found_last(exact: Make) -> None:
    documents = np.concatenate([-_vectors(700, 12)[:1].repeat(700, axis=0) + 0.001 * _vectors(700, 13)])
    scores, positions = exact(Stored(documents)).search(_vectors(700, 12)[:1], 5)
    products = _vectors(700, 12)[:1] @ documents.T
    assert (scores < 0).all()
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :5], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(products, positions, axis=1), scores, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("spread", [1.0, 0.02, 0.001], ids=["apart", "close", "closest"])
def test_blocked_search_is_exact_in_every_number_type(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, spread: float
) -> None:
    monkeypatch.setattr("datagen.backends.index_blocked._fastest_dtype", lambda device: dtype)
    monkeypatch.setattr("datagen.backends.index_blocked._TILES", {"cpu": (64, 256)})
    random = np.random.default_rng(14)
    documents = (random.standard_normal((1, 48)) + spread * random.standard_normal((5000, 48))).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    queries = documents[::50] + np.float32(0.01)
    scores, positions = BlockedIndex(Stored(documents), 0, "cpu").search(queries, 30)
    products = np.einsum("qd,nd->qn", queries.astype(np.float64), documents.astype(np.float64))
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :30], atol=3e-7)
    np.testing.assert_allclose(np.take_along_axis(products, positions, axis=1), scores, atol=3e-7)


def test_a_blocked_search_reads_the_corpus_once_in_blocks() -> None:
    documents = Stored(_vectors(9000, 15))
    BlockedIndex(documents, 0, "cpu").search(_vectors(1500, 16), 40)
    assert documents.reads == 1
    assert documents.longest <= 1024


def test_a_pair_has_one_score_whatever_is_searched_with_it() -> None:
    documents, queries = _vectors(5000, 17, dim=96), _vectors(600, 18, dim=96)
    whole = BlockedIndex(Stored(documents), 2**30, "cpu").search(queries, 25)
    parts = [BlockedIndex(Stored(documents), 0, "cpu").search(queries[i : i + 150], 25) for i in range(0, 600, 150)]
    assert np.concatenate([scores for scores, _ in parts]).tobytes() == whole[0].tobytes()
    assert np.concatenate([positions for _, positions in parts]).tobytes() == whole[1].tobytes()


def test_a_second_run_builds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.backends.index_approximate.PART_BYTES", 50_000)
    documents = Stored(_vectors(4000, 19))
    first = APPROXIMATE["ivf"](documents, tmp_path, 20)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.faiss")}
    assert len(files) > 3
    second = APPROXIMATE["ivf"](documents, tmp_path, 20)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.faiss")} == files
    queries = _vectors(50, 20)
    assert first.search(queries, 20)[1].tolist() == second.search(queries, 20)[1].tolist()


def test_a_killed_build_goes_on_with_the_part_that_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.backends.index_approximate.PART_BYTES", 50_000)
    documents = Stored(_vectors(4000, 21))
    whole = APPROXIMATE["hnsw"](documents, tmp_path, 20)
    paths = sorted(tmp_path.rglob("part-*.faiss"))
    kept = {path: path.read_bytes() for path in paths}
    paths[1].unlink()
    again = APPROXIMATE["hnsw"](documents, tmp_path, 20)
    assert {path: path.read_bytes() for path in paths if path != paths[1]} == {
        path: bytes_ for path, bytes_ in kept.items() if path != paths[1]
    }
    queries = _vectors(50, 22)
    np.testing.assert_allclose(again.search(queries, 20)[0], whole.search(queries, 20)[0], atol=0.05)


def test_other_documents_have_an_index_of_their_own(tmp_path: Path) -> None:
    for seed in (23, 24):
        APPROXIMATE["ivf"](Stored(_vectors(500, seed)), tmp_path, 20)
    assert len(list((tmp_path / "indexes").iterdir())) == 2


def test_a_recall_that_cannot_be_reached_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("datagen.backends.faiss_parts._PROBED", 0.0)  # one list at most
    random = np.random.default_rng(25).standard_normal((4000, 64)).astype(np.float32)
    unit = random / np.linalg.norm(random, axis=1, keepdims=True)
    index = ApproximateIndex("ivf", Stored(unit), SearchDemand(100, 20, unit[:100], 2**24), 0.99, tmp_path)
    index.build(SilentProgress())
    assert index.is_short_of_recall
    assert float(index.facts["recall"]) < 0.99
    assert "below min_recall 0.99 at the most effort: try --index blocked" in caplog.text
