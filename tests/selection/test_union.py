"""The union of sources, held against a plain loop over queries and documents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection.select import Candidates
from datagen.selection.union import FUSION_K, Union, order_by_quotas, random_candidates, unite

N_ROWS, N_DOCUMENTS = 4, 9
found_lists = st.lists(
    st.lists(st.permutations(range(N_DOCUMENTS)), min_size=N_ROWS, max_size=N_ROWS).flatmap(
        lambda rows: st.lists(st.integers(0, 6), min_size=N_ROWS, max_size=N_ROWS).map(
            lambda sizes: [row[:size] for row, size in zip(rows, sizes, strict=True)]
        )
    ),
    min_size=1,
    max_size=4,
)


def _candidates(lists: list[list[int]]) -> Candidates:
    rows = np.repeat(np.arange(len(lists)), [len(found) for found in lists])
    documents = np.asarray([document for found in lists for document in found], np.int64)
    ranks = np.asarray([rank for found in lists for rank in range(1, len(found) + 1)], np.int32)
    return Candidates(rows, documents, ranks, (documents + 10 * rows).astype(np.float32))


def _plain(sources: list[list[list[int]]], weights: list[float]) -> list[tuple[int, int, list[int]]]:
    """Row, document and rank in each source, in fused order."""
    expected = []
    for row in range(len(sources[0])):
        ranks: dict[int, list[int]] = {}  # in the order of sources and ranks, which settles ties
        for number, source in enumerate(sources):
            for rank, document in enumerate(source[row], start=1):
                ranks.setdefault(document, [0] * len(sources))[number] = rank
        fused = {
            document: sum(weight / (FUSION_K + rank) for weight, rank in zip(weights, own, strict=True) if rank)
            for document, own in ranks.items()
        }
        order = sorted(ranks, key=lambda document: -round(fused[document], 8))
        expected += [(row, document, ranks[document]) for document in order]
    return expected


@given(found_lists, st.permutations([0.5, 1.0, 2.0, 3.25]))
def test_union_is_that_of_a_plain_loop(lists: list[list[list[int]]], weights: list[float]) -> None:
    used = weights[: len(lists)]
    union = unite([_candidates(source) for source in lists], used)
    expected = _plain(lists, used)
    assert [(r, d) for r, d in zip(union.rows.tolist(), union.documents.tolist(), strict=True)] == [
        (row, document) for row, document, _ in expected
    ]
    assert union.ranks.tolist() == [ranks for _, _, ranks in expected] or not len(union)
    own = (union.documents + 10 * union.rows).astype(np.float32)
    assert np.array_equal(union.scores, np.where(union.found, own[:, None], np.nan), equal_nan=True)


def test_one_source_keeps_its_order() -> None:
    source = _candidates([[3, 1, 2], [], [5]])
    union = unite([source], [0.1])
    assert union.documents.tolist() == [3, 1, 2, 5]
    assert union.rows.tolist() == [0, 0, 0, 2]
    assert union.ranks.tolist() == [[1], [2], [3], [1]]
    assert union.best_source([0.1]).tolist() == [0, 0, 0, 0]


def test_a_heavier_source_goes_first_and_a_shared_candidate_before_both() -> None:
    first, second = _candidates([[0, 1, 2]]), _candidates([[3, 4, 2]])
    assert unite([first, second], [1.0, 1.0]).documents.tolist() == [2, 0, 3, 1, 4]
    assert unite([first, second], [1.0, 1.5]).documents.tolist() == [2, 3, 4, 0, 1]


def test_best_source_is_the_one_that_adds_most() -> None:
    union = unite([_candidates([[0, 1]]), _candidates([[1, 0, 2]])], [1.0, 1.0])
    best = dict(zip(union.documents.tolist(), union.best_source([1.0, 1.0]).tolist(), strict=True))
    assert best == {0: 0, 1: 1, 2: 1}
    heavy = dict(zip(union.documents.tolist(), union.best_source([9.0, 1.0]).tolist(), strict=True))
    assert heavy == {0: 0, 1: 0, 2: 1}


def test_agreement_counts_the_asked_sources_within_their_depth() -> None:
    union = unite([_candidates([[0, 1, 2]]), _candidates([[2, 1]]), _candidates([[0, 3]])], [1.0, 1.0, 1.0])
    shares = dict(zip(union.documents.tolist(), union.agreement(np.array([2, 2, 0])).tolist(), strict=True))
    assert shares == {0: 0.5, 1: 1.0, 2: 0.5, 3: 0.0}


def test_union_of_many_queries_is_that_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    lists = [[random.permutation(40)[: random.integers(0, 12)].tolist() for _ in range(300)] for _ in range(3)]
    sources, weights = [_candidates(source) for source in lists], [1.0, 0.5, 2.0]
    whole = unite(sources, weights)
    monkeypatch.setattr("datagen.selection.union._BLOCK", 64)
    cut = unite(sources, weights)
    assert whole.documents.tolist() == cut.documents.tolist()
    assert whole.rows.tolist() == cut.rows.tolist()
    assert whole.ranks.tolist() == cut.ranks.tolist()


def test_union_of_nothing_is_empty() -> None:
    assert len(unite([_candidates([]), _candidates([])], [1.0, 1.0])) == 0
    assert unite([_candidates([[], []]), _candidates([[], [4]])], [1.0, 1.0]).documents.tolist() == [4]


@pytest.mark.parametrize(("count", "n_documents", "expected"), [(10, 1000, 10), (10, 12, 10), (10, 3, 3), (1, 1, 1)])
def test_random_candidates_are_different_documents(count: int, n_documents: int, expected: int) -> None:
    keys = np.arange(50, dtype=np.uint64)
    drawn = random_candidates(keys, count, n_documents)
    sizes = np.bincount(drawn.rows, minlength=50)
    assert sizes.max() == expected
    assert sizes.mean() > 0.8 * expected
    assert drawn.documents.min() >= 0
    assert drawn.documents.max() < n_documents
    for row in range(50):
        own = drawn.documents[drawn.rows == row].tolist()
        assert len(own) == len(set(own))
        assert drawn.ranks[drawn.rows == row].tolist() == list(range(1, len(own) + 1))
    assert np.isnan(drawn.scores).all()


def test_random_candidates_depend_on_the_key_alone_and_are_spread_evenly() -> None:
    keys = np.arange(20_000, dtype=np.uint64)
    drawn = random_candidates(keys, 5, 100)
    again = random_candidates(keys[[7, 19]], 5, 100)
    assert again.documents.tolist() == drawn.documents[np.isin(drawn.rows, [7, 19])].tolist()
    counts = np.bincount(drawn.documents, minlength=100)
    assert abs(counts - 1000).max() < 6 * np.sqrt(1000)


quota_cases = st.integers(0, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 2), min_size=n, max_size=n).map(sorted),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=3, max_size=3),
    )
)


@given(quota_cases)
def test_quotas_hold_among_the_first_wanted(case: tuple[list[int], list[bool], list[list[bool]], list[int]]) -> None:
    rows, eligible = np.asarray(case[0], np.int64), np.asarray(case[1], bool)
    found, quotas = np.asarray(case[2], bool).reshape(-1, 3), np.asarray(case[3], np.int64)
    wanted = 6
    order = order_by_quotas(rows, eligible, found, quotas, wanted)
    assert sorted(order.tolist()) == list(range(len(rows)))
    assert (np.diff(rows[order]) >= 0).all()
    for row in set(case[0]):
        places = [place for place in order.tolist() if rows[place] == row and eligible[place]]
        for source, quota in enumerate(quotas):
            have = sum(bool(found[place, source]) for place in places)
            assert sum(bool(found[place, source]) for place in places[:wanted]) >= min(quota, have)
        chosen = [p for p in places[:wanted] if not found[p].any()]
        assert chosen == sorted(chosen)


def test_quotas_repeat_so_that_what_is_set_aside_is_replaced() -> None:
    rows, eligible = np.zeros(12, np.int64), np.ones(12, bool)
    found = np.array([[True, False]] * 8 + [[False, True]] * 4)
    order = order_by_quotas(rows, eligible, found, np.array([0, 1]), 3)
    assert order.tolist() == [8, 0, 1, 2, 9, 3, 4, 5, 10, 6, 7, 11]


def test_without_quotas_the_order_stays() -> None:
    rows = np.array([0, 0, 1, 1])
    found = np.array([[True, False]] * 4)
    assert order_by_quotas(rows, rows >= 0, found, np.zeros(2, np.int64), 5).tolist() == [0, 1, 2, 3]


def test_take_keeps_all_columns_together() -> None:
    union = unite([_candidates([[0, 1], [2]]), _candidates([[1], [3]])], [1.0, 1.0])
    part: Union = union.take(union.rows == 1)
    assert part.documents.tolist() == [2, 3]
    assert part.ranks.tolist() == [[1, 0], [0, 1]]
