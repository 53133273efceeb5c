from __future__ import annotations

from math import log2

import numpy as np
import pytest

from datagen.probe.measures import Judgements, bootstrap, measure, rank


def _judged(*rows: tuple[int, int, float]) -> Judgements:
    query, document, gain = zip(*rows, strict=True)
    return Judgements(np.array(query), np.array(document), np.array(gain, np.float32))


def test_ndcg_is_the_one_computed_by_hand() -> None:
    judged = _judged((0, 3, 2), (0, 5, 1), (1, 1, 1))
    ranked = np.array([[5, 0, 3, 1], [0, 2, 4, 1]])
    ndcg, _ = measure(ranked, judged)
    assert ndcg == pytest.approx([(1 + 2 / log2(4)) / (2 + 1 / log2(3)), 1 / log2(5)])


def test_ndcg_looks_at_ten_documents_alone() -> None:
    ranked = np.array([[*range(100, 110), 0], [*range(100, 109), 0, 1]])
    ndcg, recall = measure(ranked, _judged((0, 0, 1), (1, 0, 1)))
    assert ndcg == pytest.approx([0, 1 / log2(11)])
    assert recall.tolist() == [1, 1]


def test_ideal_ranking_has_ten_documents_at_most() -> None:
    judged = _judged(*((0, document, 1) for document in range(12)))
    ndcg, recall = measure(np.arange(10)[None], judged)
    assert ndcg == pytest.approx([1])
    assert recall == pytest.approx([10 / 12])


def test_recall_looks_at_a_hundred_documents() -> None:
    ranked = np.arange(120)[None]
    _, recall = measure(ranked, _judged((0, 99, 1), (0, 100, 1)))
    assert recall.tolist() == [0.5]


def test_rank_puts_the_best_first_and_ties_by_number() -> None:
    documents = np.array([[0, 1], [1, 0], [1, 0], [0.5, 0]], np.float32)
    assert rank(np.array([[1, 0], [0, 1]], np.float32), documents, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert rank(np.array([[1, 0]], np.float32), documents, 9).tolist() == [[1, 2, 3, 0]]


def test_rank_is_that_of_a_full_sort_when_queries_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    queries = random.standard_normal((50, 8), np.float32)
    documents = random.standard_normal((200, 8), np.float32)
    monkeypatch.setattr("datagen.probe.measures._SCORES", 3 * len(documents))
    assert (rank(queries, documents, 20) == np.argsort(-(queries @ documents.T), axis=1)[:, :20]).all()


def test_interval_of_a_sure_difference_leaves_out_zero() -> None:
    found = bootstrap(np.full(40, 0.1), 0.95, seed=1)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_interval_is_that_of_the_normal_distribution_for_many_queries() -> None:
    values = np.random.default_rng(5).normal(0.02, 0.3, 900)
    found = bootstrap(values, 0.95, seed=1)
    error = values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_interval_is_wider_when_more_confidence_is_wanted() -> None:
    values = np.random.default_rng(5).normal(0, 1, 100)
    narrow, wide = bootstrap(values, 0.5, seed=1), bootstrap(values, 0.99, seed=1)
    assert wide.low < narrow.low < narrow.high < wide.high
