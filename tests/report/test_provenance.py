"""What the cards of runs and exports say of how the data came about."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from datagen.auditing import AuditRequest, audit_dataset, write_audit
from datagen.config import build_config, load_config
from datagen.formats import export_run, read_dataset, write_dataset
from datagen.progress import SilentProgress
from datagen.pushing import plan_push
from datagen.report.provenance import describe_provenance, describe_run
from datagen.run_folder import StageRecord
from tests.support.small_run import run_small, write_beir

HEADS = ["Recipe", "Models", "Prompts", "Thresholds", "Yield", "Measured rates", "Test sets in it"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_beir(folder / "beir")
    teacher = {"model": "datagen.testing:HashingTeacher", "query_prompt": "query | "}
    return run_small(folder, teacher=teacher, mine={"num_negatives": 3}).out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def _heads(card: str) -> list[str]:
    return [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]


def _later(file: Path) -> None:
    """As written after the run, whatever the clock's steps."""
    then = file.stat().st_mtime + 10
    os.utime(file, (then, then))


def test_the_cards_of_a_run_and_of_its_export_say_the_same(run: Path, tmp_path: Path) -> None:
    described = describe_run(run)
    assert _heads(described) == [*HEADS, "How to make it again"]
    assert described in (run / "README.md").read_text(encoding="utf-8")
    export = export_run(run, "st-triplet", tmp_path / "out").path
    assert (export / "README.md").read_text(encoding="utf-8").endswith(described)


def test_models_prompts_thresholds_and_yields_stand_in_tables(run: Path) -> None:
    lines = describe_run(run).splitlines()
    assert "| negatives | 3 a query, chosen by `top` | mined with dense |" in lines
    assert any(line.startswith("| teacher | datagen.testing:HashingTeacher | code ") for line in lines)
    assert any(line.endswith(" | not stated |") for line in lines)
    assert '| teacher, before queries | "query \\| " |  |' in lines
    assert "| `mine.margin`, policy `adaptive` | 0.05 | not calibrated |" in lines
    assert "| clean | queries | 12 | 12 | 100.0% |  |" in lines
    counts = json.loads((run / "report.json").read_text(encoding="utf-8"))["stages"]["mine"]
    assert f"| mine | candidates | {counts['candidates']:,} | {counts['eligible']:,} |" in "\n".join(lines)


def test_the_settings_in_the_card_make_the_same_run_again(run: Path, made: Path, tmp_path: Path) -> None:
    text = describe_run(run).partition("```yaml\n")[2].partition("```")[0]
    assert str(made.parent) not in text
    values = yaml.safe_load(text)
    values["input"]["beir"] = str(made.parent / "beir")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    again = load_config(tmp_path / "settings.yaml", {"out": run})
    summary = json.loads((run / "run.json").read_text(encoding="utf-8"))
    first = build_config({**summary["settings"], "cache": None, "page": True, "out": run})
    assert again == first
    assert f"polars {summary['made_with']['versions']['polars']}" in describe_run(run)


def test_test_sets_are_told_once_an_audit_has_looked_for_them(run: Path, made: Path) -> None:
    assert "Not checked. `datagen audit RUN --against TEST_SET --out RUN/audit` does" in describe_run(run)
    settings = {"teacher": {"model": "none"}}
    request = AuditRequest(run, None, settings, against=(made.parent / "beir",))
    write_audit(audit_dataset(request, SilentProgress()).audit, run / "audit")
    _later(run / "audit" / "audit.json")
    plan = plan_push(run)
    assert "audit/" in plan.left_out
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "Compared with 12 queries and 12 positives of beir" in card
    assert "- queries that are test queries: 12" in card


def test_figures_from_before_the_run_was_made_again_do_not_count(run: Path) -> None:
    (run / "canary").mkdir()
    share = {"share": 0.9, "low": 0.8, "high": 0.95, "of": 40}
    file = run / "canary" / "canary.json"
    file.write_text(json.dumps({"confidence": 0.95, "recall": share}), encoding="utf-8")
    _later(file)
    told = "Canaries: planted false negatives kept out 90.0% (95% interval 80.0% to 95.0%, of 40)."
    assert told in describe_run(run)
    os.utime(file, (0, 0))
    assert told not in describe_run(run)
    assert "Planted false negatives: not measured; `datagen canary --run run --out run/canary` does." in describe_run(
        run
    )


