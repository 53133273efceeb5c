"""Rows in batches: who may stand together, and what becomes of those that may not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection import batches
from datagen.selection.arrays import Bool, Int64, Lists
from datagen.selection.batches import Answers, SharedTexts, arrange_batches, pack_rows


def _lists(*rows: list[int]) -> Lists:
    return Lists(np.cumsum([0, *map(len, rows)]), np.array([value for row in rows for value in row], np.int64))


def _pairs(excludes: Bool) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in zip(*np.nonzero(excludes), strict=True) if a < b}


def test_rows_exclude_each_other_that_share_a_question_or_read_an_answer() -> None:
    question = np.array([7, 7, 1, 2, 3, 4])
    positives = _lists([10], [11], [12, 13], [13], [14], [15])
    read = _lists([20], [20], [20], [21], [12, 20], [])
    shared = SharedTexts(question, positives, read)
    assert _pairs(shared.among(np.arange(6))) == {(0, 1), (2, 3), (2, 4)}
    assert _pairs(shared.among(np.array([4, 5, 2]))) == {(0, 2)}


def _answers(queries: Sequence[Sequence[float]], positives: Sequence[Sequence[float]], **other: object) -> Bool:
    n = len(queries)
    fields = {"floor": np.full(n, -1.0), "reach": np.full(n, -1.0), "signatures": None, "least": 0.8} | other
    return Answers(np.array(queries, np.float32), np.array(positives, np.float32), **fields).exclude()  # type: ignore[arg-type]


ACROSS = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_a_passage_that_answers_as_well_excludes_its_row() -> None:
    assert _pairs(_answers(ACROSS, ACROSS)) == set()
    weak = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.2]]
    assert _pairs(_answers(ACROSS, weak)) == {(1, 2)}
    assert _pairs(_answers(ACROSS, weak, floor=np.array([-1, 0.95, -1]))) == set()


def test_copies_by_the_teacher_or_by_words_exclude_each_other() -> None:
    near = [[1.0, 0.0, 0.0], [0.96, 0.28, 0.0], [0.0, 0.0, 1.0]]
    assert _pairs(_answers(ACROSS, near)) == set()
    assert _pairs(_answers(ACROSS, near, reach=np.array([-1, 0.05, -1]))) == {(0, 1)}
    signatures = np.random.default_rng(0).integers(0, 1 << 16, (3, 128)).astype(np.uint16)
    signatures[2, :110] = signatures[0, :110]
    assert _pairs(_answers(ACROSS, ACROSS, signatures=signatures)) == {(0, 2)}


def test_the_rows_that_exclude_most_are_placed_first() -> None:
    excludes = np.zeros((6, 6), bool)
    excludes[4, [0, 1, 2]] = excludes[[0, 1, 2], 4] = True
    made, left = pack_rows(excludes, 3, 3)
    assert [batch.tolist() for batch in made] == [[4, 3, 5], [0, 1, 2]]
    assert len(left) == 0


def test_rows_that_fit_no_full_batch_are_left() -> None:
    excludes = np.ones((5, 5), bool)
    excludes[0] = excludes[:, 0] = False
    made, left = pack_rows(excludes, 2, 2)
    assert [batch.tolist() for batch in made] == [[1, 0]]
    assert left.tolist() == [2, 3, 4]
    assert [batch.tolist() for batch in pack_rows(excludes, 2, 1)[0]] == [[1, 0], [2], [3], [4]]


def _graph(kinds: Int64) -> batches.Conflicts:
    return lambda rows: np.equal(kinds[rows][:, None], kinds[rows])


@given(st.integers(0, 120), st.integers(1, 3), st.integers(1, 5), st.integers(2, 9), st.integers(0, 3))
def test_every_row_has_one_batch_of_one_source_without_conflicts(
    n: int, sources: int, clusters: int, size: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    source, cluster, kinds = (random.integers(0, most, n) for most in (sources, clusters, 40))
    numbers = arrange_batches(source, cluster, size, _graph(kinds), seed)
    sizes = np.bincount(numbers)
    assert (sizes > 0).all()
    assert sizes.max(initial=0) <= size
    assert (np.diff((sizes < size).astype(int)) >= 0).all()
    for number in range(len(sizes)):
        rows = numbers == number
        assert len(set(source[rows])) == 1
        assert len(set(kinds[rows])) == rows.sum()
    assert np.array_equal(numbers, arrange_batches(source, cluster, size, _graph(kinds), seed))


def test_batches_are_of_one_cluster_but_for_what_is_left_over() -> None:
    cluster = np.repeat([0, 1, 2], [20, 21, 23])
    numbers = arrange_batches(np.zeros(64, int), cluster, 4, _graph(np.arange(64)), 1)
    mixed = [number for number in range(16) if len(set(cluster[numbers == number])) > 1]
    assert np.bincount(numbers).tolist() == [4] * 16
    assert len(mixed) == 1


@pytest.mark.parametrize("at_once", [4, 1024])
def test_rows_that_wait_are_looked_at_with_those_that_come_later(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_ROWS_AT_ONCE", at_once)
    kinds = np.r_[np.zeros(30, int), np.arange(1, 91)]
    numbers = arrange_batches(np.zeros(120, int), np.zeros(120, int), 4, _graph(kinds), 3)
    assert (np.bincount(numbers) == 4).sum() >= 28
    for number in range(numbers.max() + 1):
        assert (kinds[numbers == number] == 0).sum() <= 1
