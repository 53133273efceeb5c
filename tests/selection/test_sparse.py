from __future__ import annotations

import numpy as np

from datagen.selection.sparse import SparseRows, all_dots, pair_dots


def _rows(dense: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> SparseRows:
    row, column = np.nonzero(dense)
    return SparseRows(np.searchsorted(row, np.arange(len(dense) + 1)), column * 1000, dense[row, column])


def _dense(n: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    random = np.random.default_rng(seed)
    return np.where(random.random((n, 12)) < 0.3, random.random((n, 12)), 0).astype(np.float32)


def test_dots_are_those_of_the_rows_written_out() -> None:
    left, right = _dense(7, 0), _dense(9, 1)
    left[3], right[4] = 0, 0
    np.testing.assert_allclose(all_dots(_rows(left), _rows(right)), left @ right.T, atol=1e-6)
    random = np.random.default_rng(2)
    i, j = random.integers(0, 7, 40), random.integers(0, 9, 40)
    np.testing.assert_allclose(pair_dots(_rows(left), _rows(right), i, j), (left @ right.T)[i, j], atol=1e-6)
    assert len(pair_dots(_rows(left), _rows(right), i[:0], j[:0])) == 0


def test_rows_are_taken_in_any_order() -> None:
    dense = _dense(6, 3)
    chosen = np.array([5, 0, 0, 2])
    taken = _rows(dense).take(chosen)
    assert len(taken) == 4
    np.testing.assert_allclose(all_dots(taken, _rows(dense)), dense[chosen] @ dense.T, atol=1e-6)


def test_rows_without_columns_have_no_product() -> None:
    nothing = _rows(np.zeros((2, 12), np.float32))
    assert all_dots(nothing, nothing).tolist() == [[0, 0], [0, 0]]
