"""A judge of rows, with a real HTTP server: what passes, what is dropped with its words, and that it fails closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.errors import BackendError, ConfigError
from datagen.lineage import explain_row
from datagen.report.knobs import MEANINGS
from datagen.settings.generate import RetryRule
from tests.support.llm_server import Server, start_server
from tests.support.step_runs import NUM, VERDICT, StepRuns, Values

JUDGE = "openai:court"
NEGATIVE = """
description: a query and a negative for a passage
slots: {tone: {values: [polite, rude]}}
prompts: [{user: ask.j2}]
output: {query: {min_characters: 2}, negative: {min_characters: 2, required: false}}
negative: negative
tally: tone
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def runs(tmp_path: Path, running: Server) -> StepRuns:
    running.set_script({})
    running.reset()
    return StepRuns(tmp_path, running)


@pytest.fixture
def own(runs: StepRuns) -> Values:
    """Settings for a recipe of one's own that writes negatives."""
    home = runs.folder / "prompts" / "own"
    home.mkdir(parents=True)
    (home / "recipe.yaml").write_text(NEGATIVE)
    (home / "ask.j2").write_text("A {{ tone }} query and a negative in JSON for: {{ text }}")
    return {"recipe": "own", "prompts": home.parent, "judge": JUDGE}


def _say(runs: StepRuns, verdict: str, find: str = "") -> None:
    rules = [{"find": VERDICT, "set": {"verdict": "yes"}}, {"find": f"{find}.*{VERDICT}", "set": {"verdict": verdict}}]
    runs.server.set_script({"rules": rules})


def _dropped(runs: StepRuns, reason: str, name: str = "run") -> list[Values]:
    rows = runs.table("dropped", name).filter(reason=reason).iter_rows(named=True)
    return [{**row, **json.loads(row["payload"])} for row in rows]


def test_sixty_rows_pass_and_what_the_judge_is_against_is_kept_with_its_words(runs: StepRuns) -> None:
    counts = runs.run(judge=JUDGE)
    assert counts["accepted"] == NUM
    assert {row["judge"]["said"]["verdict"] for row in runs.steps()} == {"yes", "partly"}
    dropped = _dropped(runs, "judged_unanswerable")
    assert len(dropped) == counts["rejected_by_reason"]["judged_unanswerable"] > 10
    for row in dropped:
        assert row["judge"]["verdict"] == "no"
        assert row["judge"]["generator"] == JUDGE
        assert len(row["judge"]["reason"].split()) > 5
        assert row["query"]
    assert not {row["key"] for row in dropped} & set(runs.table("queries")["query_id"])


