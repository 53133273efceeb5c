"""`datagen audit` and `datagen repair` end to end, on files of another framework with planted faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from datagen.cli import app
from datagen.formats import read_dataset

ORGANS = "heart lung liver kidney bone skin nerve vein cell gland muscle joint brain spine eye ear nose tongue".split()
CAUSES = "cold heat stress rain dust noise sugar salt smoke light".split()
TESTED = "how many bones are there in the hand of a grown man"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of FlagEmbedding: a copy of the positive, a second answer, two queries of a test set."""
    folder = tmp_path_factory.mktemp("planted")
    rows = [
        {
            "query": f"what makes the {organ} hurt",
            "pos": [f"the {organ} hurts when there is {CAUSES[n % 10]} about"],
            "neg": [f"a {ORGANS[n - 5]} transplant in {1900 + n}", f"the {ORGANS[n - 3]} of a bird number {n}"],
        }
        for n, organ in enumerate(ORGANS)
    ]
    rows[1]["neg"].append("The lung hurts, when there is HEAT about!")  # type: ignore[attr-defined]
    rows[2]["neg"].append("the liver hurts when there is a lot of salt about")  # type: ignore[attr-defined]
    rows += [{"query": query, "pos": ["twenty-seven"], "neg": ["five"]} for query in (TESTED, TESTED.upper() + "?")]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    test = folder / "exam"
    (test / "qrels").mkdir(parents=True)
    (test / "corpus.jsonl").write_text(json.dumps({"_id": "d", "text": "It has 27 bones."}) + "\n", encoding="utf-8")
    (test / "queries.jsonl").write_text(json.dumps({"_id": "t", "text": TESTED}) + "\n", encoding="utf-8")
    (test / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nt\td\t1\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def audited(planted: Path) -> dict[str, Any]:  # Any: JSON
    """The figures of an audit with a teacher that needs no weights."""
    done = _call("audit", planted / "rows.jsonl", planted, "--out", planted / "audit", "--max-p", "0.01")
    assert done.exit_code == 0, done.output
    assert "What is wrong" in done.output
    assert "false negatives: about" in done.output
    figures: dict[str, Any] = json.loads((planted / "audit" / "audit.json").read_text(encoding="utf-8"))  # Any: JSON
    return figures


def test_audit_finds_what_was_planted(planted: Path, audited: dict[str, Any]) -> None:  # Any: JSON
    assert _queries(planted, "positive_text") == ["what makes the lung hurt"]
    assert _queries(planted, "test_query") == [TESTED, TESTED.upper() + "?"]
    assert audited["faults"]["positive_text"] == {"findings": 1, "rows": 1, "share": 1 / audited["negatives"]}
    assert audited["rows"] == 20
    assert {found["query"] for found in audited["worst"][:2]} == {f"what makes the {name} hurt" for name in ORGANS[1:3]}
    assert set(audited["false_negatives"]) == {"rate", "low", "high"}


def test_repair_removes_what_the_audit_found_and_says_why(planted: Path, audited: dict[str, Any]) -> None:  # Any: JSON
    out = planted / "clean"
    faults = ("--fault", "positive_text", "--fault", "test_query")
    done = _call("repair", planted / "rows.jsonl", planted, "--out", out, *faults)
    assert done.exit_code == 0, done.output
    assert "What was changed" in done.output
    rows = read_dataset(out)
    assert rows.format == "flagembedding"
    assert TESTED not in rows.rows["query"]
    changes = pl.read_parquet(planted / "clean-repair" / "changes.parquet")
    told = changes.group_by("change", "reason").len().sort("change", "reason").rows()
    assert ("dropped_query", "test_query", 2) in told
    assert ("dropped_negative", "positive_text", 1) in told
    again = _call("audit", out, planted, "--fail-on", "positive_text", "--fail-on", "test_query=0", "--quiet")
    assert again.exit_code == 0, again.output


def test_audit_fails_when_a_limit_is_exceeded(planted: Path) -> None:
    limits = ("--fail-on", "test_query=0.05", "--fail-on", "positive_text=0.5", "--fail-on", "false_negative_rate=0.1")
    done = _call("audit", planted / "rows.jsonl", planted, "--teacher", "none", "--quiet", *limits)
    assert done.exit_code == 1
    assert "failed: test_query is 0.1, above 0.05" in done.output
    assert "failed: false_negative_rate was not measured, so that it cannot be said to be at most 0.1" in done.output
    assert "positive_text" not in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("audit", "--fail-on", "beauty=1"), "unknown measure for --fail-on 'beauty'"),
        (("audit", "--fail-on", "hubs=few"), "--fail-on 'hubs=few' is not NAME=NUMBER"),
        (("audit", "--max-p", "2"), "setting 'audit.max_p' is 2.0"),
        (("audit", "--set", "audit.min_p=2"), "unknown setting 'audit.min_p'"),
        (("repair", "--out", "x", "--fault", "ugly"), "unknown fault 'ugly'"),
        (("repair", "--out", "x", "--short", "mend"), "unknown repair.short 'mend'"),
    ],
    ids=["measure", "limit", "range", "setting", "fault", "short"],
)
def test_wrong_option_is_refused_in_one_sentence(planted: Path, arguments: tuple[str, ...], told: str) -> None:
    command, *options = arguments
    done = _call(command, planted / "rows.jsonl", planted, *options)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_repair_that_leaves_nothing_is_refused(planted: Path, tmp_path: Path) -> None:
    only = tmp_path / "only.jsonl"
    only.write_text(json.dumps({"query": TESTED, "pos": ["a"], "neg": ["b"]}) + "\n", encoding="utf-8")
    done = _call("repair", only, planted, "--out", tmp_path / "none", "--teacher", "none")
    assert done.exit_code == 2
    assert "no row of" in done.output
    assert not (tmp_path / "none").exists()
    assert (tmp_path / "none-repair" / "changes.parquet").exists()


def test_doubtful_negatives_go_above_the_probability_that_is_named(planted: Path, tmp_path: Path) -> None:
    options = ("--max-p", "0.0", "--fault", "false_negative", "--min-negatives", "3", "--short", "drop")
    done = _call("repair", planted / "rows.jsonl", planted, "--out", tmp_path / "out", *options)
    assert done.exit_code == 2
    changes = pl.read_parquet(tmp_path / "out-repair" / "changes.parquet")
    assert changes.filter(pl.col("change") == "dropped_negative")["reason"].unique().to_list() == ["false_negative"]
    assert changes.filter(pl.col("reason") == "few_negatives")["change"].unique().to_list() == ["dropped_query"]


def test_repair_never_writes_over_what_is_there(planted: Path, tmp_path: Path) -> None:
    done = _call("repair", planted / "rows.jsonl", planted, "--out", tmp_path, "--teacher", "none")
    assert done.exit_code == 2
    assert "exists already: name another --out" in " ".join(done.output.split())


def _call(command: str, dataset: Path, folder: Path, *more: object) -> Result:
    models = [] if "--teacher" in more else ["--teacher", "datagen.testing:HashingTeacher"]
    line = [command, dataset, "--against", folder / "exam", "--cache", folder / "cache", *models, *more]
    return CliRunner().invoke(app, [str(word) for word in line])


def _queries(planted: Path, fault: str) -> list[str]:
    """The queries in which the audit has found a fault."""
    findings = pl.read_parquet(planted / "audit" / "findings.parquet").filter(pl.col("fault") == fault)
    return read_dataset(planted / "rows.jsonl").rows["query"].gather(findings["row"]).to_list()
