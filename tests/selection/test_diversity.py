"""Negatives that differ from each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection import diversity
from datagen.selection.arrays import Float32, Int64
from datagen.selection.choice import ChoiceRule, Eligible, LineUp, choose_first, line_up
from datagen.selection.diversity import diversify


def _line(sizes: list[int], rule: ChoiceRule) -> LineUp:
    rows = np.repeat(np.arange(len(sizes)), sizes)
    numbers = np.arange(len(rows))
    keys = (numbers * 2**40).astype(np.uint64)
    return line_up(rule, Eligible(rows, len(sizes), -numbers.astype(np.float32), np.zeros(len(sizes)), keys))


def _vectors(n: int, seed: int) -> Float32:
    vectors = np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)
    unit: Float32 = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _greedy(scores: Float32, vectors: Float32, weight: float, wanted: int) -> list[int]:
    """MMR as it is written in the paper, for one query."""
    picked: list[int] = []
    left = list(range(len(scores)))
    while left and len(picked) < wanted:
        lost = [max((float(vectors[c] @ vectors[p]) for p in picked), default=0.0) for c in left]
        values = [(1 - weight) * float(scores[c]) - weight * far for c, far in zip(left, lost, strict=True)]
        picked.append(left.pop(int(np.argmax(values))))
    return picked


lists_of_sizes = st.lists(st.integers(0, 9), min_size=1, max_size=9)


@given(lists_of_sizes, st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 99), st.booleans())
def test_each_query_gets_what_mmr_picks_by_itself(
    sizes: list[int], weight: float, seed: int, tiny_blocks: bool
) -> None:
    wanted, pool = 3, 2
    line = _line(sizes, ChoiceRule("top", (wanted,)))
    vectors = _vectors(len(line.rows), seed)
    scores = np.random.default_rng(seed + 1).random(len(line.rows)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        if tiny_blocks:
            patch.setattr(diversity, "_BLOCK_NUMBERS", 1)
        ordered = diversify(line, scores, lambda places: vectors[places], weight, pool)
    for row, size in enumerate(sizes):
        first = int(np.searchsorted(line.rows, row))
        members = np.arange(first, first + min(size, wanted * pool))
        expected = members[_greedy(scores[members], vectors[members], weight, wanted)]
        of_row = ordered.places[ordered.rows == row]
        assert of_row[:wanted].tolist() == expected.tolist()
        rest = [place for place in range(first, first + size) if place not in set(expected)]
        assert of_row[len(expected) :].tolist() == rest


def test_a_copy_of_a_negative_gives_way_to_another() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    line = _line([3], ChoiceRule("top", (2,)))
    scores = np.array([0.9, 0.8, 0.5], np.float32)
    for weight, expected in ((0.05, [0, 1]), (0.5, [0, 2]), (1.0, [0, 2])):
        ordered = diversify(line, scores, lambda places: vectors[places], weight, 4)
        assert ordered.places[choose_first(ordered)].tolist() == expected


def test_each_tier_keeps_its_number() -> None:
    line = _line([30, 9], ChoiceRule("tiers", (4, 2, 1)))
    vectors = _vectors(39, 5)
    scores = np.linspace(1, 0, 39, dtype=np.float32)[line.places]
    asked: list[Int64] = []

    def take(places: Int64) -> Float32:
        asked.append(places)
        return vectors[line.places[places]]

    ordered = diversify(line, scores, take, 0.7, 2)
    assert len(np.concatenate(asked)) == 14 + 9  # twice 4, 2 and 1, and all that the second query has
    chosen = ordered.take(np.flatnonzero(choose_first(ordered)))
    assert np.bincount(chosen.tiers[chosen.rows == 0]).tolist() == [4, 2, 1]
    assert np.bincount(chosen.tiers[chosen.rows == 1]).tolist() == [3, 3, 1]
    assert chosen.places[chosen.rows == 0].tolist() != line.places[choose_first(line)].tolist()[:7]


def test_no_candidates_are_no_matter() -> None:
    line = _line([0, 0], ChoiceRule("top", (2,)))
    assert len(diversify(line, np.empty(0, np.float32), lambda places: _vectors(0, 0), 0.5, 2).rows) == 0
