"""A promised rate of wrong labels, from the labels to the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.config import build_config
from datagen.errors import ConfigError, InputError
from datagen.mining.calibrating import GRID
from datagen.report.promise import tell_promise
from tests.support.topics import JUDGED, N_QUERIES, write_topics

HASHING = "datagen.testing:HashingTeacher"


def _mine(
    folder: Path, out: str = "run", teacher: str = HASHING, **calibration: object
) -> dict[str, Any]:  # Any: JSON counts
    """What run.json tells of the stages."""
    given: dict[str, Any] = {  # Any: nested settings
        "out": folder / out,
        "cache": folder / "cache",
        "input": {"beir": str(folder)},
        "teacher": {"model": teacher, "device": "cpu", "dtype": "float32"},
        "denoise": {"reranker": "none"},
        "calibration": {"max_false_negatives": 0.1, **calibration},
    }
    pipeline.run(build_config(given))
    return dict(json.loads((folder / out / "run.json").read_text(encoding="utf-8"))["stages"])


def _labels(folder: Path) -> dict[str, Any]:  # Any: settings
    return {"labels": str(folder / "labels.tsv"), "labels_complete": True}


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[str]], dict[str, Any]]:  # Any: JSON
    folder = tmp_path_factory.mktemp("calibrated")
    relevant = write_topics(folder)
    return folder, relevant, _mine(folder, **_labels(folder))


def _negatives(run: Path) -> dict[str, list[str]]:
    rows = shards.read(run / "train", ["query_id", "negatives"])
    return dict(rows.select("query_id", pl.col("negatives").list.eval(pl.element().struct.field("doc_id"))).iter_rows())


def test_the_promise_is_kept_on_queries_that_nobody_judged(
    mined: tuple[Path, dict[str, set[str]], dict[str, Any]],  # Any: JSON
) -> None:
    folder, relevant, stages = mined
    told = stages["calibrate"]["counts"]
    negatives = _negatives(folder / "run")
    others = [f"q{q}" for q in range(N_QUERIES) if q not in JUDGED]
    wrong = [document in relevant[query] for query in others for document in negatives[query]]
    assert len(wrong) == 5 * len(others)
    leak = sum(wrong) / len(wrong)
    assert leak <= 0.1
    assert told["low"] <= leak <= told["high"]
    assert (told["evidence"], told["queries_judged"]) == ("labels", len(JUDGED))


def test_labelled_positives_are_no_negatives_of_their_query(
    mined: tuple[Path, dict[str, set[str]], dict[str, Any]],  # Any: JSON
) -> None:
    folder, relevant, _ = mined
    negatives = _negatives(folder / "run")
    assert not any(document in relevant[f"q{q}"] for q in JUDGED for document in negatives[f"q{q}"])


def test_the_ledger_is_cut_where_the_calibration_says(
    mined: tuple[Path, dict[str, set[str]], dict[str, Any]],  # Any: JSON
) -> None:
    folder, _, stages = mined
    cut = stages["calibrate"]["counts"]["cut"]
    ledger = shards.read(folder / "run" / "candidates")
    over = ledger.filter(pl.col("reason") == "margin", pl.col("p_false_negative") <= cut * 0.999)
    assert over.is_empty()
    full = ledger.filter(pl.col("decision") == "negative").filter(pl.col("p_false_negative") > cut * 1.001)
    assert full["query_id"].n_unique() <= N_QUERIES // 10  # queries that were filled up


def test_the_evidence_is_a_table_and_the_card_tells_the_promise(
    mined: tuple[Path, dict[str, set[str]], dict[str, Any]],  # Any: JSON
) -> None:
    folder, relevant, stages = mined
    told = stages["calibrate"]["counts"]
    rows = shards.read(folder / "run" / "calibration")
    assert rows["query_id"].n_unique() == told["queries_judged"]
    marked = rows.with_columns(
        true=pl.Series([document in relevant[query] for query, document in rows.select("query_id", "doc_id").rows()])
    )
    assert (marked["true"] == marked["label"]).all()
    card = (folder / "run" / "README.md").read_text(encoding="utf-8")
    assert tell_promise(told) in card
    assert f"| **{told['cut']}** |" in card
    leaks = [row["estimate"] for row in told["curve"]]
    ranks = [row["log2_rank"] for row in told["curve"]]
    assert len(leaks) <= len(GRID)
    assert leaks[-1] > leaks[0]
    assert ranks[-1] < ranks[0]


def test_a_second_run_keeps_the_stage_until_labels_change(
    mined: tuple[Path, dict[str, set[str]], dict[str, Any]],  # Any: JSON
) -> None:
    folder, _, stages = mined
    again = _mine(folder, **_labels(folder))
    assert again["calibrate"]["fingerprint"] == stages["calibrate"]["fingerprint"]
    more = (folder / "labels.tsv").read_text(encoding="utf-8") + "q0\tf1\t0\n"
    (folder / "more.tsv").write_text(more, encoding="utf-8")
    other = _mine(folder, out="other", labels=str(folder / "more.tsv"), labels_complete=True)
    assert other["calibrate"]["fingerprint"] != stages["calibrate"]["fingerprint"]


def test_without_labels_hidden_known_positives_serve_and_without_those_nothing_does(tmp_path: Path) -> None:
    relevant = write_topics(tmp_path)
    with pytest.raises(InputError, match="cannot be kept without judgements, and no query has two known positives"):
        _mine(tmp_path)
    lines = [f"{query}\t{document}\t1\n" for query, found in relevant.items() for document in sorted(found)[:4]]
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    told = _mine(tmp_path, out="more")["calibrate"]["counts"]
    assert told["evidence"] == "known positives"
    assert "Positives that nobody knows stay unknown" in tell_promise(told)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": "l.tsv"}, "labels are given but nothing is promised"),
        ({"labels_complete": True, "max_false_negatives": 0.1}, "none are given"),
        ({"max_false_negatives": 0}, "greater than 0"),
    ],
    ids=["no-promise", "no-labels", "nothing-wrong-at-all"],
)
def test_settings_that_promise_nothing_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config({"out": "run", "input": {"beir": "b"}, "calibration": wrong})


def test_a_margin_beside_a_promise_is_refused() -> None:
    with pytest.raises(ConfigError, match="chooses the cut of the margin policy 'adaptive' itself"):
        build_config(
            {"out": "r", "input": {"beir": "b"}, "calibration": {"max_false_negatives": 0.1}, "mine": {"margin": 0.2}}
        )


def test_calibrated_decisions_stay_when_teacher_scores_are_scaled_and_shifted(
    mined: tuple[Path, dict[str, set[str]], dict[str, Any]],  # Any: JSON
) -> None:
    folder, _, stages = mined
    shifted = _mine(folder, "shifted", "tests.support.shifted_teacher:ShiftedTeacher", **_labels(folder))
    for name in ("cut", "estimate", "log2_rank", "coverage"):
        assert shifted["calibrate"]["counts"][name] == pytest.approx(stages["calibrate"]["counts"][name], rel=1e-3)
    assert _negatives(folder / "shifted") == _negatives(folder / "run")
