from __future__ import annotations

import itertools
from pathlib import Path

import polars as pl
import pytest

from datagen.errors import InputError
from datagen.probe.arms import Arm, Questions, build_arm, other_arm, take_questions
from datagen.probe.plan import Plan, plan_rows
from datagen.progress import SilentProgress
from datagen.runs import Run, load_run
from datagen.settings.probe import OWN, ProbeConfig

ARMS = (OWN, "in-batch", "random", "top-k", "closed-top-k", "st-mined")
CONFIG = ProbeConfig(steps=30, batch_size=4, negatives=2)


@pytest.fixture(scope="module")
def questions(mined: Path) -> Questions:
    return take_questions(load_run(mined), CONFIG)


@pytest.fixture(scope="module")
def arms(questions: Questions) -> dict[str, Arm]:
    return {name: build_arm(name, questions, CONFIG, SilentProgress()) for name in ARMS}


@pytest.fixture(scope="module")
def plan(questions: Questions, arms: dict[str, Arm]) -> Plan:
    return plan_rows(questions, arms, CONFIG, seed=1)


class _Altered(Run):
    """A run in which one table is another."""

    def __init__(self, run: Run, name: str, table: pl.DataFrame) -> None:
        super().__init__(run.path, {"settings": run.settings, "stages": {}})
        self._name, self._other = name, table

    def scan(self, table: str) -> pl.LazyFrame:
        return self._other.lazy() if table == self._name else super().scan(table)


def _lists(arm: Arm) -> list[list[str]]:
    assert arm.negatives is not None
    return arm.negatives.to_list()


def test_own_arm_has_the_negatives_of_the_training_rows(questions: Questions, arms: dict[str, Arm]) -> None:
    rows = {row["query_id"]: [each["doc_id"] for each in row["negatives"]] for row in questions.run.train.to_dicts()}
    assert _lists(arms[OWN]) == [rows[query_id] for query_id in questions.rows["query_id"]]


def test_top_k_is_the_head_of_the_ledger_without_the_positives(questions: Questions, arms: dict[str, Arm]) -> None:
    ledger = questions.run.candidates.filter(pl.col("reason") != "known_positive").sort(
        "teacher_score", "doc_id", descending=[True, False]
    )
    for query_id, found in zip(questions.rows["query_id"], _lists(arms["top-k"]), strict=True):
        assert found == ledger.filter(pl.col("query_id") == query_id)["doc_id"].head(5).to_list()
    assert _lists(arms["top-k"]) != _lists(arms[OWN])


def test_closed_top_k_leaves_out_what_the_closure_rejects(questions: Questions, arms: dict[str, Arm]) -> None:
    query_id, document = questions.rows["query_id"][0], _lists(arms["top-k"])[0][0]
    ledger = questions.run.candidates.with_columns(
        reason=pl.when(query_id=query_id, doc_id=document).then(pl.lit("near_text")).otherwise("reason")
    )

    changed = Questions(_Altered(questions.run, "candidates", ledger), questions.rows, questions.wanted)
    found = _lists(build_arm("closed-top-k", changed, CONFIG, SilentProgress()))[0]
    assert found[:4] == _lists(arms["top-k"])[0][1:]


def test_random_negatives_are_no_positives_and_no_copies(questions: Questions, arms: dict[str, Arm]) -> None:
    for positives, found in zip(questions.rows["positives"], _lists(arms["random"]), strict=True):
        assert len(set(found)) == len(found) == 5
        assert not set(found) & set(positives)


def test_peer_keeps_what_is_below_its_margin(questions: Questions, arms: dict[str, Arm]) -> None:
    ledger = questions.run.candidates
    scores = {(row["query_id"], row["doc_id"]): row["teacher_score"] for row in ledger.to_dicts()}
    seen = 0
    for row, found in zip(questions.rows.to_dicts(), _lists(arms["st-mined"]), strict=True):
        limit = 0.95 * scores[row["query_id"], row["positives"][0]]
        known = [scores[row["query_id"], doc_id] for doc_id in found if (row["query_id"], doc_id) in scores]
        assert all(score <= limit + 1e-5 for score in known)
        seen += len(known)
    assert seen > len(questions.rows)


def test_query_without_negatives_gets_random_ones(questions: Questions) -> None:
    rows = questions.run.train.with_columns(
        negatives=pl.when(query_id=questions.rows["query_id"][0])
        .then(pl.col("negatives").list.head(0))
        .otherwise("negatives")
    )

    arm = other_arm(_Altered(questions.run, "train", rows), questions, CONFIG)
    assert arm.filled == 1
    assert len(_lists(arm)[0]) == 5
    assert _lists(arm)[1:] == _lists(build_arm(OWN, questions, CONFIG, SilentProgress()))[1:]


def test_another_run_must_have_the_queries(questions: Questions) -> None:
    with pytest.raises(InputError, match=r"lacks 60 of 60 queries .*: compare runs over the same input"):
        other_arm(_Altered(questions.run, "train", questions.run.train.head(0)), questions, CONFIG)


def test_every_arm_reads_as_many_rows_of_the_same_shape(plan: Plan) -> None:
    assert len(plan.queries) == 30 * 4
    for name in ARMS:
        columns = plan.columns(name)
        assert [len(column) for column in columns] == [120] * (1 if name == "in-batch" else 3)
        assert columns[0] == plan.positives


def test_each_query_is_read_about_equally_often(plan: Plan) -> None:
    times = [plan.queries.count(query) for query in set(plan.queries)]
    assert len(times) == 60
    assert max(times) - min(times) <= 2


def test_no_row_of_a_batch_gives_another_a_false_negative(questions: Questions, plan: Plan) -> None:
    known = dict(questions.rows.select("query", "positives").iter_rows())
    read = [
        {plan.positives[row]} | {doc_id for lists in plan.negatives.values() for doc_id in lists[row]}
        for row in range(len(plan.queries))
    ]
    clashes = 0
    for begin in range(0, len(plan.queries), 4):
        for left, right in itertools.permutations(range(begin, begin + 4), 2):
            assert plan.queries[left] != plan.queries[right]
            clashes += len(set(known[plan.queries[left]]) & read[right])
    assert clashes == 0


def test_plan_is_the_same_for_the_same_seed_alone(questions: Questions, arms: dict[str, Arm], plan: Plan) -> None:
    assert plan_rows(questions, arms, CONFIG, seed=1) == plan
    assert plan_rows(questions, arms, CONFIG, seed=2) != plan


def test_batch_that_cannot_be_filled_is_an_error(questions: Questions, arms: dict[str, Arm]) -> None:
    config = ProbeConfig(steps=1, batch_size=61)
    with pytest.raises(InputError, match=r"of 60 queries no 61 can stand in one batch .*: take a smaller batch size"):
        plan_rows(questions, arms, config, seed=1)