def test_what_a_probe_found_is_told(run: Path) -> None:
    (run / "probe").mkdir()
    file = run / "probe" / "probe.json"
    file.write_text(json.dumps({"arms": [{"arm": "datagen", "ndcg": 0.5}, {"arm": "random", "ndcg": 0.25}]}))
    _later(file)
    assert "after training (`datagen probe`): datagen 0.5000, random 0.2500." in describe_run(run)
    file.write_text("[broken", encoding="utf-8")
    _later(file)
    assert "Use for training: not measured" in describe_run(run)


def test_a_run_of_another_version_is_named(run: Path) -> None:
    summary = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**summary, "datagen": "0.0.1"}), encoding="utf-8")
    assert describe_run(run) == "The run run was made with datagen 0.0.1: its own card says how.\n"


def test_rows_from_elsewhere_are_said_to_be_unknown(run: Path, tmp_path: Path) -> None:
    export_run(run, "st-triplet", tmp_path / "out")
    written = write_dataset(read_dataset(tmp_path / "out"), tmp_path / "again").path
    assert "Read from out; how that was made is not known here." in (written / "README.md").read_text(encoding="utf-8")


CHANGED = ("decisions_changed", "negatives_removed", "cleared", "promoted", "positives_replaced", "no_valid_answer")
JUDGED: dict[str, object] = {name: 1 for name in CHANGED} | {"answers": 10, "cost": 0.5, "judged_by_both": 9}
PROMISED: dict[str, object] = {
    "promise": 0.02,
    "cut": 0.031,
    "certified": True,
    "confidence": 0.9,
    "confidence_reached": 0.93,
}
PROMISED |= {"estimate": 0.01, "low": 0.0, "high": 0.018, "interval": 0.9, "reranked": 1, "evidence": "labels"}
PROMISED |= {"negatives_judged": 90, "queries_judged": 30, "replays": 60, "negatives_effective": 80}
PROMISED |= {"log2_rank": 3.0, "gap": 1.5}


def _record(name: str, settings: dict[str, Any], counts: dict[str, Any]) -> StageRecord:  # Any: JSON
    return StageRecord(name, "f", settings, counts, 1.0)


def test_written_and_judged_runs_tell_recipe_prompts_and_rates(tmp_path: Path) -> None:
    config = build_config(
        {
            "out": tmp_path,
            "input": {"corpus": "x"},
            "generate": {"llm": "openai:writer", "recipe": "corpus"},
            "judge": {"budget": 10, "judges": ["openai:judge"]},
            "calibration": {"max_false_negatives": 0.02},
            "mine": {"choice": {"hub_cap": 7}},
            "denoise": {"promote_depth": 2},
        }
    )
    asked = {"asked": 10, "accepted": 8, "rejected_by_reason": {"copied": 2}}
    records = [
        _record("generate", {"prompts": "abc123"}, asked),
        _record("verify", {}, {"wanted_rank": 20}),
        _record("calibrate", {}, PROMISED),
        _record("mine", {}, {"index": {"index": "ivf", "recall": 0.97}}),
        _record("denoise", {}, {"margin": 0.125}),
        _record("judge", {"prompts": "def456"}, {**JUDGED, "kappa": 0.7, "kappa_low": 0.6, "kappa_high": 0.8}),
        _record("choose", {}, {}),
    ]
    told = describe_provenance(tmp_path, config, records, {})
    for line in (
        "| queries | written by openai:writer | recipe `corpus` |",
        "| generate | rows asked | 10 | 8 | 80.0% | copied 2 |",
        "| verify: rank of a passage | 20 | a query that misses it is dropped |",
        "| highest P(false negative) of a negative | 0.031 | chosen for at most 2.0% wrong labels |",
        "| reranker: `denoise.margin` | 0.125 | place between the positives' scores |",
        "| `mine.choice.hub_cap` | 7 | queries that a passage may be a negative of |",
        "| judge: `judge.min_grade` | 2 | of this grade never a negative |",
        "None is told of.",
        "Not checked: no training rows are mined yet.",
    ):
        assert line in told.splitlines()
    assert "| hash abc123 | each prompt as it was sent: `generations/`, column `prompt` |" in told
    assert "| hash def456 | what was said: `judgements/` |" in told
    assert "- Wrong labels among the negatives: At most 2.0% of the negatives are wrong labels" in told
    assert "Estimate 1.0% (90% interval 0.0% to 1.8%" in told
    assert "with a kappa of 0.70 (95 %: 0.60 to 0.80)" in told
    assert "Search with ivf finds 97.0% of the true nearest documents." in told
