"""The sections of the page by themselves: what they make of the counts and tables of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datagen.backends.protocols import Float32
from datagen.config import TeacherConfig
from datagen.probe.loop import ProbeResult, _write_summary
from datagen.probe.results import ArmResult, compare, compare_slices
from datagen.report.page import samples
from datagen.report.page.cost import show_cost
from datagen.report.page.diversity import count_slots, measure_diversity
from datagen.report.page.flow import show_flow, trace_flow
from datagen.report.page.hardness import show_hardness
from datagen.report.page.human import compare_queries, describe_comparison
from datagen.report.page.parts import Figure, Table
from datagen.report.page.probed import show_probe
from datagen.report.page.scores import BINS, LEAST, count_bins, trace_cuts
from datagen.run_folder import StageRecord
from datagen.runs import Run
from datagen.settings.probe import ProbeConfig
from datagen.shards import part_name, write_part
from datagen.testing import HashingTeacher

CURVE = [
    {
        "cut": cut, "estimate": leak, "low": leak / 2, "high": leak * 2, "log2_rank": 3.0 - cut, "gap": 1.0,
        "coverage": 1.0,
    }
    for cut, leak in ((0.01, 0.01), (0.05, 0.03), (0.2, 0.09))
]  # fmt: skip
CALIBRATED = {
    **CURVE[1], "promise": 0.04, "confidence": 0.9, "certified": 1, "confidence_reached": 0.93, "interval": 0.95,
    "evidence": "labels", "queries_judged": 30, "replays": 60, "negatives_judged": 150, "negatives_effective": 120,
    "reranked": 0, "curve": CURVE,
}  # fmt: skip
MINED = {
    "queries": 2, "candidates": 8, "eligible": 5,
    "reasons": {"known_positive": 2, "margin": 1, "surplus": 5},
}  # fmt: skip


def _run(path: Path, **counts: dict[str, Any]) -> Run:  # Any: JSON counts
    stages = {
        name: {"name": name, "fingerprint": "", "settings": {}, "counts": told, "seconds": 1.5}
        for name, told in counts.items()
    }
    mine = {"num_negatives": 1, "margin": None, "margin_policy": "adaptive"}
    return Run(path, {"settings": {"mine": mine}, "stages": stages})


def _ledger(queries: int, spares: int = 3) -> pl.DataFrame:
    rows = [
        {
            "query_id": f"q{query:03}", "doc_id": f"d{rank}", "source": "dense", "rank": rank,
            "teacher_score": 1 - rank / 10, "p_false_negative": None if rank == 0 else 0.08 / rank,
            "decision": "negative" if rank == 1 else "ignored",
            "reason": {0: "known_positive", 1: "selected"}.get(rank, "surplus"),
        }
        for query in range(queries)
        for rank in range(2 + spares)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"rank": pl.Int32, "teacher_score": pl.Float32})


def test_flow_tells_what_became_of_all_rows_of_each_stage(tmp_path: Path) -> None:
    cleaned = {"tables": {"corpus": {"given": 10, "kept": 8, "dropped": {"too_short": 2}}}}
    written = {"asked": 4, "accepted": 3, "rejected_by_reason": {"refused": 1}}
    run = _run(tmp_path, clean=cleaned, generate=written, mine=MINED)
    pieces = trace_flow(run.records)
    assert pieces["step"].unique(maintain_order=True).to_list() == [
        "clean: corpus|10 → 8", "generate: asked for|4 → 3", "mine: candidates|8 → 5 eligible",
    ]  # fmt: skip
    ends = pieces.group_by("step", maintain_order=True).agg(pl.col("low").first(), pl.col("high").last())
    assert ends["low"].to_list() == [0.0] * 3
    assert ends["high"].to_list() == pytest.approx([1.0] * 3)
    assert pieces["fate"].to_list() == ["kept", "dropped", "kept", "dropped", "positive", "ignored", "spare"]
    assert pieces["told"][1] == "too short: 2 rows"
    section = show_flow(run)
    assert [part.title for part in section.parts] == ["Through the stages", "Rows in the folder now", "Every reason"]
    assert isinstance(section.parts[0], Figure)
    assert "too short: 2 rows" in section.parts[0].svg


def test_flow_of_a_run_that_has_just_begun_is_empty() -> None:
    assert trace_flow([StageRecord("embed", "", {}, {"queries": 3}, 0.1)]).is_empty()


@pytest.mark.parametrize("log", [False, True], ids=["even", "log"])
def test_bins_cover_all_scores_of_each_outcome(log: bool) -> None:
    rows = pl.LazyFrame({"outcome": ["a"] * 3 + ["b"], "score": [0.0, 0.5, 1.0, None]})
    bins = count_bins(rows, "score", log=log)
    assert bins["outcome"].unique().to_list() == ["a"]
    assert len(bins) == BINS
    assert bins["share"].sum() == pytest.approx(1)
    assert bins["low"][1:].to_list() == pytest.approx(bins["high"][:-1].to_list())
    assert (bins["low"][0], bins["high"][-1]) == pytest.approx((LEAST if log else 0.0, 1.0))


def test_the_own_cut_is_a_point_of_the_curve() -> None:
    points = trace_cuts(_ledger(4).lazy(), 1, own=0.06)
    own = points.filter("own")
    assert own["cut"].to_list() == [0.06]
    assert own["leak"].to_list() == pytest.approx([0.04])
    assert not trace_cuts(_ledger(4).lazy(), 1)["own"].any()


def test_a_calibrated_run_shows_its_curve_and_its_promise(tmp_path: Path) -> None:
    curve, promise, cuts = show_hardness(_run(tmp_path, calibrate=CALIBRATED)).parts
    assert isinstance(curve, Figure)
    assert curve.svg.count("cut 0.05: leak 0.03") == 2  # the point and its ring
    assert "stroke-dasharray" in curve.svg
    assert isinstance(promise, Table)
    assert "At most 4.0% of the negatives are wrong labels" in promise.says
    assert ("95% interval", "1.50% to 6.00%") in promise.rows
    assert isinstance(cuts, Table)
    assert [row[0] for row in cuts.rows] == ["0.01", "0.05 (chosen)", "0.2"]


def test_a_run_without_calibration_and_ledger_has_no_curve(tmp_path: Path) -> None:
    assert show_hardness(_run(tmp_path, mine=MINED)).parts == ()


def test_a_probe_is_shown_with_its_slices(tmp_path: Path) -> None:
    ndcg = {"untrained": [0.2, 0.4, 0.3, 0.1], "datagen": [0.6, 0.5, 0.7, 0.8], "random": [0.1, 0.5, 0.3, 0.2]}
    arms = [
        ArmResult(arm, 42, "", values, [1.0] * 4, None if arm == "untrained" else 0.5) for arm, values in ndcg.items()
    ]
    slices = compare_slices(arms, pl.DataFrame({"language": ["de", "de", "en", "en"]}), 0.9)
    config = ProbeConfig.model_validate({"confidence": 0.9})
    _write_summary(tmp_path / "probe" / "probe.json", ProbeResult(compare(arms, 0.9), slices, 4, 0), config)
    drawn, table, of_slices = show_probe(_run(tmp_path)).parts
    assert isinstance(drawn, Figure)
    assert "datagen: 0.4" in drawn.svg
    assert "untrained: " not in drawn.svg
    assert isinstance(table, Table)
    assert [row[:2] for row in table.rows] == [("untrained", "0.2500"), ("datagen", "0.6500"), ("random", "0.2750")]
    assert table.rows[0][2] == "–"
    assert str(table.rows[1][2]).startswith("+0.4000 (+")
    assert "90%" in table.says
    assert isinstance(of_slices, Table)
    assert len(of_slices.rows) == 6


def test_a_run_that_was_not_probed_has_no_such_section(tmp_path: Path) -> None:
    assert show_probe(_run(tmp_path)).parts == ()


def _write(run: Run, queries: int, spares: int) -> None:
    ledger = _ledger(queries, spares)
    ids = ledger["query_id"].unique().sort()
    slots = json.dumps({"kind": "keywords", "doc_id": "d0", "tried": {}})
    asked = pl.DataFrame({"query_id": ids, "query": "what is " + ids, "origin": "test", "slots": slots})
    corpus = pl.DataFrame({"doc_id": ledger["doc_id"].unique().sort(), "text": "word " * 200, "origin": "test"})
    for name, table in (("candidates", ledger), ("queries", asked), ("corpus", corpus)):
        write_part(run.path / name / part_name(0), name, table)


def test_samples_name_each_document_once_and_say_what_is_left_out(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _write(run, 3, spares=9)
    found = samples.choose_samples(run)
    assert found["total"] == 3
    documents = [document["doc_id"] for document in found["documents"]]
    assert sorted(documents) == [f"d{rank}" for rank in range(6)]
    assert {len(document["text"]) for document in found["documents"]} == {samples.LONGEST + 1}
    query = found["queries"][0]
    assert query["slots"] == {"kind": "keywords"}
    assert [row["outcome"] for row in query["rows"]] == ["positive", "negative", *["spare"] * 4]
    assert query["rows"][-1]["of"] == 9
    assert [documents[row["document"]] for row in query["rows"]] == [f"d{rank}" for rank in range(6)]


def test_fewer_queries_are_shown_where_they_have_many_candidates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(tmp_path)
    _write(run, 40, spares=4)
    monkeypatch.setattr(samples, "MOST_ROWS", 120)
    monkeypatch.setattr(samples, "BORDERLINE", 20)
    monkeypatch.setattr(samples, "OTHERS", 20)
    alone, shared = samples.choose_samples(run), samples.choose_samples(run, share=2)
    assert [len(found["queries"]) for found in (alone, shared)] == [20, 10]
    assert sum(len(query["rows"]) for query in alone["queries"]) == 120
    assert alone["total"] == shared["total"] == 40


def test_long_texts_leave_room_for_fewer_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _run(tmp_path)
    _write(run, 600, spares=4)
    monkeypatch.setattr(samples, "MOST_BYTES", 300)  # six documents of 500 letters and a sign of three bytes
    found = samples.choose_samples(run)
    assert len(found["queries"]) == 2 * int(300 / (6 * 503) * 300)


def test_diversity_finds_what_is_asked_twice() -> None:
    texts = [f"what is the treatment of {name}" for name in ("gout", "asthma", "leprosy", "the gout")]
    found = measure_diversity(pl.Series(texts))
    assert found.queries == 4
    assert found.near_duplicates == 0.25
    assert 1 < found.vendi < 4


def test_slots_are_counted_without_what_is_stored_beside_them() -> None:
    drawn = [{"kind": "claim", "doc_id": "d1", "take": 1}, {"kind": "claim", "length": ""}, {"kind": "title"}]
    slots = pl.Series([json.dumps(each) for each in drawn] + [None])
    assert count_slots(slots).rows() == [("kind", "claim", 2), ("kind", "title", 1), ("length", "(empty)", 1)]


@pytest.mark.parametrize(("cost", "shown"), [(0.02, "0.020000"), (None, "not known")], ids=["known", "unknown"])
def test_cost_tells_money_only_where_the_price_is_known(tmp_path: Path, cost: float | None, shown: str) -> None:
    model = {"asked": 4, "accepted": 2, "tokens": 900, "cost": cost or 0.0, "cost_of_one": 0.01}
    run = _run(tmp_path, generate={"cost": cost, "prompt_tokens": 800, "generators": {"openai:test": model}})
    section = show_cost(run)
    table = section.parts[-1]
    assert isinstance(table, Table)
    assert table.rows[0][:5] == ("openai:test", "4", "2", "900", shown)
    spent = section.parts[1]
    assert isinstance(spent, Table)
    assert ("generate", "tokens read", "800") in spent.rows


def test_comparison_with_people_draws_depths_and_lengths() -> None:
    def encode(texts: list[str]) -> Float32:
        return HashingTeacher(TeacherConfig()).encode(texts, "query")

    own, human = [f"liver pain {n}" for n in range(12)], [f"why does my heart {n} hurt so much" for n in range(12)]
    found = compare_queries(own, human, encode)
    assert found.each.group_by("outcome", maintain_order=True).len()["len"].to_list() == [12, 12]
    section = describe_comparison(found)
    assert [part.title for part in section.parts] == ["Figures", "Depth of the queries", "Words of the queries"]
