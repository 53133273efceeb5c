"""What is never a negative."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.selection.closure import Closure, build_closure


@pytest.fixture
def closure() -> Closure:
    # Queries 0 and 1 have one text (group 90); query 2 has the text of document 4 (group 14).
    # Documents 0 and 1 have one text (group 10).
    pairs = np.array([0, 1, 2]), np.array([0, 2, 3])
    return build_closure(pairs, np.array([90, 90, 14]), np.array([10, 10, 12, 13, 14]))


def _grid(test: object) -> list[list[bool]]:
    rows, documents = np.repeat(np.arange(3), 5), np.tile(np.arange(5), 3)
    return test(rows, documents).reshape(3, 5).tolist()  # type: ignore[operator, no-any-return]


def test_known_positive_is_the_labelled_document_alone(closure: Closure) -> None:
    assert _grid(closure.known_positive) == [
        [True, False, False, False, False],
        [False, False, True, False, False],
        [False, False, False, True, False],
    ]


def test_positive_text_covers_documents_of_equal_text(closure: Closure) -> None:
    assert _grid(closure.positive_text)[0] == [True, True, False, False, False]


def test_sibling_positive_covers_positives_of_queries_of_equal_text(closure: Closure) -> None:
    grid = _grid(closure.sibling_positive)
    assert grid[0] == grid[1] == [True, True, True, False, False]
    assert grid[2] == [False, False, False, True, False]


def test_query_text_covers_a_document_that_is_the_query(closure: Closure) -> None:
    assert _grid(closure.query_text) == [[False] * 5, [False] * 5, [False, False, False, False, True]]


def test_take_keeps_the_closure_of_the_rows(closure: Closure) -> None:
    taken = closure.take(np.array([2, 0]))
    assert taken.known_positive(np.array([0, 1]), np.array([3, 0])).tolist() == [True, True]
    assert taken.query_text(np.array([0]), np.array([4])).tolist() == [True]


def test_kin_of_a_positive_is_no_negative_and_no_positive() -> None:
    pairs, kin = (np.array([0, 1]), np.array([0, 2])), (np.array([0]), np.array([3]))
    closure = build_closure(pairs, np.array([90, 90]), np.array([10, 11, 12, 13, 14]), kin)
    rows, documents = np.zeros(5, np.int64), np.arange(5)
    assert closure.known_positive(rows, documents).tolist() == [True, False, False, False, False]
    assert closure.positive_text(rows, documents).tolist() == [True, False, False, True, False]
    assert closure.sibling_positive(rows + 1, documents).tolist() == [True, False, True, True, False]
