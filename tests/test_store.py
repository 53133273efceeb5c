"""Rows of numbers under the hash of what produced them."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datagen.backends.protocols import Float32, Int64, Role, TokenUsage
from datagen.config import DenoiseConfig, TeacherConfig
from datagen.errors import BackendError
from datagen.progress import SilentProgress
from datagen.scores import PairScores, Texts
from datagen.store import ArrayStore, hash_pairs, hash_texts
from datagen.testing import HashingTeacher, OverlapReranker
from datagen.vectors import TextVectors, parts_of

TEXTS = pl.Series(["one", "two words", "three words here", "one"])


def test_a_store_gives_back_rows_by_key(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, np.float16)
    keys = hash_texts(["a", "b", "c"])
    store.append(keys[:2], np.array([[1, 2], [3, 4]], np.float32))
    store.append(keys[2:], np.array([[5, 6]], np.float32))
    places = store.locate(hash_texts(["c", "x", "a"]))
    assert places.tolist()[1] == -1
    assert store.take(places[[0, 2]]).tolist() == [[5, 6], [1, 2]]
    assert store.take(places[[0, 2]]).dtype == np.float16


def test_what_was_read_does_not_stay_in_memory(tmp_path: Path) -> None:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc to see what this process holds")
    store = ArrayStore(tmp_path, np.float32)
    for part in range(4):
        keys = np.random.default_rng(part).integers(0, 2**62, (4000, 2)).astype(np.uint64)
        store.append(keys, np.ones((4000, 1024), np.float32))
    before = _file_pages(statm)
    assert (store.take(np.arange(16_000)) == 1).all()  # 62 MiB of pages
    assert _file_pages(statm) - before < 16 * 2**20


def _file_pages(statm: Path) -> int:
    """Bytes of files that lie in this process's own memory."""
    return int(statm.read_text().split()[2]) * mmap.PAGESIZE


def test_the_identity_of_rows_is_that_of_their_keys_in_order(tmp_path: Path) -> None:
    store, other = ArrayStore(tmp_path, np.float32), ArrayStore(tmp_path, np.float32)
    for text in ("b", "a", "c"):
        store.append(hash_texts([text]), np.ones((1, 2), np.float32))
    other.refresh()  # sees the parts in the order of their names
    wanted = hash_texts(["a", "c"])
    assert store.identity(store.locate(wanted)) == other.identity(other.locate(wanted))
    assert store.identity(store.locate(wanted)) != store.identity(store.locate(wanted[::-1]))


def test_another_process_sees_the_parts_after_refresh(tmp_path: Path) -> None:
    writer, reader = ArrayStore(tmp_path, np.float32), ArrayStore(tmp_path, np.float32)
    assert reader.width == 0
    writer.append(hash_texts(["a"]), np.ones((1, 3), np.float32))
    assert reader.locate(hash_texts(["a"])).tolist() == [-1]
    reader.refresh()
    assert (reader.locate(hash_texts(["a"])).tolist(), reader.width) == ([0], 3)


def test_a_part_without_its_keys_does_not_exist(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path, np.float32)
    store.append(hash_texts(["a"]), np.ones((1, 3), np.float32))
    next(tmp_path.glob("*.keys.npy")).unlink()
    again = ArrayStore(tmp_path, np.float32)
    again.refresh()
    assert again.locate(hash_texts(["a"])).tolist() == [-1]


def test_pair_keys_depend_on_the_order() -> None:
    a, b = hash_texts(["a"]), hash_texts(["b"])
    assert not np.array_equal(hash_pairs(a, b), hash_pairs(b, a))


class CountingTeacher(HashingTeacher):
    def __init__(self) -> None:
        super().__init__(TeacherConfig())
        self.calls: list[list[str]] = []

    def encode(self, texts: object, role: Role) -> Float32:
        self.calls.append(list(texts))  # type: ignore[call-overload]
        return super().encode(self.calls[-1], role)


def _vectors(cache: Path) -> TextVectors:
    return TextVectors(cache, "identity", "document", exact=True)


def test_texts_are_embedded_once_each_longest_first(tmp_path: Path) -> None:
    teacher = CountingTeacher()
    places, new = _vectors(tmp_path).ensure(TEXTS, lambda: teacher, SilentProgress())
    assert new == 3
    assert teacher.calls == [["three words here", "two words", "one"]]
    assert places[0] == places[3]
    again = _vectors(tmp_path)
    more, new = again.ensure(pl.concat([TEXTS, pl.Series(["four"])]), lambda: teacher, SilentProgress())
    assert new == 1
    assert teacher.calls[1:] == [["four"]]
    np.testing.assert_array_equal(again.take(more)[1], teacher.encode(["two words"], "document")[0])


def test_other_identity_or_role_never_meets_these_vectors(tmp_path: Path) -> None:
    _vectors(tmp_path).ensure(TEXTS, CountingTeacher, SilentProgress())
    for store in (
        TextVectors(tmp_path, "other", "document", exact=True),
        TextVectors(tmp_path, "identity", "query", exact=True),
    ):
        assert store.ensure(TEXTS, CountingTeacher, SilentProgress())[1] == 3


