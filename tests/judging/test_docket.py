"""Which candidates of a ledger are asked about, from tables made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pytest

from datagen import shards
from datagen.judging.docket import Docket
from datagen.mining.lineup import Lining
from datagen.selection.choice import ChoiceRule
from datagen.selection.questions import count_affordable
from datagen.settings.judge import JudgeConfig

Draw: TypeAlias = Callable[..., pl.DataFrame]
Row: TypeAlias = dict[str, Any]  # Any: cells of a table

CUT = 0.3
QUERIES, EACH = 40, 20


def _ledger(p: bool = False) -> pl.DataFrame:
    """Each query: a positive, then candidates by falling score, refused above the cut of score or probability."""
    chance = np.random.default_rng(1)
    rows: list[Row] = []
    for query in range(QUERIES):
        rows.append(_row(query, 0, 0.9, "known_positive", None))
        scores = np.sort(chance.uniform(0, 1, EACH - 1))[::-1]
        chances = chance.uniform(0, 1, EACH - 1)
        for number, (score, probability) in enumerate(zip(scores, chances, strict=True), start=1):
            refused = probability > CUT if p else score > 0.7
            rows.append(_row(query, number, score, "margin" if refused else "surplus", probability if p else None))
    return pl.DataFrame(rows, infer_schema_length=None)


def _row(query: int, number: int, score: float, reason: str, p: float | None) -> Row:
    return {
        "query_id": f"q{query:02}",
        "doc_id": f"d{query:02}-{number:02}",
        "source": "dense",
        "rank": number,
        "teacher_score": score,
        "p_false_negative": p,
        "decision": "ignored",
        "reason": reason,
    }


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    def call(
        ledger: pl.DataFrame, n_judges: int = 1, generated: list[str] | None = None, **values: object
    ) -> pl.DataFrame:
        folder = tmp_path / "candidates"
        config = JudgeConfig.model_validate({"budget": 60, **values})
        half = len(ledger) // 2
        shards.write_parts(folder, "candidates", [ledger[:half], ledger[half:]])
        margins = pl.DataFrame({"query_id": ledger["query_id"].unique().sort()}).with_columns(spread=0.1, limit=0.7)
        lining = Lining(ChoiceRule("top", (2,)), 42, None)
        seeds = pl.DataFrame({"query_id": generated or []}, schema={"query_id": pl.String})
        return Docket(config, n_judges, lining, False, margins, seeds, folder).draw()

    return call


def test_a_smaller_budget_is_the_beginning_of_a_larger_one(draw: Draw) -> None:
    small, large = draw(_ledger(), budget=17), draw(_ledger(), budget=60)
    assert len(small) == 17
    assert small.equals(large[:17])
    assert large["doc_id"].is_unique().all()


def test_what_is_asked_lies_near_the_cut_of_the_margin(draw: Draw) -> None:
    docket = draw(_ledger())
    scored = docket.join(_ledger(), on=["query_id", "doc_id"])
    assert scored["distance"].to_list() == pytest.approx(((scored["teacher_score"] - 0.7) / 0.1).to_list(), abs=1e-5)
    assert np.abs(docket["distance"].to_numpy()).mean() < 1
    assert docket["chosen"].sum() > len(docket) / 2
    assert (docket.filter("chosen")["distance"] <= 0).all()
    assert (docket["distance"] > 0).any()


def test_the_cut_is_that_of_the_probability_where_that_decided(draw: Draw) -> None:
    docket = draw(_ledger(p=True))
    scored = docket.join(_ledger(p=True), on=["query_id", "doc_id"])
    p = scored["p_false_negative"].to_numpy()
    assert scored["distance"].to_numpy() == pytest.approx(np.log(p / (1 - p)) - np.log(CUT / (1 - CUT)), abs=0.05)
    assert (scored.filter(pl.col("distance") > 0)["reason"] == "margin").all()


def test_a_probability_that_did_not_decide_is_not_looked_at(draw: Draw) -> None:
    chance = np.random.default_rng(2)
    ledger = _ledger().with_columns(p_false_negative=pl.Series(chance.uniform(0, 1, QUERIES * EACH)))
    assert draw(ledger).equals(draw(_ledger()))


def test_a_list_holds_candidates_of_one_query(draw: Draw) -> None:
    docket = draw(_ledger(), mode="list", list_size=4, budget=30)
    assert docket["question"].to_list() == sorted(docket["question"])
    groups = docket.group_by("question").agg(pl.col("query_id").n_unique(), pl.len())
    assert len(groups) == 30
    assert (groups["query_id"] == 1).all()
    assert groups["len"].max() == 4


def test_two_judges_cost_two_and_share_about_what_is_asked_for(draw: Draw) -> None:
    docket = draw(_ledger(), n_judges=2, shared=0.5, budget=60)
    assert 59 <= len(docket) + docket["both"].sum() <= 60
    assert 10 < docket["both"].sum() < 30
    assert count_affordable(1 + docket["both"].to_numpy(), 60) == len(docket)
    assert not draw(_ledger(), n_judges=2, shared=0.0)["both"].any()
    assert draw(_ledger(), n_judges=2, shared=1.0)["both"].all()
    assert not draw(_ledger(), n_judges=1, shared=1.0)["both"].any()


def test_positives_are_asked_about_only_where_they_may_be_replaced(draw: Draw) -> None:
    def positives(**values: object) -> set[str]:
        return set(draw(_ledger(), budget=999, **values).filter(pl.col("doc_id").str.ends_with("-00"))["query_id"])

    assert positives() == set()
    assert positives(generated=["q03", "q30"]) == {"q03", "q30"}


def test_queries_and_parts_are_numbered_as_one(draw: Draw) -> None:
    docket = draw(_ledger(), budget=QUERIES)
    assert docket["query_id"].n_unique() > QUERIES / 2
    assert (docket["query_id"] == "q" + docket["doc_id"].str.slice(1, 2)).all()


def test_a_ledger_without_candidates_has_no_questions(draw: Draw) -> None:
    docket = draw(_ledger().filter(pl.col("reason") == "known_positive"))
    assert docket.is_empty()
    assert docket.schema == draw(_ledger()).schema
