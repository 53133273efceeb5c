"""Two steps, with a real HTTP server: a model chooses what suits a passage, then writes with that."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen import pipeline
from datagen.backends.registry import Registry
from datagen.config import StageName, TeacherConfig
from datagen.errors import BackendMissingError, ConfigError
from datagen.generation.recipes.load import load_recipe
from datagen.lineage import explain_row
from datagen.pilot import ask_pilot, describe_pilot
from datagen.stages.generate import Generate
from datagen.testing import HashingTeacher
from tests.support.llm_server import Server, start_server
from tests.support.step_runs import CHOICE, NUM, StepRuns, Values

CHOSEN = ("query_type", "difficulty", "persona")
BOTH: Values = {"two_step": True, "judge": "openai:court"}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def runs(tmp_path: Path, running: Server) -> StepRuns:
    running.set_script({})
    running.reset()
    return StepRuns(tmp_path, running)


def _holds(name: str, slots: dict[str, str]) -> bool:
    """Whether the recipe has this slot for a row with such a kind of query."""
    when = load_recipe("corpus").spec.slots[name].when
    return all(slots[slot] in allowed for slot, allowed in when.items())


def test_sixty_rows_are_written_with_what_the_model_chose(runs: StepRuns) -> None:
    counts = runs.run(two_step=True)
    rows = runs.steps()
    assert counts["accepted"] == len(rows) == NUM
    for row in rows:
        said, slots = row["choose"]["said"], row["slots"]
        assert set(said) == set(CHOSEN)
        assert {name: slots[name] for name in CHOSEN} == {
            name: said[name] if _holds(name, slots) else "" for name in CHOSEN
        }
    stored = runs.table("queries")["slots"].to_list()
    assert [json.loads(slots)["query_type"] for slots in stored] == [row["slots"]["query_type"] for row in rows]
    assert len({row["slots"]["query_type"] for row in rows}) >= 5


def test_tokens_and_money_of_both_steps_are_counted(runs: StepRuns) -> None:
    counts = runs.run(two_step=True)
    rows = runs.table("generations")
    choose = counts["steps"]["choose"]
    assert choose["asked"] == len(rows) == counts["asked"]
    assert choose["outcomes"] == {"taken": len(rows)}
    assert choose["generators"] == ["openai:test"]
    assert rows["prompt_tokens"].sum() == counts["prompt_tokens"]
    writer = counts["generators"]["openai:test"]
    assert writer["tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]
    assert writer["cost"] == pytest.approx(counts["cost"], abs=1e-4)
    assert 0 < choose["tokens"] < writer["tokens"]


def test_personas_offered_are_those_nearest_to_the_passage(runs: StepRuns) -> None:
    runs.run(two_step=True)
    teacher = HashingTeacher(TeacherConfig())
    chooser = load_recipe("corpus").chooser
    assert chooser is not None
    personas, count = chooser.nearest
    vectors, texts = teacher.encode(personas, "query"), dict(runs.table("corpus").select("doc_id", "text").iter_rows())
    for row in runs.steps():
        scores = vectors @ teacher.encode([texts[row["doc_id"]]], "document")[0]
        best = sorted(range(len(personas)), key=lambda place: -scores[place])
        chosen = personas.index(row["choose"]["said"]["persona"])
        assert scores[chosen] >= scores[best[count - 1]] - 0.01  # vectors are kept as float16


def test_without_a_teacher_personas_are_drawn(runs: StepRuns) -> None:
    runs.run(two_step=True, offers_by_teacher=False, whole={"teacher": {"model": "no/such-model"}})
    personas = {row["choose"]["said"]["persona"] for row in runs.steps()}
    assert len(personas) > 25
    assert not (runs.folder / "cache" / "vectors").exists()


class _Bare(Registry):
    """A machine without the packages of a teacher."""

    def check(self, stage: StageName) -> None:
        if stage == "embed":
            raise BackendMissingError("a teacher", "st")
        super().check(stage)


def test_where_the_teacher_is_not_installed_they_are_drawn_and_stay_so(
    runs: StepRuns, caplog: pytest.LogCaptureFixture
) -> None:
    config = runs.config(two_step=True)
    pipeline.run(config, backends=_Bare(config))
    assert "drawn by weight instead of by the teacher" in caplog.text
    asked = runs.server.stats()["prompts"]
    shutil.copytree(config.out, runs.folder / "before")
    shutil.rmtree(config.out / ".stages" / "generate", ignore_errors=True)
    pipeline.run(config, read_again=True)
    assert runs.same("run", "before")
    pipeline.run(config, fresh=True)
    assert runs.same("run", "before")
    assert runs.server.stats()["prompts"] == asked


def test_a_run_that_began_with_a_teacher_does_not_go_on_without(runs: StepRuns) -> None:
    config = runs.config(two_step=True)
    pipeline.run(config, until="clean")
    ask_pilot(config)
    with pytest.raises(BackendMissingError):
        pipeline.run(config, backends=_Bare(config))


def test_a_choice_that_cannot_be_used_gives_way_to_the_slots_drawn(runs: StepRuns) -> None:
    runs.server.set_script({"faults": [{"kind": "never_good", "rows": CHOICE, "share": 0.3}]})
    counts = runs.run(two_step=True)
    assert counts["accepted"] == NUM
    rows, recipe = runs.steps(), load_recipe("corpus")
    lost = [row for row in rows if row["choose"]["reason"]]
    assert 8 <= len(lost) <= 30
    tried = {row["query_id"]: json.loads(row["slots"])["tried"] for row in runs.table("queries").iter_rows(named=True)}
    for row in lost:
        assert (row["choose"]["asks"], row["choose"]["said"]) == (2, {})
        assert tried[row["row_id"]] == {"choose": "no_json"}
        told = {"linked_text": "another passage", "text": "a passage"}
        planned = recipe.draw(42, row["row_id"], told)
        assert {name: row["slots"][name] for name in CHOSEN} == {name: planned[name] for name in CHOSEN}
    assert counts["steps"]["choose"]["outcomes"]["no_json"] >= len(lost)


def test_a_letter_that_was_not_offered_is_asked_again(runs: StepRuns) -> None:
    """Passages without another after them have no multi_hop: with 11 kinds offered, the eleventh letter is nobody's."""
    home = runs.folder / "prompts" / "corpus"
    shutil.copytree(Path(load_recipe("corpus").folder), home)
    text = (home / "recipe.yaml").read_text()
    (home / "recipe.yaml").write_text(text.replace("query_type: 5, persona: 5", "query_type: 11, persona: 5"))
    rules = [{"find": CHOICE, "set": {"query_type": "K"}}, {"find": "cannot be used", "set": {"query_type": "A"}}]
    runs.server.set_script({"rules": rules})
    corpus = runs.folder / "one.jsonl"
    corpus.write_text(json.dumps({"_id": "d1", "text": "Gout hurts in the joints of the foot at night."}))
    counts = runs.run(
        two_step=True, prompts=home.parent, num=None, queries_per_passage=1, whole={"input": {"corpus": str(corpus)}}
    )
    (row,) = runs.steps()
    assert counts["accepted"] == 1
    assert (row["choose"]["asks"], row["choose"]["reason"]) == (2, "")