@pytest.mark.parametrize("stop_after", range(1, 6))
def test_a_killed_embedding_goes_on_with_the_same_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    monkeypatch.setattr("datagen.vectors.PART_CHARACTERS", 1500)
    texts = pl.Series([f"text {i} " * (1 + i % 7) for i in range(40)])

    class Dying(CountingTeacher):
        def encode(self, texts: object, role: Role) -> Float32:
            if len(self.calls) == stop_after:
                raise KeyboardInterrupt
            return super().encode(texts, role)

    whole, dying, rest = CountingTeacher(), Dying(), CountingTeacher()
    _vectors(tmp_path / "a").ensure(texts, lambda: whole, SilentProgress())
    with pytest.raises(KeyboardInterrupt):
        _vectors(tmp_path / "b").ensure(texts, lambda: dying, SilentProgress())
    _vectors(tmp_path / "b").ensure(texts, lambda: rest, SilentProgress())
    assert dying.calls + rest.calls == whole.calls


def test_parts_respect_the_budget_and_hold_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.vectors.PART_CHARACTERS", 8)
    sizes = np.array([50, 3, 4, 2, 9])
    assert [part.tolist() for part in parts_of(np.arange(5), sizes)] == [[0], [1, 2], [3], [4]]
    assert [part.tolist() for part in parts_of(np.arange(3, 5), sizes)] == [[3], [4]]


def test_very_many_texts_make_no_more_than_some_hundred_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.vectors.PART_CHARACTERS", 8)
    assert len(list(parts_of(np.arange(50_000), np.full(50_000, 5)))) <= 501


def test_a_teacher_whose_vectors_are_not_of_unit_length_is_told(tmp_path: Path) -> None:
    class Long(HashingTeacher):
        def encode(self, texts: Sequence[str], role: Role) -> Float32:
            return super().encode(texts, role) * np.float32(3)

    with pytest.raises(BackendError, match="not of unit length for 3 of 3 texts"):
        _vectors(tmp_path).ensure(TEXTS, lambda: Long(TeacherConfig()), SilentProgress())


@pytest.mark.parametrize("broken", ["nan", "short"])
def test_a_broken_teacher_is_a_clear_stop(tmp_path: Path, broken: str) -> None:
    class Broken(HashingTeacher):
        usage = TokenUsage()

        def encode(self, texts: object, role: Role) -> Float32:
            vectors = super().encode(list(texts), role)  # type: ignore[call-overload]
            return vectors[:-1] if broken == "short" else vectors * np.float32("nan")

    words = r"shape \(2, 64\) for 3 texts" if broken == "short" else "NaN or infinite numbers for 3 of 3"
    with pytest.raises(BackendError, match=words):
        _vectors(tmp_path).ensure(TEXTS, lambda: Broken(TeacherConfig()), SilentProgress())


def _pairs() -> tuple[Texts, Texts, tuple[Int64, Int64]]:
    return Texts.of(pl.Series(["one two", "three"])), Texts.of(TEXTS), (np.array([0, 1, 0, 0]), np.array([1, 2, 0, 3]))


def test_pairs_are_scored_once_each(tmp_path: Path) -> None:
    queries, documents, pairs = _pairs()
    make = OverlapReranker(DenoiseConfig())
    scores, new = PairScores(tmp_path, "r").ensure(queries, documents, pairs, lambda: make, SilentProgress())
    assert scores.tolist() == [0.5, 1.0, 0.5, 0.5]
    assert new == 3  # document 3 has the text of document 0
    again, new = PairScores(tmp_path, "r").ensure(queries, documents, pairs, lambda: make, SilentProgress())
    assert (again.tolist(), new) == (scores.tolist(), 0)


def test_no_pairs_need_no_reranker(tmp_path: Path) -> None:
    queries, documents, _ = _pairs()
    none = np.empty(0, np.int64)

    def never() -> OverlapReranker:
        raise AssertionError("the reranker was asked for")

    scores, new = PairScores(tmp_path, "r").ensure(queries, documents, (none, none), never, SilentProgress())
    assert (len(scores), new) == (0, 0)


@pytest.mark.parametrize("broken", ["nan", "shape"])
def test_a_broken_reranker_is_a_clear_stop(tmp_path: Path, broken: str) -> None:
    class Broken(OverlapReranker):
        def score(self, pairs: object) -> Float32:
            return np.full(3 if broken == "nan" else 2, np.nan, np.float32)

    queries, documents, pairs = _pairs()
    with pytest.raises(BackendError, match="NaN or infinite scores for 3 of 3" if broken == "nan" else "shape"):
        PairScores(tmp_path, "r").ensure(queries, documents, pairs, lambda: Broken(DenoiseConfig()), SilentProgress())
