"""Near-copies, by signatures and by the teacher's vectors."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.selection import near
from datagen.selection.arrays import Lists
from datagen.selection.near import NearTexts, Neighbours, Signatures, near_copies

WIDTH = 128


def _signatures(n: int) -> Signatures:
    return np.random.default_rng(0).integers(0, 1 << 16, (n, WIDTH)).astype(np.uint16)


def _copied(signatures: Signatures, source: int, target: int, values: int) -> None:
    """Let a text agree with another in so many values, spread evenly."""
    places = np.linspace(0, WIDTH - 1, values).astype(int)
    signatures[target, places] = signatures[source, places]


@pytest.mark.parametrize(("values", "holds"), [(128, True), (104, True), (103, True), (102, False), (60, False)])
def test_a_text_is_near_from_the_least_share_of_equal_values(values: int, holds: bool) -> None:
    signatures = _signatures(6)
    _copied(signatures, 5, 2, values)
    texts = NearTexts(lambda numbers: signatures[numbers], Lists(np.array([0, 1]), np.array([5])), 0.8)
    found = texts.holds(np.zeros(4, np.int64), np.arange(4))
    assert found.tolist() == [False, False, holds, False]


@pytest.mark.parametrize("pairs", [1, 7, 1 << 18])
def test_parts_of_any_size_give_what_all_pairs_give(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_PAIRS", pairs)
    random = np.random.default_rng(1)
    signatures = _signatures(40)
    for target in range(30):
        _copied(signatures, int(random.integers(30, 40)), target, int(random.integers(80, 128)))
    closed = Lists.from_pairs(random.integers(0, 8, 20), random.integers(30, 40, 20), 8)
    rows, documents = np.repeat(np.arange(8), 30), np.tile(np.arange(30), 8)
    found = NearTexts(lambda numbers: signatures[numbers], closed, 0.7).holds(rows, documents)
    share = (signatures[:, None] == signatures[None]).mean(axis=2)
    wanted = [
        any(share[document, text] >= 0.7 for text in closed.take(np.array([row])).values)
        for row, document in zip(rows, documents, strict=True)
    ]
    assert 10 < sum(wanted) < 200
    assert found.tolist() == wanted


def test_nothing_is_near_to_nothing() -> None:
    texts = NearTexts(lambda numbers: _signatures(3)[numbers], Lists(np.array([0, 0]), np.empty(0, np.int64)), 0.8)
    assert texts.holds(np.zeros(2, np.int64), np.arange(2)).tolist() == [False, False]
    assert not len(texts.holds(np.empty(0, np.int64), np.empty(0, np.int64)))


def _neighbours(scale: float = 1, shift: float = 0) -> Neighbours:
    # Query 0 has positives 5 and 6, query 1 none, query 2 has positive 5.
    scores = np.array([[1.0, 0.97, 0.9], [1.0, 0.94, 0.5]]) * scale + shift
    documents = np.array([[5, 1, 2], [6, 3, 4]])
    own = np.full(2, scale + shift, np.float32)
    return Neighbours(np.array([0, 1, 0]), np.array([0, 2, 2, 3]), documents, scores.astype(np.float32), own)


def test_copies_score_within_reach_of_the_positive_itself() -> None:
    copies = near_copies(_neighbours(), np.array([0.05, 9.0, 0.2]))
    assert [copies.take(np.array([row])).values.tolist() for row in range(3)] == [[1, 5, 6], [], [1, 2, 5]]


@pytest.mark.parametrize(("scale", "shift"), [(4.0, 0.0), (0.25, -3.0), (1.0, 2.0)])
def test_copies_are_the_same_for_scaled_and_shifted_scores(scale: float, shift: float) -> None:
    reach = np.array([0.05, 9.0, 0.2])
    plain, moved = near_copies(_neighbours(), reach), near_copies(_neighbours(scale, shift), scale * reach)
    assert moved.values.tolist() == plain.values.tolist()
    assert moved.starts.tolist() == plain.starts.tolist()
