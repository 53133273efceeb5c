"""Rows of a ledger as a person asks for them, from a small run."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import datagen
from datagen.cli import app
from datagen.errors import ConfigError, InputError
from datagen.inspection import Filter, inspect
from datagen.runs import Run

WORDS = ("liver", "heart", "lung", "bone", "skin", "brain")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("inspect")
    texts = [f"{a} and {b} work {n}" for n, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)]
    texts[0] += " \x1b[31m[red]"
    pairs = pl.DataFrame({"anchor": [f"how do {text}" for text in texts], "positive": texts})
    return datagen.mine(
        home / "run",
        pairs=pairs,
        cache=str(home / "cache"),
        teacher={"model": "datagen.testing:HashingTeacher"},
        denoise={"reranker": "none"},
    )


def _ids(run: Run) -> list[str]:
    return run.queries["query_id"].to_list()


def test_rows_come_query_by_query_in_order_of_rank(run: Run) -> None:
    rows = inspect(run, Filter(), limit=100)
    assert len(rows) == 100
    numbers = rows["query_id"].replace_strict({name: n for n, name in enumerate(_ids(run))}, return_dtype=pl.Int64)
    ordered = rows.with_columns(number=numbers)
    assert ordered.equals(ordered.sort("number", "rank", "doc_id"))


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        pytest.param(Filter(decision="negative"), pl.col("decision") == "negative", id="decision"),
        pytest.param(Filter(reason="known_positive"), pl.col("reason") == "known_positive", id="reason"),
        pytest.param(Filter(low=0.2, high=0.4), pl.col("teacher_score").is_between(0.2, 0.4), id="band"),
        pytest.param(Filter(text="LIVER"), pl.any_horizontal(pl.col("query", "text").str.contains("liver")), id="text"),
    ],
)
def test_a_filter_keeps_all_that_holds_and_nothing_else(run: Run, wanted: Filter, holds: pl.Expr) -> None:
    everything = inspect(run, Filter(), limit=1_000_000)
    assert inspect(run, wanted, limit=1_000_000).equals(everything.filter(holds))
    assert 0 < len(everything.filter(holds)) < len(everything)


def test_one_query_is_found_by_its_id(run: Run) -> None:
    assert inspect(run, Filter(query=_ids(run)[3]), 5)["query_id"].unique().to_list() == [_ids(run)[3]]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param(Filter(reason="margn"), "the reason 'margn': the ledger has .*known_positive", id="reason"),
        pytest.param(Filter(query="nobody"), "no query 'nobody'", id="query"),
    ],
)
def test_a_value_that_no_row_has_is_said(run: Run, wanted: Filter, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inspect(run, wanted)


def test_an_unknown_score_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="score 'cosine' is none of the ledger"):
        inspect(run, Filter(score="cosine"))


def _call(run: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["inspect", str(run), *arguments])
    return done.output if done.exit_code == 0 else f"{done.exit_code}: {done.stderr}"


def test_the_command_prints_queries_with_their_rows(run: Run) -> None:
    shown = _call(run.path, "--decision", "negative", "--limit", "3")
    assert "how do liver and liver work 0" in shown
    assert shown.count("negative: selected (hard)") + shown.count("negative: selected") >= 3


def test_texts_cannot_steer_the_terminal(run: Run) -> None:
    shown = _call(run.path, "--query", _ids(run)[0])
    assert "\x1b[31m" not in shown
    assert "[red]" in shown


def test_json_holds_the_whole_texts(run: Run) -> None:
    rows = json.loads(_call(run.path, "--score", "0.2:", "--limit", "2", "--json"))
    assert [row["teacher_score"] >= 0.2 for row in rows] == [True, True]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        pytest.param(["--slot", "kind"], "is not NAME=VALUE", id="slot"),
        pytest.param(["--score", "low"], "is not LOW:HIGH", id="score"),
        pytest.param(["--score", "a:b"], "is not LOW:HIGH", id="no-numbers"),
    ],
)
def test_a_wrong_option_is_one_sentence(run: Run, option: list[str], message: str) -> None:
    assert message in _call(run.path, *option)


def test_a_slot_that_no_query_has_matches_nothing(run: Run) -> None:
    assert "no row matches" in _call(run.path, "--slot", "kind=question")
