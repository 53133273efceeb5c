"""What is never a negative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.selection.arrays import Lists
from datagen.selection.closure import Closure, build_closure, closed_texts
from datagen.selection.fields import build_field_rule
from datagen.selection.near import NearTexts


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


def test_doubted_pairs_are_no_negatives_and_no_positives() -> None:
    pairs, doubted = (np.array([0, 1]), np.array([0, 2])), (np.array([0]), np.array([3]))
    closure = build_closure(pairs, np.array([90, 90]), np.array([10, 11, 12, 13, 14]), doubted=doubted)
    rows, documents = np.zeros(5, np.int64), np.arange(5)
    assert closure.known_positive(rows, documents).tolist() == [True, False, False, False, False]
    assert closure.positive_text(rows, documents).tolist() == [True, False, False, True, False]
    assert closure.sibling_positive(rows + 1, documents).tolist() == [True, False, True, True, False]


def test_kin_of_a_positive_is_closed_for_the_whole_family() -> None:
    pairs, kin = (np.array([0, 1, 2]), np.array([0, 2, 4])), (np.array([0]), np.array([3]))
    closure = build_closure(pairs, np.array([90, 91, 92]), np.array([10, 11, 12, 13, 14]), np.array([0, 0, 1]), kin=kin)
    documents = np.arange(5)
    for row, closed in ((0, [3]), (1, [3]), (2, [])):
        assert np.flatnonzero(closure.same_document(np.full(5, row), documents)).tolist() == closed
        assert not closure.positive_text(np.full(5, row), np.array([3] * 5)).any()


def test_positives_of_a_family_are_closed_for_all_of_it() -> None:
    pairs = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 3])
    closure = build_closure(pairs, np.array([90, 91, 92, 93]), np.arange(5), np.array([4, 0, 4, 1]))
    documents = np.arange(5)
    closed = [np.flatnonzero(closure.sibling_positive(np.full(5, row), documents)).tolist() for row in range(4)]
    assert closed == [[0, 2], [1], [0, 2], [3]]


def test_closed_texts_are_the_query_and_what_answers_its_family() -> None:
    closed = closed_texts((np.array([0, 1, 2]), np.array([3, 1, 0])), np.array([1, 0, 1]), 10)
    assert [closed.take(np.array([row])).values.tolist() for row in range(3)] == [[0, 3, 10], [1, 11], [0, 3, 12]]


@pytest.fixture
def ruled(closure: Closure) -> Closure:
    # Category of documents 0 to 4: a, b, none, a, b. Addresses: 0, 1, 0, none, 2.
    pairs = np.array([0, 1, 2]), np.array([0, 2, 3])
    category = build_field_rule(np.array([0, 1, -1, 0, 1]), pairs, 3)
    address = build_field_rule(np.array([0, 1, 0, -1, 2]), pairs, 3)
    return replace(closure, same_fields=(category,), unlike_fields=(address,))


def test_other_field_covers_documents_unlike_the_positives(ruled: Closure) -> None:
    assert _grid(ruled.other_field) == [
        [False, True, True, False, True],
        [False] * 5,  # the positive has no category: the rule says nothing
        [False, True, True, False, True],
    ]


def test_excluded_field_covers_documents_like_a_positive(ruled: Closure) -> None:
    assert _grid(ruled.excluded_field) == [
        [True, False, True, False, False],
        [True, False, True, False, False],
        [False] * 5,  # the positive has no address: no value is not a value in common
    ]


def test_take_keeps_fields_and_near_texts_of_the_rows(ruled: Closure) -> None:
    signatures = np.zeros((8, 32), np.uint16)
    signatures[:5] = np.arange(5)[:, None] + 1
    signatures[6] = 3  # query 1 repeats document 2
    signatures[[5, 7]] = [[90], [91]]
    near = NearTexts(lambda numbers: signatures[numbers], Lists(np.arange(4), np.arange(5, 8)), 0.8)
    taken = replace(ruled, near=near).take(np.array([2, 1]))
    rows, documents = np.repeat([0, 1], 5), np.tile(np.arange(5), 2)
    assert np.flatnonzero(taken.near_text(rows, documents)).tolist() == [5 + 2]
    assert taken.other_field(rows, documents).tolist() == [False, True, True, False, True, *[False] * 5]
    assert taken.excluded_field(rows, documents).tolist() == [*[False] * 5, True, False, True, False, False]


def test_without_rules_and_signatures_nothing_else_is_closed(closure: Closure) -> None:
    for test in (closure.near_text, closure.other_field, closure.excluded_field, closure.same_document):
        assert not np.array(_grid(test)).any()
