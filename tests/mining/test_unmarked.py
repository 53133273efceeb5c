"""How many positives may be unmarked is read off how often a known one stands first."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.backends.index_faiss import FaissFlatIndex
from datagen.backends.protocols import Float32
from datagen.mining.unmarked import FEWEST, MOST, SAMPLE, bound_unmarked, choose_sample
from datagen.selection.arrays import Lists
from datagen.selection.closure import Closure, build_closure

N = 200


def _index(vectors: Float32) -> FaissFlatIndex:
    index = FaissFlatIndex(vectors.shape[1])
    index.add(vectors)
    return index


def _closure(positives: list[int], groups: list[int] | None = None) -> Closure:
    rows = np.arange(len(positives))
    group = np.arange(N) if groups is None else np.array(groups)
    return build_closure((rows, np.array(positives, np.int64)), rows + N, group, rows)


def _share_first(share: float, n: int = 100) -> float:
    """The bound where this share of n queries has its positive first, another document's vector being nearer else."""
    documents = np.eye(N, dtype=np.float32)
    positives = [i if i < share * n else N - 1 for i in range(n)]
    return bound_unmarked(_index(documents), documents[:n], _closure(positives))


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        pytest.param(1.0, FEWEST, id="always first"),
        pytest.param(0.5, FEWEST, id="one of two"),
        pytest.param(0.25, np.log2(110 / 26 - 1), id="one of four"),
        pytest.param(0.1, MOST, id="rarely"),
        pytest.param(0.0, MOST, id="never"),
    ],
)
def test_the_bound_follows_from_the_share_of_positives_in_first_place(share: float, expected: float) -> None:
    assert _share_first(share) == pytest.approx(expected)


def test_few_queries_tell_little() -> None:
    assert _share_first(1.0, n=3) > _share_first(1.0, n=100) == FEWEST


def test_a_copy_of_the_positive_counts_as_the_positive() -> None:
    documents = np.eye(N, dtype=np.float32)
    groups = [i // 2 for i in range(N)]  # document 2i + 1 says the same as 2i
    copies = [2 * (i // 2) + 1 - i % 2 for i in range(100)]
    assert bound_unmarked(_index(documents), documents[:100], _closure(copies, groups)) == FEWEST


def test_a_copy_of_the_query_is_passed_over() -> None:
    documents = np.eye(N, dtype=np.float32)
    documents[:100] = 0.0
    documents[:100, 100:] = np.eye(100, dtype=np.float32) * 0.9
    rows = np.arange(100)
    group = np.arange(N)
    closure = build_closure((rows, rows), rows + 100, group, rows)  # document 100 + i repeats query i, i answers it
    assert bound_unmarked(_index(documents), documents[100:], closure) == FEWEST


def test_no_queries_tell_nothing() -> None:
    assert np.isnan(bound_unmarked(_index(np.eye(N, dtype=np.float32)), np.empty((0, N), np.float32), _closure([])))


def test_the_sample_holds_queries_with_positives_alone_and_is_the_same_each_time() -> None:
    rows = np.arange(0, 4 * SAMPLE, 2)
    positives = Lists.from_pairs(rows, rows, 4 * SAMPLE)
    chosen = choose_sample(positives, 7)
    assert len(chosen) == SAMPLE
    assert (chosen % 2 == 0).all()
    assert chosen.tolist() == choose_sample(positives, 7).tolist() == sorted(set(chosen.tolist()))
