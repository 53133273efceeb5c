"""Deciding again from the ledgers of whole runs, with backends that need no weights."""

from __future__ import annotations

import json
import random
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from datagen import pipeline, shards
from datagen.cli import app
from datagen.config import build_config, merge
from datagen.errors import ConfigError, InputError, RunFolderError
from datagen.mining.ledger_review import open_review
from datagen.tuning import cross, default_grid, tell_command, tell_limits, tune

Values: TypeAlias = dict[str, Any]  # Any: settings not yet validated
Run: TypeAlias = Callable[..., Path]
Pairs: TypeAlias = set[tuple[str, str]]

N_QUERIES = 540
WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]
SPREAD: Values = {"near_positive_share": 0.01, "margin_policy": "spread"}
RERANKED: Values = {"denoise": {"reranker": "datagen.testing:OverlapReranker", "margin": 1, "round_size": 4}}
CHOICES: dict[str, Values] = {
    "top": {},
    "random": {"method": "random"},
    "tiers": {"method": "tiers", "tiers": [2, 2, 1]},
    "simans": {"method": "simans"},
    "capped": {"hub_cap": 6},
    "capped-tiers": {"hub_cap": 6, "method": "tiers"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Mines with these settings, once for each."""
    home = tmp_path_factory.mktemp("tuning")
    beir = _write(home / "beir")
    made: dict[str, Path] = {}

    def call(**over: Any) -> Path:  # Any: settings not yet validated
        name = json.dumps(over, sort_keys=True)
        if name not in made:
            base = {
                "out": home / f"run{len(made)}",
                "cache": home / "cache",
                "input": {"beir": str(beir)},
                "teacher": {"model": "datagen.testing:HashingTeacher"},
                "denoise": {"reranker": "none"},
                "mine": {"query_block": 512, "candidates": 40, "max_candidates": 160, **SPREAD},
            }
            made[name] = pipeline.run(build_config(merge(base, over))).path
        return made[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datagen.storage._sync", lambda _: None)
        yield call


def _write(folder: Path) -> Path:
    """Random sentences; each query is made of words of its one or two positives, and one has a negative written."""
    chance = random.Random(7)
    documents = [" ".join(chance.choices(WORDS, k=10)) for _ in range(700)]
    queries = [" ".join([*chance.sample(text.split(), 3), chance.choice(WORDS)]) for text in documents[:N_QUERIES]]
    (folder / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": f"d{i}", "title": "", "text": text}) for i, text in enumerate(documents)]
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    (folder / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": f"q{i}", "text": text}) for i, text in enumerate(queries))
    )
    second = [f"q{i}\td{i + 1}\t1" for i in range(0, N_QUERIES, 9)]
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(N_QUERIES)), *second, "q1\td600\t0"]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines))
    return folder


def _negatives(run: Path) -> Pairs:
    ledger = shards.read(run / "candidates").filter(pl.col("decision") == "negative")
    return set(ledger.select("query_id", "doc_id").iter_rows())


def _decided(run: Path, **over: object) -> tuple[Pairs, set[str]]:
    """The negatives of a run under other settings of `mine`, and the queries whose search would go on."""
    review = open_review(run)
    decision = review.decide(build_config(merge(review.config.model_dump(mode="json"), {"mine": over})))
    pairs = review.pairs.select("query_id", "doc_id")
    queries = pairs["query_id"].unique(maintain_order=True)
    return set(pairs[decision.chosen].iter_rows()), set(queries.filter(pl.Series(decision.deeper)))


@pytest.mark.parametrize("reranked", [pytest.param({}, id="no-reranker"), pytest.param(RERANKED, id="reranked")])
@pytest.mark.parametrize("choice", CHOICES.values(), ids=list(CHOICES))
def test_the_run_s_own_settings_give_its_own_negatives(run: Run, choice: Values, reranked: Values) -> None:
    path = run(**merge(reranked, {"mine": {"choice": choice}}))
    assert len(list((path / "candidates").iterdir())) == 2
    assert _decided(path)[0] == _negatives(path)
    row = tune(path, []).row(0, named=True)
    counts = json.loads((path / "run.json").read_text())["stages"]["choose"]["counts"]
    assert row["own"]
    assert row["negatives"] == counts["negatives"] == len(_negatives(path))
    assert row["full"] == counts["queries_with_all_negatives"] / N_QUERIES
    assert row["without"] == counts["queries_without_negatives"] / N_QUERIES
    assert row["unscored"] == (0.0 if reranked else None)


@pytest.mark.parametrize(
    "mine",
    [
        pytest.param({"sources": {"written": False}}, id="one-source"),
        pytest.param({"sources": {"use": ["dense", "random"]}}, id="random-too"),
        pytest.param({"margin_policy": "adaptive"}, id="adaptive"),
        pytest.param({"margin_policy": "adaptive", "margin": 0.02, "margin_ceiling": 0.9}, id="served"),
        pytest.param({"margin_policy": "relative", "margin": 0.2}, id="relative"),
        pytest.param({"margin_policy": "absolute", "positive_score": "own"}, id="absolute"),
        pytest.param({"sources": {"use": ["dense", "random"], "quotas": {"random": 1}}}, id="quotas"),
    ],
)
def test_runs_of_other_sources_and_policies_give_their_own_negatives_too(run: Run, mine: Values) -> None:
    path = run(mine=mine)
    listed = shards.read(path / "candidates")["sources"]
    assert listed.is_null().all() is (mine.get("sources") == {"written": False})
    assert _negatives(path)
    assert _decided(path)[0] == _negatives(path)


def test_what_a_refresh_did_not_search_is_seen_as_it_was_given(run: Run) -> None:
    strict = run(mine={"margin": 1.4, "choice": {"method": "tiers"}})
    over = {"input": {"beir": None, "run": str(strict)}, "teacher": {"model": "tests.support.students:TrainedStudent"}}
    again = run(**over, mine={"choice": {"method": "tiers"}, "reference_sample": 400, "refresh_overlap": 0.5})
    kept = (open_review(again).given > 0).mean()
    assert kept > 0.1
    assert (open_review(again).given > 41).any()
    assert _decided(again)[0] == _negatives(again)


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"margin": 0.0}, id="looser"),
        pytest.param({"margin": 0.8}, id="stricter"),
        pytest.param({"margin_policy": "relative"}, id="relative"),
        pytest.param({"margin_policy": "absolute", "margin": 0.05}, id="absolute"),
        pytest.param({"positive_score": "min"}, id="min"),
        pytest.param({"num_negatives": 9}, id="more"),
        pytest.param({"margin": 0.0, "choice": {"method": "tiers"}}, id="tiers"),
        pytest.param({"margin": 0.7, "choice": {"method": "random"}}, id="random"),
    ],
)
def test_what_is_foretold_is_what_mining_again_gives(run: Run, over: Values) -> None:
    foretold, deeper = _decided(run(), **over)
    mined = _negatives(run(mine=over))
    assert {pair for pair in foretold if pair[0] not in deeper} == {pair for pair in mined if pair[0] not in deeper}
    assert len(deeper) < N_QUERIES / 2
    assert foretold != _negatives(run())


def test_a_looser_margin_is_not_shown_more_than_it_would_have_found(run: Run) -> None:
    strict = run(mine={"margin": 1.4, "choice": {"method": "tiers"}})
    foretold, deeper = _decided(strict, margin=0.0)
    assert not deeper
    assert foretold == _negatives(run(mine={"margin": 0.0, "choice": {"method": "tiers"}}))


def test_queries_that_would_be_searched_deeper_are_counted(run: Run) -> None:
    rows = tune(run(), [{"margin": 2.0}])
    own, strict = rows.iter_rows(named=True)
    assert own["deeper"] == 0
    assert 0 < strict["deeper"] <= round((1 - strict["full"]) * N_QUERIES)
    searched = run(mine={"margin": 2.0})
    assert tune(searched, []).row(0, named=True)["full"] > strict["full"]


def test_negatives_that_the_reranker_has_not_seen_are_counted(run: Run) -> None:
    path = run(**RERANKED)
    rows = tune(path, [{"margin": 0.0}, {"num_negatives": 12}])
    assert rows["unscored"].to_list()[0] == 0.0
    review = open_review(path)
    for row, over in zip(rows.iter_rows(named=True), [{}, {"margin": 0.0}, {"num_negatives": 12}], strict=True):
        config = build_config(merge(review.config.model_dump(mode="json"), {"mine": over}))
        scores = shards.read(path / "candidates")["reranker_score"].gather(review.decide(config).chosen)
        assert row["unscored"] == pytest.approx(scores.null_count() / len(scores))
        assert 0 < row["doubted"] < 1
    assert rows["unscored"].to_list()[2] > 0


def test_what_the_reranker_set_aside_stays_aside(run: Run) -> None:
    path = run(**RERANKED)
    foretold = _decided(path, margin=0.0)[0]
    doubted = shards.read(path / "candidates").filter(pl.col("reason") == "reranker")
    assert len(doubted)
    assert not foretold & set(doubted.select("query_id", "doc_id").iter_rows())


def test_candidates_scored_for_promotion_are_doubted_where_a_looser_margin_lets_them_in(run: Run) -> None:
    path = run(denoise={**RERANKED["denoise"], "promote_depth": 5, "promote_margin": 1})
    ledger = shards.read(path / "candidates")
    scored = ledger.filter(pl.col("reason").is_in(["margin", "near_positive"]), pl.col("reranker_score").is_not_null())
    assert len(scored)
    review = open_review(path)
    known = (
        ledger.filter(pl.col("reason") == "known_positive").group_by("query_id").agg(own=pl.col("reranker_score").max())
    )
    above = (
        ledger.with_row_index("place").join(scored, on=["query_id", "doc_id"], how="semi").join(known, on="query_id")
    )
    above = above.filter(pl.col("reranker_score") >= pl.col("own"))
    assert len(above)
    assert review.doubted[above["place"].to_numpy()].mean() > 0.8
    assert _decided(path)[0] == _negatives(path)


def test_hardness_is_that_of_the_ledger(run: Run) -> None:
    path = run()
    ledger = shards.read(path / "candidates").join(shards.read(path / "margins"), on="query_id")
    positives = ledger.filter(pl.col("reason") == "known_positive").group_by("query_id")
    middle = positives.agg(middle=pl.col("teacher_score").cast(pl.Float64).median())
    chosen = ledger.filter(pl.col("decision") == "negative").join(middle, on="query_id")
    gaps = (chosen["middle"] - chosen["teacher_score"]) / chosen["spread"]
    row = tune(path, []).row(0, named=True)
    assert row["log2_rank"] == pytest.approx(chosen["rank"].log(2).mean())
    assert row["gap"] == pytest.approx(gaps.filter(chosen["spread"] > 0).mean())


def test_leak_is_the_share_of_negatives_that_are_labelled_relevant(run: Run) -> None:
    path = run()
    found = sorted(_negatives(path))
    hidden = [found[0], found[1], found[40]]
    rows = [(*pair, 1.0) for pair in hidden] + [(*found[2], 0.0), ("q3", "d3", 1.0), ("q99", "unseen", 2.0)]
    labels = pl.DataFrame(rows, schema=["query_id", "doc_id", "relevance"], orient="row")
    judged = {query for query, _ in hidden} | {"q99"}
    among = [pair for pair in found if pair[0] in judged]
    assert tune(path, [], labels).row(0, named=True)["leak"] == pytest.approx(3 / len(among))
    assert tune(path, []).row(0, named=True)["leak"] is None


def test_labels_that_tell_nothing_new_give_no_leak(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    labels = pl.DataFrame({"query_id": ["q3"], "doc_id": ["d3"], "relevance": [1.0]})
    assert tune(run(), [], labels)["leak"].to_list() == [None]
    assert "no relevant document that" in caplog.text


def test_labels_of_other_queries_are_refused(run: Run) -> None:
    labels = pl.DataFrame({"query_id": ["x3"], "doc_id": ["d3"], "relevance": [1.0]})
    with pytest.raises(InputError, match="hold no relevant document for a query of .*: give the query ids"):
        tune(run(), [], labels)


def test_a_grid_without_settings_goes_around_the_run_s_own(run: Run) -> None:
    rows = tune(run())
    assert rows["policy"].to_list() == ["spread"] * 5 + ["adaptive", "relative", "absolute"]
    assert rows["margin"].to_list() == [0.5, 0.0, 0.25, 0.75, 1.0, 0.05, 0.05, 0.05]
    assert rows["own"].to_list() == [True] + [False] * 7
    zero = build_config(merge(open_review(run()).config.model_dump(mode="json"), {"mine": {"margin": 0}})).mine
    assert [over["margin"] for over in default_grid(zero)[:5]] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_margin_stays_with_its_policy_and_tiers_with_their_method(run: Run) -> None:
    path = run(mine={"margin": 1.4, "choice": {"method": "tiers"}})
    grid: list[Values] = [
        {"margin_policy": "relative"},
        {"choice": {"method": "top"}},
        {"choice": {"tiers": [4, 2, 1]}},
    ]
    rows = tune(path, grid)
    assert rows["margin"].to_list() == [1.4, 0.05, 1.4]
    assert rows["choice"].to_list() == ["tiers 4,2,1", "tiers 4,2,1", "top 5"]


@pytest.mark.parametrize(
    ("over", "told"),
    [
        pytest.param({"candidates": 7}, "cannot answer for mine.candidates: a row of the grid may set", id="search"),
        pytest.param({"margin": -1}, "mine.margin' is -1", id="range"),
        pytest.param({"margin_policy": "x"}, "margin_policy 'x'", id="policy"),
    ],
)
def test_a_row_that_cannot_be_told_is_refused(run: Run, over: Values, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tune(run(), [over])
    assert told in str(caught.value)


def test_the_grid_is_the_product_of_what_is_given() -> None:
    grid = cross({"margin": [0.1, 0.2], "positive_score": ["min"]}, {"hub_cap": 3})
    assert grid == [{"margin": m, "positive_score": "min", "choice": {"hub_cap": 3}} for m in (0.1, 0.2)]
    assert cross({}, {"method": "top"}) == [{"choice": {"method": "top"}}]


@pytest.mark.parametrize(
    ("own", "row", "options"),
    [
        ({}, {}, ""),
        ({}, {"margin": 0.25}, "--margin 0.25"),
        ({"margin": 0.05}, {"margin_policy": "relative"}, "--margin-policy relative --margin 0.05"),
        ({}, {"choice": {"method": "tiers", "tiers": [3, 2, 0]}}, "--choice tiers --tiers 3,2,0"),
        ({"choice": {"method": "tiers"}}, {}, "--choice top --set mine.choice.tiers=null"),
        ({"choice": {"hub_cap": 3}}, {}, "--set mine.choice.hub_cap=null"),
        ({}, {"choice": {"hub_cap": 3, "simans_a": 2.0}}, "--set mine.choice.simans_a=2.0 --hub-cap 3"),
        ({}, {"positive_score": "own", "num_negatives": 7}, "--positive-score own --num-negatives 7"),
    ],
)
def test_a_command_changes_what_differs(own: Values, row: Values, options: str) -> None:
    base = {"out": "r", "input": {"beir": "b"}}
    configs = [build_config({**base, "mine": mine}) for mine in (own, row)]
    command = tell_command(Path("my runs"), *(config.mine for config in configs))
    assert shlex.split(command) == ["datagen", "mine-negatives", "--run", "my runs", *options.split()]


def test_the_command_of_a_row_makes_what_the_row_says(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(run(mine={"choice": {"method": "tiers"}}), path)
    row = tune(path, [{"margin": 0.25, "choice": {"method": "top"}}]).row(1, named=True)
    foretold, deeper = _decided(path, margin=0.25, choice={"method": "top", "tiers": None})
    assert not deeper
    done = CliRunner().invoke(app, [*shlex.split(row["command"])[1:], "--quiet"])
    assert done.exit_code == 0, done.output
    assert _negatives(path) == foretold


def test_what_is_left_out_is_said(run: Run) -> None:
    plain = run()
    assert tell_limits(plain, tune(plain)) == []
    other = run(mine={"margin_policy": "relative", "margin": 0.2, "choice": {"hubness": "csls"}})
    told = tell_limits(other, tune(other))
    assert [sentence.split()[0] for sentence in told] == ["diversity", "spread"]
    quotas = run(mine={"sources": {"use": ["dense", "random"], "quotas": {"random": 1}}})
    assert tell_limits(quotas, tune(quotas)) == ["quotas of sources stay as the run's own margin filled them"]


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ("run.json", "holds no run.json: name the folder of a run"),
        ("candidates", "holds no ledger (candidates/): mine first, with datagen mine-negatives --run"),
        ("margins", "is from before datagen kept what each margin was measured with (margins/)"),
    ],
)
def test_a_folder_without_a_ledger_is_refused(run: Run, tmp_path: Path, lacks: str, told: str) -> None:
    path = tmp_path / "run"
    shutil.copytree(run(), path)
    if lacks == "run.json":
        (path / lacks).unlink()
    else:
        shutil.rmtree(path / lacks)
    with pytest.raises(RunFolderError) as caught:
        tune(path)
    assert told in str(caught.value)


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])


def test_the_command_shows_a_table_and_how_to_apply_a_row(run: Run) -> None:
    path = run(**RERANKED)
    done = _call(path, "--margin", "0.3", "--margin", "0.5", "--positive-score", "min", "--positive-score", "quantile")
    assert done.exit_code == 0, done.output
    for words in (f"{N_QUERIES} queries, choice top 5", "1 *", "0.3", "unscored:", "doubted:"):
        assert words in done.stdout
    assert "leak" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith(
        f"To apply a row, such as 2:  datagen mine-negatives --run {path} --"
    )
    assert [line.split()[0] for line in done.stdout.splitlines() if " spread " in line] == ["1", "2", "3", "4"]


def test_the_command_writes_json_and_csv(run: Run, tmp_path: Path) -> None:
    path, file = run(), tmp_path / "rows.csv"
    qrels = tmp_path / "labels.tsv"
    query, document = sorted(_negatives(path))[0]
    qrels.write_text(f"query-id\tcorpus-id\tscore\n{query}\t{document}\t1\n")
    done = _call(path, "--tiers", "2,1,1", "--hub-cap", "8", "--labels", qrels, "--json", "--csv", file)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["choice"] for row in rows] == ["top 5", "tiers 2,1,1, hub cap 8"]
    assert rows[0]["leak"] == pytest.approx(0.2)
    assert pl.read_csv(file)["command"].to_list() == [row["command"] for row in rows]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--margin-policy x", "margin_policy 'x'"),
        ("--tiers 1,2", "must be three numbers"),
        ("--labels nowhere.tsv", "'nowhere.tsv' does not exist"),
    ],
)
def test_a_wrong_call_is_one_sentence(run: Run, options: str, told: str) -> None:
    done = _call(run(), *options.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
