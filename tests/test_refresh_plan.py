"""What is searched anew: the earlier ledger as it is read, and the decision for all queries as a whole."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datagen import shards
from datagen.backends.protocols import Float32, Int64
from datagen.mining import refresh
from datagen.mining.refresh import EarlierLedger, Refresh, RefreshPlan
from datagen.progress import SilentProgress
from datagen.selection.arrays import Lists
from datagen.settings.mine import MineConfig

N_QUERIES, N_DOCUMENTS, DEPTH = 20, 60, 5
QUERY_IDS = pl.Series([f"q{n}" for n in range(N_QUERIES)])
DOCUMENT_IDS = pl.Series([f"d{n}" for n in range(N_DOCUMENTS)])
NO_POSITIVES = Lists.from_pairs(np.empty(0, np.int64), np.empty(0, np.int64), N_QUERIES)


class KnownIndex:
    """Finds for every query the documents from a number on; the first number of a vector is the query's."""

    def __init__(self, moved: int) -> None:
        self._moved, self.asked = moved, 0

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        self.asked += len(vectors)
        begins = np.where(vectors[:, 0] < self._moved, 30, 0)
        positions = begins[:, None] + np.arange(k)
        return np.zeros(positions.shape, np.float32), positions


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Every query had the documents 0 to 9, in this order."""
    rows = pl.DataFrame({"query_id": QUERY_IDS}).join(pl.DataFrame({"doc_id": DOCUMENT_IDS.head(10)}), how="cross")
    rank = pl.int_range(1, pl.len() + 1).over("query_id")
    filled = rows.with_columns(rank=rank, source=pl.lit("dense"), teacher_score=0.5, decision=pl.lit("ignored"))
    whole = filled.with_columns(reason=pl.lit("surplus"), round=pl.lit(2))
    shards.write_parts(tmp_path / "ledger", "candidates", whole.iter_slices(70))  # queries across parts
    return tmp_path / "ledger"


def _refresh(ledger: Path) -> Refresh:
    config = MineConfig(refresh_depth=DEPTH)
    earlier = EarlierLedger(ledger, QUERY_IDS, DOCUMENT_IDS)
    vectors = np.arange(N_QUERIES, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    documents = np.ones((N_DOCUMENTS, 3), np.float32)
    return Refresh(config, 0, earlier, vectors.__getitem__, documents.__getitem__, N_DOCUMENTS, NO_POSITIVES)


def _measured(overlap: float, unseen: float) -> pl.DataFrame:
    return pl.DataFrame({"overlap": [overlap] * N_QUERIES, "unseen": [unseen] * N_QUERIES, "earlier_round": 2})


def test_queries_are_read_from_all_parts_that_hold_them(ledger: Path) -> None:
    earlier = EarlierLedger(ledger, QUERY_IDS, DOCUMENT_IDS)
    candidates, rounds = earlier.take(np.array([6, 7, 13]))
    assert earlier.last_round == 2
    assert rounds.tolist() == [2, 2, 2]
    assert candidates.rows.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert candidates.documents.tolist() == [*range(10)] * 3
    assert candidates.ranks.tolist() == [*range(1, 11)] * 3


def test_queries_and_documents_that_are_gone_are_left_out(ledger: Path) -> None:
    earlier = EarlierLedger(ledger, pl.Series(["new", "q3"]), pl.Series(["d9", "d4"]))
    candidates, rounds = earlier.take(np.array([0, 1]))
    assert (candidates.rows.tolist(), candidates.documents.tolist()) == ([1, 1], [1, 0])
    assert rounds.tolist() == [0, 2]


def test_a_ledger_of_before_there_were_rounds_is_of_round_zero(tmp_path: Path) -> None:
    rows = {"query_id": ["q0", "q0", "q0"], "doc_id": ["d5", "d2", "d1"], "source": ["dense"] * 3, "rank": [2, 0, 1]}
    pl.DataFrame(rows).write_parquet(tmp_path / "part-00000.parquet")
    earlier = EarlierLedger(tmp_path, QUERY_IDS, DOCUMENT_IDS)
    candidates, rounds = earlier.take(np.array([0, 1]))
    assert earlier.last_round == 0
    assert rounds.tolist() == [0, 0]
    assert candidates.documents.tolist() == [1, 5]  # d2 was not found, it is known


def test_the_order_is_that_of_the_own_teacher_where_there_were_more_sources(tmp_path: Path) -> None:
    found = [
        [{"source": "dense", "rank": 2, "score": 0.1}, {"source": "bm25", "rank": 1, "score": 7.0}],
        [{"source": "bm25", "rank": 2, "score": 5.0}],
        [{"source": "dense", "rank": 1, "score": 0.4}],
    ]
    rows = pl.DataFrame({"query_id": "q0", "doc_id": ["d8", "d2", "d1"], "source": ["bm25", "bm25", "dense"]})
    filled = rows.with_columns(
        pl.Series("rank", [1, 2, 1]), pl.Series("sources", found), teacher_score=0.5, decision=pl.lit("x")
    )
    shards.write_parts(tmp_path, "candidates", [filled.with_columns(reason=pl.lit("surplus"))])
    candidates, _ = EarlierLedger(tmp_path, QUERY_IDS, DOCUMENT_IDS).take(np.array([0]))
    assert (candidates.documents.tolist(), candidates.ranks.tolist()) == ([1, 8], [1, 2])


def test_all_are_searched_where_many_unseen_documents_are_expected(
    ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = KnownIndex(moved=0)
    with caplog.at_level(logging.INFO):
        decided = _refresh(ledger).decide(_measured(0.9, 1.0), index)
    assert decided["searched"].all()
    assert index.asked == 0
    assert decided["checked_overlap"].null_count() == N_QUERIES
    assert "all queries are searched anew: those that would be kept are expected to overlap by 0.720" in caplog.text


def test_all_are_searched_where_a_search_shows_what_the_sample_did_not(
    ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        decided = _refresh(ledger).decide(_measured(1.0, 0.0), KnownIndex(moved=5))
    assert decided["searched"].all()
    assert decided["checked_overlap"].to_list() == [0.0] * 5 + [1.0] * 15
    assert "by a search for 20 of them, by 0.750, below mine.refresh_overlap 0.800" in caplog.text


def test_what_a_check_finds_moved_is_searched_and_the_rest_is_kept(ledger: Path, tmp_path: Path) -> None:
    plan = _refresh(ledger)
    decided = plan.decide(_measured(1.0, 0.0), KnownIndex(moved=2))
    assert decided["searched"].to_list() == [True] * 2 + [False] * 18
    shards.write_parts(tmp_path / "mined", "candidates", [])
    counts = RefreshPlan(plan, decided).count(tmp_path / "mined")
    assert (counts["round"], counts["queries_kept"], counts["queries_searched"]) == (3, 18, 2)
    assert (counts["queries_checked"], counts["checked_overlap"], counts["expected_overlap_of_kept"]) == (20, 0.9, 1.0)


def test_the_check_is_of_a_seeded_draw_of_those_that_would_be_kept(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "CHECKED_QUERIES", 6)
    measured = _measured(1.0, 0.0).with_columns(overlap=(pl.int_range(N_QUERIES) / 10).clip(0, 1))
    one, two = (_refresh(ledger).decide(measured, KnownIndex(moved=0)) for _ in range(2))
    checked = one.with_row_index().drop_nulls("checked_overlap")["index"]
    assert one.equals(two)
    assert len(checked) == 6
    assert checked.min() >= 8  # type: ignore[operator]  # a number
    assert one["searched"].to_list() == [True] * 8 + [False] * 12


def test_nothing_is_checked_where_nothing_would_be_kept(ledger: Path, tmp_path: Path) -> None:
    index, plan = KnownIndex(moved=0), _refresh(ledger)
    decided = plan.decide(_measured(0.5, 0.0), index)
    shards.write_parts(tmp_path / "mined", "candidates", [])
    assert decided["searched"].all()
    assert index.asked == 0
    assert {"checked_overlap", "expected_overlap_of_kept"} & RefreshPlan(plan, decided).count(
        tmp_path / "mined"
    ).keys() == set()


def test_a_run_without_queries_has_nothing_to_decide(tmp_path: Path) -> None:
    shards.write_parts(tmp_path / "ledger", "candidates", [])
    earlier = EarlierLedger(tmp_path / "ledger", QUERY_IDS.head(0), DOCUMENT_IDS)
    none = Lists.from_pairs(np.empty(0, np.int64), np.empty(0, np.int64), 0)
    vectors = np.ones((N_DOCUMENTS, 3), np.float32)
    index = KnownIndex(moved=0)
    plan = Refresh(MineConfig(), 0, earlier, vectors.__getitem__, vectors.__getitem__, N_DOCUMENTS, none)
    decided = plan.decide(plan.measure(np.arange(9), np.empty(0, np.int64), SilentProgress()), index)
    assert (len(decided), index.asked) == (0, 0)
    assert len(RefreshPlan(plan, decided).given(np.empty(0, np.int64)).rows) == 0