def test_a_passage_that_the_server_cannot_take_is_left_out_in_the_first_step(runs: StepRuns) -> None:
    runs.server.set_script({"faults": [{"kind": "400", "rows": "Report 3."}]})
    counts = runs.run(two_step=True, num=None, queries_per_passage=1)
    refused = [json.loads(payload) for payload in runs.table("dropped").filter(reason="bad_request")["payload"]]
    assert "d3" in {row["doc_id"] for row in refused} <= {"d2", "d3"}  # d2 may be offered a query over both
    assert all(row["tried"] == {"choose": "bad_request"} for row in refused)
    assert counts["accepted"] >= 70


def test_two_runs_with_one_seed_are_equal(runs: StepRuns) -> None:
    for name in ("one", "two"):
        shutil.rmtree(runs.folder / "cache", ignore_errors=True)
        runs.run(name, **BOTH)
    assert runs.same("one", "two")


def test_nothing_changes_for_rows_that_use_no_step(runs: StepRuns) -> None:
    counts = runs.run()
    assert "steps" not in counts
    assert runs.server.stats()["prompts"] == counts["asked"]
    assert runs.table("generations")["steps"].null_count() == counts["asked"]


def test_why_shows_both_steps_without_a_teacher(runs: StepRuns) -> None:
    runs.run(two_step=True)
    shutil.rmtree(runs.folder / "cache")
    row = runs.steps()[0]
    told = {section.title.split(" (")[0]: section.text for section in explain_row(runs.folder / "run", row["row_id"])}
    assert CHOICE in told["choose: question 1"]
    assert f"persona: {row['choose']['said']['persona']}" in told["choose: reading 1"]
    assert told["question 1"] == row["prompt"]
    assert f"query_type: {row['slots']['query_type']}" in told["slots"]
    assert told["outcome"].startswith("query: ")
    assert not (runs.folder / "cache").exists()


def test_reparse_reads_both_steps_again_and_asks_nothing(runs: StepRuns) -> None:
    runs.run(**BOTH)
    runs.run("whole", **BOTH)
    asked = runs.server.stats()["requests"]
    shutil.rmtree(runs.folder / "cache")
    pipeline.run(runs.config(**BOTH), read_again=True)
    assert runs.same("run", "whole")
    assert runs.server.stats()["requests"] == asked


