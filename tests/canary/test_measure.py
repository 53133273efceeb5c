"""Intervals, and what is counted of a ledger."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest

from datagen import shards
from datagen.canary.measure import (
    NATURAL,
    NEAREST,
    Share,
    count_kinds,
    draw_curve,
    exact_interval,
    judge_natural,
    judge_plants,
    recall_of,
    retention_of,
    suggest_margin,
)


# Values of R's binom.test.
@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (95, 100, 0.8872, 0.9836), (1, 3, 0.0084, 0.9057)],
)
def test_interval_is_that_of_clopper_and_pearson(hits: int, of: int, low: float, high: float) -> None:
    assert exact_interval(hits, of) == pytest.approx((low, high), abs=1e-4)


def test_interval_of_many_is_narrow() -> None:
    low, high = exact_interval(3200, 4000)
    assert 0.78 < low < 0.8 < high < 0.82


def test_share_of_nothing_is_unknown() -> None:
    share = Share(0, 0)
    assert math.isnan(share.value)
    assert share.interval == (0.0, 1.0)


def _ledger(folder: Path, rows: list[tuple[str, str, str, float]]) -> Path:
    """A ledger in which the chance of a false negative is the teacher score."""
    table = pl.DataFrame(rows, schema=["query_id", "doc_id", "reason", "teacher_score"], orient="row").with_columns(
        p_false_negative=pl.when(pl.col("reason") != "known_positive").then("teacher_score"),
        source=pl.lit("dense"),
        rank=pl.int_range(pl.len()).over("query_id") + 1,
        decision=pl.lit("ignored"),
    )
    shards.write_parts(folder, "candidates", [table])
    return folder


def test_plant_is_kept_out_when_something_is_against_it(tmp_path: Path) -> None:
    rows = [
        ("q1", "canary:form:d1", "positive_text", 0.9),
        ("q2", "canary:form:d2", "surplus", 0.9),
        ("q3", "canary:altered:d3", "selected", 0.9),
        ("q1", "canary:form:d2", "surplus", 0.4),
    ]
    plants = pl.DataFrame(
        [
            ("q1", "canary:form:d1", "form"),
            ("q2", "canary:form:d2", "form"),
            ("q3", "canary:altered:d3", "altered"),
            ("q4", "canary:form:d4", "form"),
        ],
        schema=["query_id", "doc_id", "kind"],
        orient="row",
    )
    judged = judge_plants(_ledger(tmp_path / "ledger", rows), plants)
    assert recall_of(judged) == Share(1, 2)
    assert retention_of(judged) == Share(0, 0)
    assert count_kinds(judged).rows() == [
        ("form", 3, 2, 1, "positive_text 1, surplus 1"),
        ("altered", 1, 1, 1, "selected 1"),
    ]


QUERIES = pl.DataFrame(
    {
        "query_id": ["q1", "q2", "q3", "q4"],
        "query": ["causes of gout", "treatment of gout", "causes of severe gout", "height of Everest"],
    }
)


def test_natural_negatives_are_positives_of_queries_that_ask_something_else(tmp_path: Path) -> None:
    rows = [
        ("q1", "d1", "known_positive", 0.9),
        ("q1", "d3", "surplus", 0.8),  # of q3, which asks the same more narrowly
        ("q1", "canary:form:d1", "margin", 0.8),
        ("q1", "d2", "margin", 0.7),
        ("q1", "d5", "surplus", 0.6),  # nobody's positive
        ("q1", "d4", "selected", 0.1),
    ]
    pairs = pl.DataFrame({"query_id": ["q1", "q2", "q3", "q4"], "doc_id": ["d1", "d2", "d3", "d4"]})
    judged = judge_natural(_ledger(tmp_path / "ledger", rows), QUERIES, pairs, "canary:")
    assert judged.sort("doc_id").select("doc_id", "kind", "eligible").rows() == [
        ("d2", NATURAL, False),
        ("d4", NATURAL, True),
    ]
    assert retention_of(judged) == Share(1, 2)


def test_passage_of_several_queries_counts_only_where_all_ask_something_else(tmp_path: Path) -> None:
    rows = [("q1", "d2", "surplus", 0.7)]
    pairs = pl.DataFrame({"query_id": ["q2", "q3"], "doc_id": ["d2", "d2"]})
    assert judge_natural(_ledger(tmp_path / "ledger", rows), QUERIES, pairs, "canary:").is_empty()


def test_only_the_nearest_natural_negatives_count(tmp_path: Path) -> None:
    many = 3 * NEAREST
    rows = [("q1", f"d{n}", "margin" if n < NEAREST else "surplus", 1 - n / 100) for n in range(many)]
    pairs = pl.DataFrame({"query_id": ["q4"] * many, "doc_id": [f"d{n}" for n in range(many)]})
    judged = judge_natural(_ledger(tmp_path / "ledger", rows), QUERIES, pairs, "canary:")
    assert retention_of(judged) == Share(0, NEAREST)


def _judged(rows: list[tuple[str, str, float | None]]) -> pl.DataFrame:
    """Plants and natural negatives in reach, by kind, reason and chance of a false negative."""
    table = pl.DataFrame(rows, schema=["kind", "reason", "p_false_negative"], orient="row")
    return table.with_columns(query_id=pl.lit("q"), doc_id=pl.lit("d"), in_reach=True, eligible=False)


def test_curve_says_what_other_margins_would_do() -> None:
    judged = _judged(
        [
            ("form", "positive_text", 0.01),  # stays out whatever the margin
            ("extended", "margin", 0.45),
            ("extended", "surplus", 0.05),
            ("altered", "margin", 0.05),
            (NATURAL, "selected", 0.02),
            (NATURAL, "margin", 0.4),
            (NATURAL, "reranker", 0.02),
            (NATURAL, "margin", 0.8),
        ]
    )
    curve: dict[float, tuple[float, float]] = {
        round(m, 3): (recall, retention) for m, recall, retention in draw_curve(judged).rows()
    }
    assert curve[0.02] == (1.0, 0.25)
    assert curve[0.4] == pytest.approx((2 / 3, 0.5))
    assert curve[0.9] == pytest.approx((1 / 3, 0.75))


def test_margin_that_keeps_most_while_recall_holds_is_suggested() -> None:
    plants: list[tuple[str, str, float | None]] = [*[("form", "margin", 0.55)] * 19, ("form", "margin", 0.25)]
    natural: list[tuple[str, str, float | None]] = [(NATURAL, "margin", p / 100) for p in range(1, 100, 2)]
    assert suggest_margin(draw_curve(_judged(plants + natural))) == 0.5
    assert suggest_margin(draw_curve(_judged([("form", "surplus", 0.0), *natural]))) is None


def test_curve_is_empty_where_no_chance_is_known() -> None:
    curve = draw_curve(_judged([("form", "margin", None), (NATURAL, "surplus", None)]))
    assert curve.is_empty()
    assert suggest_margin(curve) is None
