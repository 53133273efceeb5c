"""What a run says of itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from rich.console import Console

from datagen import shards
from datagen.config import build_config
from datagen.report.card import write_report
from datagen.report.knobs import MEANINGS, meaning
from datagen.report.ledger import count_candidates, count_ledger
from datagen.report.summary import Record, render_summary
from datagen.run_folder import RunFolder, StageRecord, open_run
from datagen.selection.select import Reason

LEDGER = {
    "query_id": ["a", "a", "a", "b", "c"],
    "doc_id": ["1", "2", "3", "1", "2"],
    "source": ["dense"] * 5,
    "rank": [1, 2, 3, 4, 1],
    "teacher_score": [0.9, 0.8, 0.7, 0.6, 0.95],
    "decision": ["negative", "negative", "ignored", "negative", "ignored"],
    "reason": ["selected", "selected", "margin", "selected", "known_positive"],
    "tier": ["hard", "easy", None, "hard", None],
}


def _shown(record: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    for item in render_summary([record]):  # type: ignore[list-item]
        console.print(item)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    import polars as pl

    with open_run(tmp_path / "run") as folder:
        partial = folder.partial("choose", "f")
        shards.write_parts(partial / "candidates", "candidates", [pl.DataFrame(LEDGER)])
        corpus = pl.DataFrame({"doc_id": ["1"], "text": ["t"], "origin": ["packaged:medquad-sample"]})
        shards.write_parts(partial / "corpus", "corpus", [corpus])
        counts = count_ledger(partial / "candidates", 4, (1, 0, 1), 200)
        folder.commit(StageRecord("choose", "f", {}, counts, 1.5))
        folder.publish(["choose"])
        return folder


def test_the_ledger_is_counted(folder: RunFolder) -> None:
    record = folder.record("choose")
    assert record is not None
    counts = record.counts
    assert counts["queries"] == 4
    assert (counts["queries_with_all_negatives"], counts["queries_short"], counts["queries_without_negatives"]) == (
        1,
        1,
        2,
    )
    assert counts["reasons"] == {"selected": 3, "margin": 1, "known_positive": 1}
    assert counts["tiers"] == {"hard": 2, "medium": 0, "easy": 1}
    assert counts["queries_short_of_tier"] == {"hard": 2, "easy": 3}
    assert counts["rank_of_negatives"]["50%"] == 2
    assert counts["teacher_score_of_positives"]["5%"] == 0.95


def test_the_card_is_a_dataset_card_with_the_licence_of_the_sample(folder: RunFolder) -> None:
    config = build_config({"out": folder.path, "input": {"corpus": "x"}})
    write_report(folder, ["choose"], config)
    card = (folder.path / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert {"config_name": "candidates", "data_files": "candidates/*.parquet"} in front["configs"]
    assert "CC BY 4.0" in card
    assert "| 3 | selected | negative of its query |" in card
    report = json.loads((folder.path / "report.json").read_text())
    assert report["tables"] == {"corpus": 1, "candidates": 5}


def test_the_summary_names_what_fell_and_the_setting_that_changes_it(folder: RunFolder) -> None:
    shown = _shown(folder.record("choose"))
    assert "1 of 4 queries have all their negatives; 1 have fewer and 2 have none: --max-candidates" in shown
    assert "--margin, --margin-policy" in shown
    assert "Queries with fewer negatives of a tier than asked for: 2 of hard, 3 of easy." in shown


def test_hubs_are_counted_and_shown(folder: RunFolder) -> None:
    record = folder.record("choose")
    assert record is not None
    hubs = record.counts["hubs"]
    assert hubs["most_used"] == [{"doc_id": "1", "queries": 2}, {"doc_id": "2", "queries": 1}]
    assert (hubs["documents"], hubs["documents_used"], hubs["share_of_top_1_percent"]) == (200, 2, 1.0)
    assert "2 of 200 documents are negatives; the most used 1 % of all make up 100.0% of them" in _shown(record)
    write_report(folder, ["choose"], build_config({"out": folder.path, "input": {"corpus": "x"}}))
    card = (folder.path / "README.md").read_text()
    assert "| 1 | 2 |\n| 2 | 1 |\n" in card
    assert "None is a negative of more than" not in card
    assert "| with fewer hard ones than asked for | 2 |" in card


def test_the_ledger_is_counted_before_anything_is_chosen(folder: RunFolder) -> None:
    counts = count_candidates(folder.path / "candidates", 4)
    assert (counts["candidates"], counts["eligible"], counts["queries_without_eligible"]) == (5, 0, 4)
    shown = _shown(SimpleNamespace(name="mine", seconds=0.1, counts=counts))
    assert "queries without eligible 4" in shown
    assert "have all their negatives" not in shown


def test_what_clean_and_generate_set_aside_is_shown_with_its_share() -> None:
    tables = {"corpus": {"given": 10, "kept": 8, "dropped": {"empty_text": 2}}}
    counts = {"tables": tables, "rejected_by_reason": {"no_title": 1}, "asked": 4}
    shown = _shown(SimpleNamespace(name="generate", seconds=0.1, counts=counts))
    assert "empty_text" in shown
    assert "20.0%" in shown
    assert "25.0%" in shown
    assert "generate.mix" in shown


def test_what_the_judges_changed_is_told_in_the_terminal() -> None:
    changed = ("decisions_changed", "negatives_removed", "cleared", "promoted", "positives_replaced", "no_valid_answer")
    counts: dict[str, object] = {**{name: n for n, name in enumerate(changed, start=1)}, "answers": 90, "cost": 0.5}
    shown = " ".join(_shown(SimpleNamespace(name="judge", seconds=0.1, counts=counts)).split())
    assert "The judge answered 90 questions for 0.50 and changed 1 decisions: 2 negatives removed" in shown
    assert "6 candidates have no valid answer" in shown
    assert "kappa" not in shown
    counts |= {"cost": None, "kappa": 0.7, "kappa_low": 0.61, "kappa_high": 0.8, "judged_by_both": 30}
    shown = " ".join(_shown(SimpleNamespace(name="judge", seconds=0.1, counts=counts)).split())
    assert "90 questions and changed" in shown
    assert "agree on 30 candidates with a kappa of 0.70 (95 %: 0.61 to 0.80)" in shown


def test_a_run_where_nothing_is_short_says_so() -> None:
    hubs = {"documents": 2, "documents_used": 2, "gini": 0.0, "share_of_top_1_percent": 0.5, "most_used": []}
    counts = {
        "reasons": {"selected": 2},
        "candidates": 2,
        "queries": 1,
        "queries_with_all_negatives": 1,
        "queries_short_of_tier": {"hard": 0},
        "hubs": hubs,
    }
    record: Record = SimpleNamespace(name="choose", seconds=0.1, counts=counts)
    assert "1 of 1 queries have all their negatives." in _shown(record)


@pytest.mark.parametrize(
    ("recall", "said"),
    [
        (0.97, "finds 97.0% of the true nearest 101 documents, measured on 500 queries."),
        (0.9, "less than --min-recall"),
    ],
)
def test_the_recall_of_approximate_search_is_told(recall: float, said: str) -> None:
    index = {"index": "ivf", "recall": recall, "min_recall": 0.95, "depth": 101, "sample": 500}
    assert said in _shown(SimpleNamespace(name="mine", seconds=0.1, counts={"index": index}))


def test_every_reason_of_the_kernel_has_a_meaning() -> None:
    assert {"selected", *(reason.label for reason in Reason)} <= set(MEANINGS)
    assert meaning("my_own_rule") == ("my own rule", "")
