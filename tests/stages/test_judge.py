"""The judge stage within whole runs: with a real HTTP server that misbehaves, and with two judges in this process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.config import STAGE_ORDER, RunConfig, build_config, merge
from datagen.errors import BackendError
from datagen.report.judged import judge_line
from datagen.sources import load_labels
from tests.support.llm_server import Server, start_server

Values: TypeAlias = dict[str, Any]  # Any: settings, counts
Configure: TypeAlias = Callable[..., RunConfig]

WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]
ASKS, SPANS, LISTS = "How relevant is the passage", "Which piece of the passage", "How relevant is each"
CAREFUL, GENEROUS = (f"tests.support.scripted_judges:{name}" for name in ("Careful", "Generous"))
GRADES: list[Values] = [
    {"find": ASKS, "set": {"grade": "0"}},
    {"find": f"grade([0-3]).*{ASKS}", "set": {"grade": "{1}"}},
]
"""The server grades by the word in the passage."""
QUERIES, BUDGET = 60, 100
LEDGER = ["query_id", "doc_id", "decision", "reason"]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.set_script({"rules": GRADES})
    running.reset()
    return running


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of random words and a grade; a query has four words of its positive."""
    folder = tmp_path_factory.mktemp("beir")
    chance = random.Random(7)
    documents = [" ".join(chance.choices(WORDS, k=10)) + f" grade{chance.randrange(4)}" for _ in range(300)]
    (folder / "qrels").mkdir()
    rows = [json.dumps({"_id": f"d{i}", "title": "", "text": text}) for i, text in enumerate(documents)]
    titled = [json.dumps({"_id": f"d{i}", "title": text[:20], "text": text}) for i, text in enumerate(documents)]
    (folder / "titled.jsonl").write_text("\n".join(titled[:QUERIES]))
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    asked = [json.dumps({"_id": f"q{i}", "text": " ".join(documents[i].split()[:4])}) for i in range(QUERIES)]
    (folder / "queries.jsonl").write_text("\n".join(asked))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(QUERIES))]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def configure(tmp_path: Path, beir: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Settings of a run of this name with one judge on the server."""
    monkeypatch.setattr("datagen.storage._sync", lambda _: None)
    prices = tmp_path / "prices.yaml"
    prices.write_text("as_of: today\nmodels:\n  openai:court: {input: 10.0, output: 20.0}\n")

    def call(name: str = "run", judge: Values | None = None, **over: object) -> RunConfig:
        base: Values = {
            "out": tmp_path / name,
            "cache": beir / "cache",
            "input": {"beir": str(beir)},
            "teacher": {"model": "datagen.testing:HashingTeacher"},
            "denoise": {"reranker": "datagen.testing:OverlapReranker"},
            "llm": {"base_url": server.url, "prices": prices},
            "judge": {"judges": ["openai:court"], "budget": BUDGET, **(judge or {})},
        }
        return build_config(merge(base, over))

    return call


def _run(config: RunConfig, *, read_again: bool = False) -> Values:
    return {record.name: record.counts for record in pipeline.run(config, read_again=read_again).records}


def _table(config: RunConfig, name: str) -> pl.DataFrame:
    return shards.read(config.out / name)


def _judged(config: RunConfig) -> pl.DataFrame:
    """The judged candidates with their reasons and texts."""
    corpus = _table(config, "corpus").select("doc_id", "text")
    ledger = _table(config, "candidates").select(*LEDGER, "judge_grade", "reranker_score")
    return _table(config, "judgements").join(ledger, on=["query_id", "doc_id"]).join(corpus, on="doc_id")


def test_the_budget_is_spent_and_grades_decide(configure: Configure, server: Server) -> None:
    config = configure()
    counts = _run(config)["judge"]
    assert counts["questions"] == counts["answers"] == counts["candidates_judged"] == BUDGET
    assert server.stats()["prompts"] == BUDGET
    judged = _judged(config)
    assert (judged["grade"] == judged["text"].str.extract(r"grade(\d)").cast(pl.Int32)).all()
    assert (judged["judge_grade"] == judged["grade"].cast(pl.Float32)).all()
    assert (judged["label"] == (judged["grade"] >= 2)).all()
    relevant = judged.filter(pl.col("grade") >= 2)
    assert len(relevant) > 20
    assert set(relevant["reason"]) == {"judge", "promoted"}
    assert not (relevant["decision"] == "negative").any()
    others = judged.filter(pl.col("grade") < 2)
    assert set(others["reason"]) <= {"selected", "surplus"}
    assert (others["reason"] == "selected").sum() > 20
    assert judged["cost"].sum() == pytest.approx(counts["cost"], abs=1e-5)
    assert counts["cost"] > 0
    assert counts["decisions_changed"] == counts["cleared"] + counts["relevant"] > 20
    line = judge_line(counts)
    assert f"changed {counts['decisions_changed']} decisions" in line
    assert "kappa" not in line
    assert line in (config.out / "README.md").read_text()


def test_no_query_lacks_a_negative_because_the_judge_took_one(configure: Configure) -> None:
    plain = _run(configure("plain", judge={"budget": 0, "judges": []}))
    judged = _run(configure())
    assert "judge" not in plain
    assert plain["choose"]["queries_with_all_negatives"] == judged["choose"]["queries_with_all_negatives"] == QUERIES
    assert judged["judge"]["negatives_removed"] > 10


def test_questions_are_about_what_would_be_chosen_and_what_was_set_aside_near_the_cut(configure: Configure) -> None:
    plain, config = configure("plain", judge={"budget": 0, "judges": []}), configure(judge={"clear_doubts": False})
    _run(plain)
    _run(config)
    before = _table(plain, "candidates").select("query_id", "doc_id", before="reason")
    asked = _table(config, "judgements").join(before, on=["query_id", "doc_id"])
    counts = dict(asked["before"].value_counts().iter_rows())
    assert counts["selected"] > BUDGET / 3
    assert counts["margin"] > 2
    assert counts.keys() <= {"selected", "surplus", "margin", "near_positive", "reranker"}
    assert asked["query_id"].n_unique() > QUERIES / 2
    after = _judged(config).filter(pl.col("grade") < 2).join(before, on=["query_id", "doc_id"])
    doubted = after.filter(pl.col("before").is_in(["margin", "near_positive", "reranker"]))
    assert len(doubted)
    assert (doubted["reason"] == doubted["before"]).all()


def test_a_cleared_doubt_may_become_a_negative_without_a_reranker_score(configure: Configure) -> None:
    config = configure(judge={"budget": 300}, mine={"choice": {"hub_cap": 40}})
    assert _run(config)["judge"]["cleared"] > 10
    judged = _judged(config)
    assert judged.filter(pl.col("reranker_score").is_null(), pl.col("decision") == "negative").height > 0


def test_a_promotion_needs_the_reranker_too(configure: Configure) -> None:
    config = configure(judge={"budget": 400})
    assert _run(config)["judge"]["promoted"] > 3
    ledger = _table(config, "candidates")
    known = ledger.filter(pl.col("reason") == "known_positive").select("query_id", positive="reranker_score")
    top = _judged(config).filter(pl.col("grade") == 3).join(known, on="query_id")
    agreed = (top["reranker_score"] >= top["positive"]).fill_null(value=False)
    assert (top["reason"] == "promoted").equals(agreed)
    assert (top.filter(agreed)["decision"] == "positive").all()
    promoted = ledger.filter(pl.col("decision") == "positive").height
    assert _table(config, "train")["positives"].list.len().sum() == QUERIES + promoted


def test_a_judge_that_fails_leaves_the_candidate_ignored(configure: Configure, server: Server) -> None:
    kinds = (
        "never_good",
        "400",
        "empty",
        "content_filter",
        "refusal",
        "truncated_json",
        "wrong_types",
        "nulls",
        "length",
    )
    faults = [{"kind": kind, "rows": ASKS, "share": 0.08} for kind in kinds]
    harmless = [{"kind": kind, "share": 0.05} for kind in ("429", "500", "think", "fenced", "reset")]
    server.set_script({"rules": GRADES, "faults": [*faults, *harmless]})
    config = configure(judge={"budget": 200})
    counts = _run(config)["judge"]
    judged = _judged(config)
    failed = judged.filter(pl.col("status") != "ok")
    assert len(failed) == counts["no_valid_answer"] > 60
    assert len(judged) == 200
    assert (
        failed["grade"].null_count()
        == failed["label"].null_count()
        == failed["judge_grade"].null_count()
        == len(failed)
    )
    assert (failed["decision"] == "ignored").all()
    assert set(failed["reason"]) <= {"judge_failed", "margin", "near_positive", "reranker"}
    assert (failed["reason"] == "judge_failed").any()
    assert {"refused", "content_filter", "bad_request", "empty", "no_json"} <= set(counts["statuses"])
    good = judged.filter(pl.col("status") == "ok")
    assert (good["grade"] == good["text"].str.extract(r"grade(\d)").cast(pl.Int32)).all()


def test_an_unusable_answer_is_asked_again_when_that_is_wished(configure: Configure, server: Server) -> None:
    server.set_script({"rules": GRADES, "faults": [{"kind": "empty", "share": 0.3, "times": 1}]})
    counts = _run(configure(judge={"reasks": 2}))["judge"]
    assert counts["no_valid_answer"] == 0
    assert counts["answers"] > BUDGET


def test_a_server_that_is_down_stops_the_run_and_the_same_command_goes_on(configure: Configure, server: Server) -> None:
    config = configure(llm={"give_up_seconds": 0.2, "max_in_flight": 4})
    server.set_script({"rules": GRADES, "faults": [{"kind": "500", "rows": ASKS, "share": 1.0}]})
    with pytest.raises(BackendError, match="all answers so far are kept"):
        _run(config)
    server.set_script({"rules": GRADES})
    assert _run(config)["judge"]["answers"] == BUDGET


def test_a_larger_budget_asks_only_what_is_new(configure: Configure, server: Server) -> None:
    _run(configure())
    server.reset()
    counts = _run(configure(judge={"budget": BUDGET + 30}))["judge"]
    assert (counts["answers"], counts["answers_from_journal"]) == (BUDGET + 30, BUDGET)
    assert server.stats()["prompts"] == 30


def test_answers_are_read_again_without_a_call(configure: Configure, server: Server) -> None:
    config = configure()
    _run(config)
    before = _table(config, "candidates")
    server.reset()
    stricter = configure(judge={"min_grade": 1})
    counts = _run(stricter, read_again=True)["judge"]
    assert server.stats()["requests"] == 0
    assert counts["answers_from_journal"] == BUDGET
    judged = _judged(stricter)
    assert not (judged.filter(pl.col("grade") == 1)["decision"] == "negative").any()
    assert (
        before["judge_grade"]
        .drop_nulls()
        .sort()
        .equals(_table(stricter, "candidates")["judge_grade"].drop_nulls().sort())
    )


def test_a_killed_run_asks_nothing_twice_and_ends_with_the_same_bytes(
    configure: Configure, server: Server, tmp_path: Path
) -> None:
    whole, killed = configure("whole"), configure("killed", llm={"max_in_flight": 2})
    _run(whole)
    server.reset()
    server.set_script({"rules": GRADES, "latency_seconds": 0.03})
    (tmp_path / "settings.yaml").write_text(json.dumps(killed.model_dump(mode="json")))
    command = [sys.executable, "-m", "datagen", "run", str(tmp_path / "settings.yaml"), "--quiet"]
    started = subprocess.Popen(command, start_new_session=True, cwd=Path(__file__).parents[2])
    while server.stats()["prompts"] < 20:
        assert started.poll() is None
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert server.stats()["prompts"] < BUDGET
    server.set_script({"rules": GRADES})
    counts = _run(killed)["judge"]
    assert counts["answers_from_journal"] >= 18
    assert server.stats()["answered_good"] <= BUDGET + 2  # those that were in flight at the kill
    for name in ("candidates", "judgements", "train"):
        assert _table(whole, name).equals(_table(killed, name)), name


def test_a_span_must_stand_in_the_passage(configure: Configure, server: Server) -> None:
    server.set_script(
        {
            "rules": [
                {"find": SPANS, "set": {"verdict": "none", "span": ""}},
                {"find": rf"(\w+ \w+ grade3).*{SPANS}", "set": {"verdict": "answer", "span": "{1}"}},
                {"find": f"grade2.*{SPANS}", "set": {"verdict": "answer", "span": "what nobody wrote"}},
            ]
        }
    )
    config = configure(judge={"mode": "span"})
    counts = _run(config)["judge"]
    judged = _judged(config)
    found = judged.filter(pl.col("text").str.contains("grade3"))
    assert (found["label"] == 1).all()
    assert all(span in text for span, text in found.select("span", "text").iter_rows())
    made_up = judged.filter(pl.col("text").str.contains("grade2"))
    assert set(made_up["status"]) == {"span_not_found"}
    assert (made_up["decision"] == "ignored").all()
    assert counts["no_valid_answer"] == len(made_up) > 5
    assert set(judged.filter(pl.col("text").str.contains("grade[01]"))["label"]) == {0}


def test_a_list_asks_about_several_candidates_of_a_query_at_once(configure: Configure, server: Server) -> None:
    rules = [{"find": LISTS, "set": dict.fromkeys("ABCDE", "0")}]
    rules += [{"find": rf"\n{x}:\n<passage>\n[^<]*grade([0-3]).*{LISTS}", "set": {x: "{1}"}} for x in "ABCDE"]
    server.set_script({"rules": rules})
    config = configure(judge={"mode": "list", "budget": 40})
    counts = _run(config)["judge"]
    assert counts["questions"] == counts["answers"] == 40
    assert 150 < counts["candidates_judged"] <= 200
    judged = _judged(config)
    assert (judged["grade"] == judged["text"].str.extract(r"grade(\d)").cast(pl.Int32)).all()
    assert judged["cost"].sum() == pytest.approx(counts["cost"], abs=1e-5)


def test_two_judges_share_questions_and_where_they_disagree_the_candidate_is_ignored(configure: Configure) -> None:
    config = configure(judge={"judges": [CAREFUL, GENEROUS], "shared": 0.5, "budget": 300})
    counts = _run(config)["judge"]
    assert 298 <= counts["answers"] <= 300
    judged = _judged(config)
    per_judge = dict(judged["judge"].value_counts().iter_rows())
    assert per_judge[CAREFUL] == counts["questions"]
    assert per_judge[GENEROUS] == counts["judged_by_both"] == pytest.approx(counts["questions"] / 2, rel=0.2)
    assert 0.5 < counts["kappa_low"] < counts["kappa"] < counts["kappa_high"] < 1
    assert "agree on" in judge_line(counts)
    pairs = judged.group_by("query_id", "doc_id").agg(pl.col("label", "reason", "decision"))
    split = pairs.filter(pl.col("label").list.n_unique() > 1)
    assert len(split) == counts["judges_disagree"] > 5
    assert set(split["reason"].explode()) == {"judge_disagreement"}
    assert set(split["decision"].explode()) == {"ignored"}
    two = judged.group_by("query_id", "doc_id").agg(pl.col("grade").sort(), pl.col("reason").first(), pl.len())
    assert set(two.filter(pl.col("grade") == [3, 3])["reason"]) == {"promoted"}
    labels = load_labels(str(config.out))
    assert labels.schema == {"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Float32, "source": pl.String}
    assert labels.join(split, on=["query_id", "doc_id"]).is_empty()
    assert len(labels) == counts["questions"] - len(split)
    once = judged.filter(pl.col("judge") == CAREFUL).join(labels, on=["query_id", "doc_id"], suffix="_kept")
    assert (once["label"] == once["relevance"]).all()


def test_a_promoted_passage_takes_the_place_of_a_generated_positive_that_is_not_relevant(
    configure: Configure, tmp_path: Path, beir: Path
) -> None:
    values: Values = {"judges": [CAREFUL], "budget": 400, "promote_grade": 2, "replace_positives": True}
    generate = {"llm": "extractive", "queries_per_passage": 1, "mix": {"title_body": 1.0}}
    written = {"input": {"beir": None, "corpus": str(beir / "titled.jsonl")}, "generate": generate}
    more = {"verify": {"enabled": False}, "stages": [name for name in STAGE_ORDER if name != "brainstorm"]}
    config = configure(judge=values, **written, **more)
    counts = _run(config)["judge"]
    assert counts["positives_replaced"] > 0
    ledger = _table(config, "candidates")
    replaced = ledger.filter(pl.col("reason") == "replaced_positive")
    assert len(replaced) == counts["positives_replaced"]
    assert (replaced["judge_grade"] < 2).all()
    dropped = _table(config, "dropped").filter(pl.col("reason") == "replaced_positive")
    told = [json.loads(payload) for payload in dropped["payload"]]
    assert {(row["query_id"], row["doc_id"]) for row in told} == set(replaced.select("query_id", "doc_id").iter_rows())
    positives = dict(_table(config, "train").select("query_id", "positives").iter_rows())
    for row in told:
        ids = {positive["doc_id"] for positive in positives[row["query_id"]]}
        assert row["doc_id"] not in ids
        assert ids >= set(row["replaced_by"])


def test_a_cap_in_money_stops_the_questions_and_leaves_the_others_as_they_were(configure: Configure) -> None:
    config = configure(judge={"max_cost": 0.3}, llm={"max_in_flight": 1})
    counts = _run(config)["judge"]
    assert 0 < counts["answers"] < BUDGET
    assert counts["cost"] <= 0.3
    assert len(_table(config, "judgements")) == counts["answers"]
    assert counts["no_valid_answer"] == 0


def test_a_model_that_is_not_there_stops_the_run_before_anything_is_done(configure: Configure, server: Server) -> None:
    server.set_script({"models": ["other"]})
    config = configure()
    with pytest.raises(BackendError, match="court"):
        _run(config)
    assert not (config.out / "corpus").exists()