def test_dry_run_prices_both_steps(runs: StepRuns) -> None:
    plain, config = ask_pilot(runs.config("plain")), runs.config(two_step=True)
    pilot = ask_pilot(config)
    assert pilot.tokens.total > 1.5 * plain.tokens.total
    assert CHOICE in pilot.prompts[0]
    assert "and with what was chosen" in pilot.prompts[0]
    assert "rows were accepted" in describe_pilot(pilot)
    counts = pipeline.run(config).records[-1].counts
    assert counts["answers_from_journal"] >= pilot.asked
    assert pilot.cost is not None
    assert pilot.cost.low * 0.8 <= counts["cost"] <= pilot.cost.high * 1.2


@pytest.mark.parametrize("cap", [40, 75, 110])
def test_a_cap_loses_no_step_and_a_higher_one_ends_with_the_same_tables(runs: StepRuns, cap: int) -> None:
    runs.server.set_script({"faults": [{"kind": "never_good", "rows": CHOICE, "share": 0.2}]})
    runs.run("whole", **BOTH)
    asked = runs.server.stats()["prompts"]
    counts = runs.run("capped", max_requests=cap, limits={"max_in_flight": 2}, **BOTH)
    assert counts["ended_by"] == "max_requests"
    assert counts["answers"] <= cap
    runs.run("capped", **BOTH)
    assert runs.same("capped", "whole")
    assert runs.server.stats()["prompts"] == asked


def test_sigkill_in_any_step_costs_no_answer_and_changes_no_table(runs: StepRuns) -> None:
    runs.server.set_script({"latency_seconds": 0.12})
    runs.run("whole", limits={"max_in_flight": 16}, **BOTH)
    prompts = runs.server.stats()["prompts"]
    runs.server.reset()
    command = [sys.executable, "-m", "datagen", *runs.command("killed", "--two-step", "--judge", "openai:court")]
    chance, kills = random.Random(7), 0
    for _ in range(3):
        with subprocess.Popen(command) as process:
            try:
                process.wait(chance.uniform(1.2, 2.4))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
    subprocess.run(command, check=True)
    assert kills > 0
    assert runs.same("killed", "whole")
    stats = runs.server.stats()
    assert stats["prompts"] == prompts
    assert stats["resent"] <= kills * 32


def test_any_recipe_becomes_two_steps_by_its_files_alone(runs: StepRuns) -> None:
    home = runs.folder / "prompts" / "own"
    (home / "choose").mkdir(parents=True)
    (home / "recipe.yaml").write_text(
        "description: own\nslots: {tone: {values: [polite, rude]}}\nprompts: [{user: ask.j2}]\n"
        "choose: {slots: [tone]}\noutput: {query: {min_characters: 2}}\ntally: tone\n"
    )
    (home / "ask.j2").write_text("A {{ tone }} query in JSON for: {{ text }}")
    (home / "choose" / "request.j2").write_text("Which tone for {{ text }}? One of:\n{{ tone_options }}")
    rules = [{"find": "Which tone", "set": {"tone": "rude"}}]
    runs.server.set_script({"rules": rules})
    runs.run(two_step=True, recipe="own", prompts=home.parent)
    assert {row["slots"]["tone"] for row in runs.steps()} == {"rude"}
    assert all(row["prompt"].startswith("[user]\nA rude query") for row in runs.steps())


def test_another_teacher_or_prompts_not_asked_make_no_row_stale(runs: StepRuns) -> None:
    """The negatives of a run may be mined with another teacher: what was offered is kept, and nothing is paid anew."""
    one, other = runs.config(two_step=True), runs.config(two_step=True, whole={"teacher": {"model": "no/such-model"}})
    backends = Registry(one)
    assert Generate().settings(one, backends) == Generate().settings(other, backends)
    plain, judged = runs.config(), runs.config(judge="openai:court")
    assert "choose_prompts" not in Generate().settings(plain, backends)
    assert {"judge_prompts", "choose_prompts"} & set(Generate().settings(judged, backends)) == {"judge_prompts"}


def test_a_recipe_that_lets_nothing_be_chosen_is_refused(runs: StepRuns) -> None:
    with pytest.raises(ConfigError, match="'paraphrase' has no section `choose`"):
        runs.run(two_step=True, recipe="paraphrase")
    assert runs.server.stats()["requests"] == 0


@pytest.mark.parametrize("name", ["two_step", "judge"])
def test_the_extractive_writer_has_no_steps(runs: StepRuns, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is for rows that a language model writes"):
        runs.config(llm="extractive", recipe=None, **{name: BOTH[name]})
