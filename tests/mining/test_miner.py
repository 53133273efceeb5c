"""The block search: depth on demand, near positives, invariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.backends.index_faiss import FaissFlatIndex
from datagen.backends.protocols import Float32, Int64
from datagen.errors import BackendError
from datagen.mining.miner import Found, Fusion, Miner
from datagen.selection.closure import Closure, build_closure
from datagen.selection.doubt import FEATURES, DoubtModel, DoubtRule
from datagen.selection.select import Candidates, Reason, choose_top
from datagen.settings.mine import MineConfig

N_QUERIES, N_DOCUMENTS = 60, 900


def _unit(n: int, seed: int) -> Float32:
    vectors = np.random.default_rng(seed).standard_normal((n, 24)).astype(np.float32)
    unit: Float32 = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _closure() -> Closure:
    random = np.random.default_rng(5)
    pairs = np.repeat(np.arange(N_QUERIES), 2), random.integers(0, N_DOCUMENTS, 2 * N_QUERIES)
    return build_closure(pairs, np.arange(10_000, 10_000 + N_QUERIES), np.arange(N_DOCUMENTS))


def _miner(documents: Float32, wanted: int = 5, **settings: object) -> Miner:
    index = FaissFlatIndex(documents.shape[1])
    index.add(documents)
    config = MineConfig.model_validate({"candidates": 20, "floor_rank": 15, "margin_policy": "spread", **settings})
    return Miner(config, wanted, index, len(documents), lambda numbers: documents[numbers], documents[::2])


def _negatives(found: Found, n: int = 5) -> list[tuple[int, int]]:
    chosen = choose_top(found.candidates.rows, found.reasons == Reason.SURPLUS, n, N_QUERIES)
    return list(zip(found.candidates.rows[chosen].tolist(), found.candidates.documents[chosen].tolist(), strict=True))


@pytest.mark.parametrize(("scale", "shift"), [(4.0, 0.0), (0.25, 0.0), (1.0, 2.0), (3.0, -5.0), (0.7, 0.3)])
@pytest.mark.parametrize("policy", ["adaptive", "spread"])
def test_the_negatives_are_the_same_for_scaled_and_shifted_scores(policy: str, scale: float, shift: float) -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    plain = _miner(documents, margin_policy=policy).mine(queries, _closure())
    # <(√a q, 1), (√a d, b)> = a <q, d> + b, and document neighbourhoods keep their order.
    moved_queries = np.hstack([np.sqrt(scale) * queries, np.ones((N_QUERIES, 1))]).astype(np.float32)
    moved_documents = np.hstack([np.sqrt(scale) * documents, np.full((N_DOCUMENTS, 1), shift)]).astype(np.float32)
    moved = _miner(moved_documents, margin_policy=policy).mine(moved_queries, _closure())
    np.testing.assert_allclose(moved.doubts, plain.doubts, atol=1e-3)
    np.testing.assert_allclose(moved.positives.scores, scale * plain.positives.scores + shift, atol=1e-4)
    assert _negatives(moved) == _negatives(plain)


def test_relative_depends_on_the_shift_which_others_are_there_to_mend() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    moved_queries = np.hstack([queries, np.ones((N_QUERIES, 1))]).astype(np.float32)
    moved_documents = np.hstack([documents, np.full((N_DOCUMENTS, 1), 3.0)]).astype(np.float32)
    plain = _miner(documents, margin_policy="relative").mine(queries, _closure())
    moved = _miner(moved_documents, margin_policy="relative").mine(moved_queries, _closure())
    assert _negatives(moved) != _negatives(plain)


def test_a_short_query_is_searched_deeper_and_the_others_are_not() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    order = np.argsort(-(queries @ documents.T), axis=1)
    rank = np.where(np.arange(N_QUERIES) < 30, 0, 100)  # the positive of half of the queries is their nearest document
    pairs = np.arange(N_QUERIES), order[np.arange(N_QUERIES), rank]
    closure = build_closure(pairs, np.arange(10_000, 10_000 + N_QUERIES), np.arange(N_DOCUMENTS))
    found = _miner(documents, margin_policy="absolute", margin=0.0, max_candidates=800).mine(queries, closure)
    depth = np.bincount(found.candidates.rows, minlength=N_QUERIES)
    eligible = np.bincount(found.candidates.rows[found.reasons == Reason.SURPLUS], minlength=N_QUERIES)
    assert (depth[:30] == 21).all()  # candidates and room for one positive
    assert (depth[30:] == 168).all()  # doubled until five documents behind rank 101 are seen
    assert (eligible >= 5).all()
    for row in range(30, N_QUERIES):
        at_half = found.candidates.ranks[found.candidates.rows == row] <= depth[row] // 2
        assert (found.reasons[found.candidates.rows == row][at_half] == Reason.SURPLUS).sum() < 5


def test_depth_never_passes_the_corpus() -> None:
    documents = _unit(9, 1)
    closure = build_closure((np.array([0]), np.array([3])), np.array([99]), np.arange(9))
    found = _miner(documents).mine(_unit(1, 0), closure)
    assert sorted(found.candidates.documents.tolist()) == list(range(9))


def test_documents_nearest_to_a_positive_are_set_aside() -> None:
    documents = _unit(N_DOCUMENTS, 1)
    documents[7] = documents[3] + 0.01 * documents[8]
    documents[7] /= np.linalg.norm(documents[7])
    closure = build_closure((np.array([0]), np.array([3])), np.array([9999]), np.arange(N_DOCUMENTS))
    miner = _miner(documents, near_positive_limit=1, candidates=N_DOCUMENTS, margin=0.0, closure={"near_vector": None})
    found = miner.mine(documents[:1] * 0.9 + documents[3:4], closure)
    assert found.reasons[found.candidates.documents == 7].tolist() == [Reason.NEAR_POSITIVE]
    assert (found.reasons == Reason.NEAR_POSITIVE).sum() == 1


def _with_copies(documents: Float32) -> Float32:
    """Each document with an even number is followed by one that is nearly the same."""
    copied = documents.copy()
    copied[1::2] = documents[::2] + 0.02 * documents[1::2]
    unit: Float32 = copied / np.linalg.norm(copied, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("policy", ["adaptive", "spread", "relative", "absolute"])
def test_copies_of_positives_by_the_teacher_are_set_aside_under_every_policy(policy: str) -> None:
    queries, documents = _unit(N_QUERIES, 0), _with_copies(_unit(N_DOCUMENTS, 1))
    closure = _closure()
    miner = _miner(documents, margin_policy=policy, margin=0.0, near_positive_limit=0, candidates=N_DOCUMENTS)
    found = miner.mine(queries, closure)
    rows, chosen = found.candidates.rows, found.reasons == Reason.NEAR_VECTOR
    expected = {
        (row, document ^ 1)
        for row, document in zip(closure.positives.rows.tolist(), closure.positives.values.tolist(), strict=True)
    }
    known = set(zip(closure.positives.rows.tolist(), closure.positives.values.tolist(), strict=True))
    assert set(zip(rows[chosen].tolist(), found.candidates.documents[chosen].tolist(), strict=True)) == expected - known


@pytest.mark.parametrize(("scale", "shift"), [(4.0, 0.0), (0.25, 0.0), (3.0, -5.0)])
def test_copies_of_positives_are_the_same_for_scaled_and_shifted_scores(scale: float, shift: float) -> None:
    queries, documents = _unit(N_QUERIES, 0), _with_copies(_unit(N_DOCUMENTS, 1))
    moved_queries = np.hstack([np.sqrt(scale) * queries, np.ones((N_QUERIES, 1))]).astype(np.float32)
    moved_documents = np.hstack([np.sqrt(scale) * documents, np.full((N_DOCUMENTS, 1), shift)]).astype(np.float32)
    plain, moved = (
        _miner(known, near_positive_limit=0, candidates=N_DOCUMENTS).mine(asked, _closure())
        for known, asked in ((documents, queries), (moved_documents, moved_queries))
    )
    assert (plain.reasons == Reason.NEAR_VECTOR).sum() > N_QUERIES
    pairs = [
        set(zip(found.candidates.rows[at].tolist(), found.candidates.documents[at].tolist(), strict=True))
        for found in (plain, moved)
        for at in [found.reasons == Reason.NEAR_VECTOR]
    ]
    assert pairs[0] == pairs[1]


def test_one_query_with_many_positives_changes_nothing_for_the_others() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    rows, positives = np.arange(N_QUERIES), np.arange(N_QUERIES) * 3
    groups = np.arange(10_000, 10_000 + N_QUERIES), np.arange(N_DOCUMENTS)
    plain = _miner(documents).mine(queries, build_closure((rows, positives), *groups))
    many = np.concatenate([rows, np.zeros(600, np.int64)]), np.concatenate([positives, np.arange(200, 800)])
    skewed = _miner(documents).mine(queries, build_closure(many, *groups))
    without_first = [pair for pair in _negatives(plain) if pair[0] > 0]
    assert [pair for pair in _negatives(skewed) if pair[0] > 0] == without_first


def test_queries_that_are_given_their_candidates_are_searched_only_for_too_few() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    order = np.argsort(-(queries @ documents.T), axis=1)
    closure = build_closure(
        (np.arange(N_QUERIES), order[:, 0]), np.arange(10_000, 10_000 + N_QUERIES), np.arange(N_DOCUMENTS)
    )
    rows = np.repeat(np.arange(20, N_QUERIES), 21)
    other = order[20:, 1:22]  # without the first, which the search would give
    other[20:, 2:] = order[40:, :1]  # what the last queries have is their positive, again and again
    scores = (queries @ documents.T)[rows, other.ravel()]
    ranks = np.tile(np.arange(1, 22, dtype=np.int32), N_QUERIES - 20)
    given = Candidates(rows, other.ravel(), ranks, scores)
    miner = _miner(documents, margin_policy="absolute", margin=0.0, closure={"near_vector": None})
    found, plain = miner.mine(queries, closure, given=given), miner.mine(queries, closure)
    assert found.searched.tolist() == [True] * 20 + [False] * 20 + [True] * 20
    assert plain.searched.all()
    kept = (found.candidates.rows >= 20) & (found.candidates.rows < 40)
    assert found.candidates.documents[kept].tolist() == other[:20].ravel().tolist()
    assert found.take(15, 25).searched.tolist() == [True] * 5 + [False] * 5
    assert np.bincount(found.candidates.rows)[:40].tolist() == [21] * 40
    of_plain = (plain.candidates.rows < 20) | (plain.candidates.rows >= 40)
    assert found.candidates.documents[~kept].tolist() == plain.candidates.documents[of_plain].tolist()


def test_a_score_at_the_limit_is_allowed() -> None:
    documents = np.eye(24, dtype=np.float32)
    closure = build_closure((np.array([0]), np.array([3])), np.array([99]), np.arange(24))
    query = np.zeros((1, 24), np.float32)
    query[0, [3, 5, 7]] = 0.5, 0.5, 0.6
    found = _miner(documents, margin_policy="absolute", margin=0, closure={"near_vector": None}).mine(query, closure)
    reasons = dict(zip(found.candidates.documents.tolist(), found.reasons.tolist(), strict=True))
    assert (reasons[5], reasons[7]) == (Reason.SURPLUS, Reason.MARGIN)


def _doubting(documents: Float32, cut: float, ceiling: float, wanted: int = 5, **settings: object) -> Miner:
    """A miner that doubts what is near to the positive document."""
    one = np.ones(1)
    model = DoubtModel(("document_score",), 0 * one, one, one, -2.0)
    miner = _miner(documents, wanted, margin_policy="adaptive", closure={"near_vector": None}, **settings)
    return replace(miner, model=model, rule=DoubtRule(cut, ceiling, 5))


def test_adaptive_takes_what_is_below_the_cut_and_searches_deeper_for_it() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    found = _doubting(documents, 0.05, 0.05, max_candidates=N_DOCUMENTS).mine(queries, _closure())
    plain = _miner(documents, margin_policy="absolute", margin=10.0).mine(queries, _closure())
    assert len(plain.candidates.rows) < len(found.candidates.rows) or found.doubts.max() > 0.05
    known = found.reasons == Reason.KNOWN_POSITIVE
    np.testing.assert_array_equal(found.reasons[~known] == Reason.MARGIN, found.doubts[~known] > 0.05)
    scores = documents @ documents.T
    at = found.features[:, FEATURES.index("document_score")]
    row, document = found.candidates.rows[0], found.candidates.documents[0]
    z = [_z(scores[positive], document) for positive in _closure().positives.take(np.array([row])).values]
    assert at[0] == pytest.approx(max(z), abs=1e-3)
    assert len(_negatives(found)) == 5 * N_QUERIES


def _z(scores: Float32, document: int) -> float:
    sample = scores[::2].astype(np.float64)
    middle = np.median(sample)
    return float((scores[document] - middle) / np.median(np.abs(sample - middle)))


def test_a_query_that_no_depth_serves_takes_its_least_doubtful_candidates() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    strict = _doubting(documents, 0.001, 0.001, max_candidates=40).mine(queries, _closure())
    served = _doubting(documents, 0.001, 1.0, max_candidates=40).mine(queries, _closure())
    lacking = np.bincount([row for row, _ in _negatives(strict)], minlength=N_QUERIES)
    assert (lacking < 5).any()
    assert len(_negatives(served)) == 5 * N_QUERIES
    changed = (served.reasons == Reason.SURPLUS) & (strict.reasons == Reason.MARGIN)
    for row in np.flatnonzero(lacking < 5):
        of_row = strict.candidates.rows == row
        refused = served.doubts[of_row & (served.reasons == Reason.MARGIN)]
        assert served.doubts[of_row & changed].max() <= refused.min(initial=1.0)


def test_a_query_without_positives_is_not_doubted() -> None:
    nothing = np.empty(0, np.int64)
    closure = build_closure((nothing, nothing), np.array([9999, 9998]), np.arange(N_DOCUMENTS))
    found = _miner(_unit(N_DOCUMENTS, 1), margin_policy="adaptive").mine(_unit(2, 0), closure)
    assert np.isnan(found.doubts).all()
    assert (found.reasons == Reason.SURPLUS).all()


class BrokenIndex:
    def add(self, vectors: Float32) -> None:
        del vectors

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        return np.full((len(vectors), k), np.nan, np.float32), np.zeros((len(vectors), k), np.int64)


def test_scores_that_are_not_finite_stop_the_run() -> None:
    documents = _unit(20, 1)
    miner = Miner(MineConfig(margin_policy="relative"), 5, BrokenIndex(), 20, lambda n: documents[n], documents)
    closure = build_closure((np.array([0]), np.array([3])), np.array([99]), np.arange(20))
    with pytest.raises(BackendError, match="not finite"):
        miner.mine(_unit(1, 0), closure)


def test_candidates_of_another_source_join_with_their_exact_score() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    farthest = (queries @ documents.T).argmin(axis=1)
    rows, nothing = np.arange(N_QUERIES), np.full(N_QUERIES, np.nan, np.float32)
    other = Candidates(rows, farthest, np.ones(N_QUERIES, np.int32), nothing)
    miner = replace(_miner(documents, max_candidates=20), fusion=Fusion((1.0, 1.0), (0, 1)))
    found = miner.mine(queries, _closure(), [other])
    alone = _miner(documents, max_candidates=20).mine(queries, _closure())
    assert len(found.candidates.rows) == len(alone.candidates.rows) + N_QUERIES
    joined = ~found.union.found[:, 0]
    assert found.candidates.documents[joined].tolist() == farthest.tolist()
    exact = (queries @ documents.T)[found.candidates.rows, found.candidates.documents]
    np.testing.assert_allclose(found.candidates.scores, exact, atol=1e-6)
    kept = joined & (found.reasons == Reason.SURPLUS)
    assert kept.sum() > N_QUERIES // 2
    drawn = zip(found.candidates.rows[kept].tolist(), found.candidates.documents[kept].tolist(), strict=True)
    assert set(drawn) <= set(_negatives(found))  # the quota of one
    part = found.take(10, 20)
    assert part.union.rows.tolist() == part.candidates.rows.tolist()
    assert part.union.documents.tolist() == part.candidates.documents.tolist()


def test_a_query_that_is_searched_deeper_keeps_the_candidates_of_other_sources() -> None:
    queries, documents = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
    farthest = (queries @ documents.T).argmin(axis=1)
    other = Candidates(
        np.arange(N_QUERIES), farthest, np.ones(N_QUERIES, np.int32), np.full(N_QUERIES, np.nan, np.float32)
    )
    miner = replace(_miner(documents, wanted=30, max_candidates=80), fusion=Fusion((1.0, 1.0), (0, 0)))
    found = miner.mine(queries, _closure(), [other])
    assert np.bincount(found.candidates.rows).max() > 40
    assert found.union.found[:, 1].sum() == N_QUERIES
