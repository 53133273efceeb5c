"""D4, D5, D7, D11, D14, D15 and D19: scores are true, stand in their own column, and meet their own query's limit."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Never

import numpy as np
import polars as pl
import pytest

from datagen.backends.protocols import RerankPairs
from datagen.config import DenoiseConfig
from datagen.testing import OverlapReranker

if TYPE_CHECKING:
    from tests.peer_defects.conftest import Collection, MakeCollection, Mine

OVERLAP = "datagen.testing:OverlapReranker"
OVERRULES_NOTHING = {"reranker": OVERLAP, "margin": 0, "floor_quantile": 0, "max_overruled": 0}
MARGINS = ("selected", "surplus", "margin")
STORED = 2e-3
"""Vectors are kept in float16: cosines differ by less than this."""


@pytest.mark.parametrize("denoise", [{"reranker": OVERLAP}, OVERRULES_NOTHING], ids=["usual", "overrules-nothing"])
def test_d04_a_reranker_that_is_given_is_asked_whatever_its_limits(
    mine: Mine, tiny: Collection, denoise: dict[str, object]
) -> None:
    train = mine(tiny, denoise=denoise).train
    reranker = OverlapReranker(DenoiseConfig())
    items = [(row, item) for row in train.values() for item in (*row["positives"], *row["negatives"])]
    for row, item in items:
        pair = RerankPairs([row["query"]], [item["text"]], np.zeros(1, np.int64), np.zeros(1, np.int64))
        assert item["reranker_score"] == pytest.approx(float(reranker.score(pair)[0]))
    assert sum(len(row["negatives"]) for row in train.values()) > len(train)


def test_d04_teacher_scores_stay_what_they_are_beside_those_of_a_reranker(mine: Mine, tiny: Collection) -> None:
    plain, reranked = mine(tiny), mine(tiny, denoise={"reranker": OVERLAP})
    assert plain.ledger["reranker_score"].null_count() == len(plain.ledger)
    both = plain.teacher_scores().keys() & reranked.teacher_scores().keys()
    assert len(both) > len(tiny.queries) * 20
    assert {pair: plain.teacher_scores()[pair] for pair in both} == {
        pair: reranked.teacher_scores()[pair] for pair in both
    }
    asked = reranked.ledger.drop_nulls("reranker_score")
    assert (asked["reranker_score"] - asked["teacher_score"]).abs().max() > 0.1  # type: ignore[operator]


def test_d05_a_document_scores_the_same_as_positive_and_as_candidate(mine: Mine, tiny: Collection) -> None:
    twins = {f"{query}-twin": text for query, text in tiny.queries.items()}
    others = {f"{query}-twin": [f"d{int(found[0][1:]) + 4}"] for query, found in tiny.positives.items()}
    doubled = type(tiny)(tiny.documents, {**tiny.queries, **twins}, {**tiny.positives, **others})
    found = mine(doubled).teacher_scores()
    exact = doubled.scores()
    pairs = [(query, positive) for query, positives in tiny.positives.items() for positive in positives]
    as_positive = np.array([found[query, positive] for query, positive in pairs])
    as_candidate = np.array([found[f"{query}-twin", positive] for query, positive in pairs])
    np.testing.assert_allclose(as_positive, as_candidate, atol=1e-6)
    # Would one of the two come from vectors that are not rounded, the difference would be seen.
    assert np.abs(as_positive - [exact[pair] for pair in pairs]).max() > 1e-5


@pytest.mark.parametrize("reranker", ["none", OVERLAP])
@pytest.mark.parametrize("policy", ["relative", "spread", "adaptive"])
def test_d07_rejected_documents_are_never_handed_out_when_negatives_are_short(
    mine: Mine, tiny: Collection, policy: str, reranker: str
) -> None:
    mined = mine(tiny, mine={"num_negatives": 60, "margin_policy": policy}, denoise={"reranker": reranker})
    rejected = mined.ledger.filter(pl.col("reason").is_in(["margin", "near_positive", "reranker"]))
    handed_out = {(query, negative) for query in mined.train for negative in mined.negatives(query)}
    assert len(rejected)
    assert handed_out
    assert handed_out.isdisjoint(rejected.select("query_id", "doc_id").iter_rows())
    short = [query for query in mined.train if len(mined.negatives(query)) < 60]
    assert short == list(tiny.queries)
    assert mined.dropped.filter(pl.col("stage") == "export")["key"].to_list() == short


def test_d07_every_number_that_is_written_is_finite(mine: Mine, tiny: Collection) -> None:
    mined = mine(tiny, mine={"num_negatives": 60}, denoise={"reranker": OVERLAP})
    for row in mined.train.values():
        for item in (*row["positives"], *row["negatives"]):
            assert np.isfinite([item["teacher_score"], item["reranker_score"]]).all()
    assert all(mined.ledger.select(pl.col(pl.Float32).is_finite().all()).row(0))
    for name in ("run.json", "report.json"):
        json.loads((mined.out / name).read_text(), parse_constant=_refuse)


def _refuse(name: str) -> Never:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("n_queries", [1, 12])
def test_d11_rank_is_the_place_among_all_documents(mine: Mine, collect: MakeCollection, n_queries: int) -> None:
    collection = collect(60, n_queries)
    ledger = mine(collection, mine={"candidates": 30}).ledger.filter(pl.col("rank") > 0)
    true = collection.scores()
    assert ledger.group_by("query_id", maintain_order=True).agg(pl.col("rank").sort())["rank"].to_list() == [
        list(range(1, n + 1)) for n in ledger.group_by("query_id", maintain_order=True).len()["len"]
    ]
    for query, document, rank in ledger.select("query_id", "doc_id", "rank").iter_rows():
        score = true[query, document]
        above = sum(true[query, other] > score + STORED for other in collection.documents)
        level = sum(true[query, other] > score - STORED for other in collection.documents)
        assert above < rank <= level


def test_d11_rank_zero_marks_only_positives_that_the_search_did_not_reach(mine: Mine, tiny: Collection) -> None:
    mined = mine(tiny, mine={"candidates": 2, "max_candidates": 2, "num_negatives": 1})
    unreached = mined.ledger.filter(pl.col("rank") == 0)
    assert len(unreached)
    assert set(unreached["reason"]) == {"known_positive"}
    assert all(item["rank"] > 0 for row in mined.train.values() for item in row["negatives"])


@pytest.mark.parametrize("policy", ["relative", "absolute", "spread", "adaptive"])
def test_d14_scores_are_cosines_and_the_nearest_document_comes_first(mine: Mine, tiny: Collection, policy: str) -> None:
    mined = mine(tiny, mine={"margin_policy": policy})
    true = tiny.scores()
    for pair, score in mined.teacher_scores().items():
        assert score == pytest.approx(true[pair], abs=STORED)
    for query, row in mined.train.items():
        of_query = mined.ledger.filter((pl.col("query_id") == query) & (pl.col("rank") > 0))
        assert all(a >= b - 1e-6 for a, b in pairwise(of_query.sort("rank")["teacher_score"]))
        assert [item["rank"] for item in row["negatives"]] == sorted(item["rank"] for item in row["negatives"])


@pytest.mark.parametrize("which", ["min", "own"])
@pytest.mark.parametrize("policy", ["relative", "absolute"])
def test_d15_each_margin_looks_at_the_positives_of_its_own_query(
    mine: Mine, tiny: Collection, policy: str, which: str
) -> None:
    true = tiny.scores()
    farthest = min(tiny.documents, key=lambda document: true["q0", document])
    known = {**tiny.positives, "q0": [farthest]}
    # With the floor at the first rank, p* alone decides.
    settings = {"margin_policy": policy, "positive_score": which, "margin": 0.1, "floor_rank": 1}
    mined = mine(type(tiny)(tiny.documents, tiny.queries, known), mine=settings)
    scores = mined.teacher_scores()
    limits: dict[str, float] = {}
    for query, positives in known.items():
        star = {"min": min, "own": max}[which](scores[query, positive] for positive in positives)
        limits[query] = star - 0.1 * (abs(star) if policy == "relative" else 1)
    judged = mined.ledger.filter(pl.col("reason").is_in(MARGINS))
    for query, document, reason in judged.select("query_id", "doc_id", "reason").iter_rows():
        assert (reason == "margin") == (scores[query, document] > limits[query]), (query, document)
    assert len(set(limits.values())) == len(limits)
    assert min(limits.values()) < 0 < max(limits.values()), "scores below zero are tested too"


def test_d15_a_query_gets_the_same_candidates_alone_and_among_others(mine: Mine, tiny: Collection) -> None:
    spread = {"margin_policy": "spread"}  # adaptive also looks at the run: how many positives may be unmarked
    together = mine(tiny, mine=spread).ledger.drop("p_false_negative")
    for chosen in (["q3"], ["q7", "q2"], list(tiny.queries)[::-1]):
        some = type(tiny)(tiny.documents, {query: tiny.queries[query] for query in chosen}, _only(tiny, chosen))
        ledger = mine(some, mine=spread).ledger.drop("p_false_negative")
        for query in chosen:
            alone = ledger.filter(pl.col("query_id") == query)
            among = together.filter(pl.col("query_id") == query)
            assert alone.drop("teacher_score").equals(among.drop("teacher_score"))
            assert (alone["teacher_score"] - among["teacher_score"]).abs().max() < 1e-6  # type: ignore[operator]


def _only(collection: Collection, queries: list[str]) -> dict[str, list[str]]:
    return {query: list(collection.positives[query]) for query in queries}