def test_the_judge_is_counted_and_paid_under_its_own_name(runs: StepRuns) -> None:
    counts = runs.run(judge=JUDGE)
    court, writer = counts["steps"]["judge"], counts["generators"]["openai:test"]
    assert set(counts["generators"]) == {"openai:test"}
    assert court["generators"] == [JUDGE]
    assert court["outcomes"].keys() == {"yes", "partly", "no"}
    assert court["tokens"] + writer["tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]
    assert court["cost"] + writer["cost"] == pytest.approx(counts["cost"], abs=2e-4)
    assert court["cost"] / court["tokens"] > 5 * writer["cost"] / writer["tokens"]
    assert set(counts["flow"]) == {"openai:test", JUDGE}


def test_a_judge_that_fails_lets_nothing_pass(runs: StepRuns) -> None:
    faults = [
        {"kind": "never_good", "rows": VERDICT, "share": 0.25},
        {"kind": "400", "rows": VERDICT, "share": 0.15},
        {"kind": "empty", "rows": VERDICT, "share": 0.1},
    ]
    runs.server.set_script({"rules": [{"find": VERDICT, "set": {"verdict": "yes"}}], "faults": faults})
    counts = runs.run(judge=JUDGE)
    assert counts["accepted"] == NUM
    failed = _dropped(runs, "judge_failed")
    assert len(failed) == counts["rejected_by_reason"]["judge_failed"] > 10
    assert {row["judge"]["said"]["verdict"] for row in runs.steps()} == {"yes"}
    by_id = {row["row_id"]: row for row in runs.table("generations").iter_rows(named=True)}
    asks = {json.loads(by_id[row["key"]]["steps"])[0]["asks"] for row in failed}
    assert asks == {1, 2}  # a refused request is final, an unreadable answer is asked once more


def test_a_verdict_of_another_word_is_none(runs: StepRuns) -> None:
    _say(runs, "probably", find=r"Report \d?[0-4]\.")
    counts = runs.run(judge=JUDGE, num=None, queries_per_passage=1)
    assert counts["steps"]["judge"]["outcomes"]["judge_failed"] == len(_dropped(runs, "judge_failed")) > 10
    assert {row["judge"]["said"]["verdict"] for row in runs.steps()} == {"yes"}


def test_negatives_that_answer_the_query_are_left_out_and_kept_aside(runs: StepRuns, own: Values) -> None:
    rules = [{"find": "A (?:polite|rude) query", "set": {"negative": "{words} {words} yes"}}]
    rules += [{"find": VERDICT, "set": {"verdict": "no"}}, {"find": f"Report.*{VERDICT}", "set": {"verdict": "partly"}}]
    runs.server.set_script({"rules": rules})
    runs.run("kept", **own)
    assert runs.table("pairs", "kept").filter(relevance=0.0).height == NUM
    rules[1]["set"] = {"verdict": "partly"}
    runs.server.set_script({"rules": rules})
    counts = runs.run("left", **own)
    assert counts["accepted"] == NUM
    assert counts["fields_left_out"] == {"judged_relevant": NUM}
    assert runs.table("pairs", "left").filter(relevance=0.0).is_empty()
    dropped = _dropped(runs, "judged_relevant", "left")
    assert len(dropped) == NUM
    assert all(row["judge_negative"]["negative"].endswith("yes") for row in dropped)
    assert {row["key"].split("\t")[0] for row in dropped} == set(runs.table("queries", "left")["query_id"])


def test_negatives_are_not_judged_where_that_is_switched_off(runs: StepRuns, own: Values) -> None:
    _say(runs, "yes")
    counts = runs.run(**own, judge_negatives=False)
    assert set(counts["steps"]) == {"judge"}
    assert runs.table("pairs").filter(relevance=0.0).height == NUM


def test_a_row_that_adds_only_a_negative_goes_with_it(runs: StepRuns) -> None:
    pairs = runs.folder / "pairs.jsonl"
    lines = [{"anchor": f"what about gout {n}", "positive": f"Gout number {n} hurts the joints."} for n in range(40)]
    pairs.write_text("\n".join(map(json.dumps, lines)))
    relevant = f"gout \\d?[5-9]\n.*{VERDICT}"
    rules = [{"find": VERDICT, "set": {"verdict": "no"}}, {"find": relevant, "set": {"verdict": "yes"}}]
    runs.server.set_script({"rules": rules})
    whole = {"input": {"pairs": str(pairs)}}
    counts = runs.run(recipe="hard-negatives", judge=JUDGE, num=None, queries_per_passage=1, whole=whole)
    assert counts["accepted"] == counts["rejected_by_reason"]["judged_relevant"] == 20
    assert set(counts["steps"]) == {"judge_negative"}
    assert len(_dropped(runs, "judged_relevant")) == 20


def test_a_recipe_may_bring_its_own_question(runs: StepRuns, own: Values) -> None:
    home = own["prompts"] / "own" / "judge"
    home.mkdir()
    (home / "request.j2").write_text("Is it a fair trial? {{ query }} {{ passage }}")
    runs.server.set_script({"rules": [{"find": "Is it a fair trial", "set": {"verdict": "yes"}}]})
    runs.run(**own, judge_negatives=False)
    assert {row["judge"]["said"]["verdict"] for row in runs.steps()} == {"yes"}
    (home / "request.j2").write_text("Is it {{ just }}?")
    with pytest.raises(ConfigError, match="uses 'just', which will have no value"):
        runs.run("other", **own)


def test_retry_asks_the_judge_again_and_not_the_writer(runs: StepRuns) -> None:
    runs.server.set_script(
        {
            "rules": [{"find": VERDICT, "set": {"verdict": "yes"}}],
            "faults": [{"kind": "empty", "rows": VERDICT, "share": 0.3}],
        }
    )
    values: Values = {"judge": JUDGE, "num": None, "queries_per_passage": 1, "reasks": 0}
    first = runs.run(**values)
    failed, written = first["rejected_by_reason"]["judge_failed"], len(runs.table("generations"))
    assert failed > 10
    runs.server.set_script({"rules": [{"find": VERDICT, "set": {"verdict": "yes"}}]})
    runs.server.reset()
    again = runs.run(**values, retries=(RetryRule(reason="judge_failed"),))
    assert "judge_failed" not in again["rejected_by_reason"]
    assert again["accepted"] == first["accepted"] + failed
    assert runs.server.stats()["prompts"] == failed
    assert len(runs.table("generations")) == written


def test_two_runs_with_one_seed_are_equal(runs: StepRuns) -> None:
    for name in ("one", "two"):
        runs.run(name, judge=JUDGE)
    assert runs.same("one", "two")


def test_why_tells_what_the_judge_was_asked_and_said(runs: StepRuns) -> None:
    runs.run(judge=JUDGE)
    row = _dropped(runs, "judged_unanswerable")[0]
    told = {section.title.split(" (")[0]: section.text for section in explain_row(runs.folder / "run", row["key"])}
    assert VERDICT in told["judge: question 1"]
    assert f"<query>\n{row['query']}\n</query>" in told["judge: question 1"]
    assert "verdict: no" in told["judge: reading 1"]
    assert told["outcome"] == "not written: judged_unanswerable"
    assert "judged_unanswerable" in told["in dropped"]


def test_a_judge_that_is_not_there_stops_the_run_before_anything_is_asked(runs: StepRuns) -> None:
    runs.server.set_script({"models": ["test"]})
    with pytest.raises(BackendError, match="court"):
        runs.run(judge=JUDGE)
    assert runs.server.stats()["prompts"] == 0


def test_the_writer_may_judge_itself(runs: StepRuns) -> None:
    counts = runs.run(judge="openai:test")
    assert counts["accepted"] == NUM
    assert counts["steps"]["judge"]["generators"] == ["openai:test"]
    total = counts["steps"]["judge"]["tokens"] + counts["generators"]["openai:test"]["tokens"]
    assert total == counts["prompt_tokens"] + counts["completion_tokens"]


def test_the_extractive_writer_cannot_judge(runs: StepRuns) -> None:
    with pytest.raises(ConfigError, match="can judge nothing"):
        runs.config(judge="extractive")


@pytest.mark.parametrize("reason", ["judged_unanswerable", "judged_relevant", "judge_failed", "not_offered"])
def test_every_reason_of_a_step_is_explained(reason: str) -> None:
    assert all(MEANINGS[reason])
