"""The reranker in the place of judgements: what it sees, and that nobody takes it for a measured rate."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.backends.protocols import RerankPairs
from datagen.backends.registry import Registry
from datagen.config import DenoiseConfig, RunConfig, build_config, merge
from datagen.errors import ConfigError, InputError
from datagen.forecast import forecast_mining
from datagen.mining import opening
from datagen.report.promise import tell_promise
from datagen.sources import load_labels
from datagen.testing import OverlapReranker
from datagen.tuning import tell_limits, tune
from tests.support.tiny_bert import save_tiny_bert
from tests.support.topics import N_QUERIES, write_topics

OVERLAP = "datagen.testing:OverlapReranker"
Values = dict[str, Any]  # Any: settings and counts


def _configure(folder: Path, out: str, reranker: str = OVERLAP, **calibration: object) -> RunConfig:
    values: Values = {
        "out": folder / out,
        "cache": folder / "cache",
        "input": {"beir": str(folder)},
        "teacher": {"model": "datagen.testing:HashingTeacher", "device": "cpu", "dtype": "float32"},
        "denoise": {"reranker": reranker, "device": "cpu", "dtype": "float32"},
        "calibration": {"max_false_negatives": 0.1, **calibration},
        "page": False,
    }
    return build_config(values)


def _counts(run: Path) -> Values:
    return {name: stage["counts"] for name, stage in json.loads((run / "run.json").read_text())["stages"].items()}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunConfig, Values]:
    """A run in which each query has one positive and nobody has judged anything."""
    folder = tmp_path_factory.mktemp("seen")
    write_topics(folder)
    config = _configure(folder, "run")
    pipeline.run(config)
    return folder, config, _counts(config.out)


def test_the_reranker_is_the_evidence_where_nothing_is_judged(seen: tuple[Path, RunConfig, Values]) -> None:
    _, config, counts = seen
    told = counts["calibrate"]
    assert (told["evidence"], told["queries_judged"], told["replays"]) == ("reranker", N_QUERIES, N_QUERIES)
    assert (told["certified"], told["refitted"], told["own_model"]) == (0, 0, 0)
    assert told["seen"] in (0, 1)
    ledger = shards.read(config.out / "candidates").filter(pl.col("reason") == "margin")
    assert not (ledger["p_false_negative"] <= told["cut"] * 0.999).any()


def test_what_scores_like_a_known_positive_counts_as_wrong(seen: tuple[Path, RunConfig, Values]) -> None:
    _, config, counts = seen
    texts = {name: shards.read(config.out / name) for name in ("corpus", "queries", "pairs", "calibration")}
    documents = dict(texts["corpus"].select("doc_id", "text").iter_rows())
    queries = dict(texts["queries"].select("query_id", "query").iter_rows())

    def score(pairs: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float32]]:  # Any: any shape
        numbers = np.arange(len(pairs))
        asked = [queries[query] for query in pairs["query_id"]], [documents[document] for document in pairs["doc_id"]]
        return OverlapReranker(DenoiseConfig()).score(RerankPairs(*asked, numbers, numbers))

    known = score(texts["pairs"])
    limit = np.sort(known)[int(0.25 * (len(known) - 1))]
    table = texts["calibration"]
    assert table["label"].null_count() == 0
    assert table["label"].to_list() == (score(table) >= limit).tolist()
    assert 0 < table["label"].sum() < len(table)
    assert counts["calibrate"]["positives_found"] == pytest.approx((known >= limit).mean(), abs=1e-4)


def test_card_and_summary_say_that_a_model_sees_and_nobody_has_measured(seen: tuple[Path, RunConfig, Values]) -> None:
    _, config, counts = seen
    told = counts["calibrate"]
    card = (config.out / "README.md").read_text(encoding="utf-8")
    assert tell_promise(told) in card
    assert "As the reranker sees it" in card
    for is_seen in (0, 1):
        words = tell_promise({**told, "seen": is_seen})
        assert words.startswith("Nothing is promised")
        assert "not a measured" in words
        assert "teacher's own model" not in words
        assert "are wrong labels, with a confidence" not in words
    assert "the teacher's own model, a weak witness" in tell_promise({**told, "own_model": 1})
    assert build_config({"out": "r", "input": {"beir": "b"}}).denoise.is_own_model


def test_a_real_cross_encoder_is_asked_once_for_calibrate_and_denoise(tmp_path: Path) -> None:
    write_topics(tmp_path)
    model = save_tiny_bert(tmp_path / "model", labels=1)
    config = _configure(tmp_path, "run", str(model), reranker_queries=10)
    pipeline.run(config)
    counts = _counts(config.out)
    assert (counts["calibrate"]["evidence"], counts["calibrate"]["replays"]) == ("reranker", 10)
    assert counts["denoise"]["pairs_cached"] > 10
    scored = shards.read(config.out / "calibration")
    assert scored["query_id"].n_unique() == 10


def test_known_positives_go_before_the_reranker_unless_it_is_asked_for(tmp_path: Path) -> None:
    relevant = write_topics(tmp_path)
    lines = [f"{query}\t{document}\t1\n" for query, found in relevant.items() for document in sorted(found)[:2]]
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    for evidence, expected in (("auto", "known positives"), ("reranker", "reranker")):
        config = _configure(tmp_path, evidence, evidence=evidence)
        pipeline.run(config, until="calibrate")
        assert _counts(config.out)["calibrate"]["evidence"] == expected


def test_the_reranker_is_not_asked_where_it_is_forbidden(seen: tuple[Path, RunConfig, Values]) -> None:
    with pytest.raises(
        InputError, match=r"no query has two known positives: give --labels .*calibration\.evidence auto"
    ):
        pipeline.run(_configure(seen[0], "judged", evidence="judged"))


@pytest.mark.parametrize(
    ("reranker", "wrong", "message"),
    [
        (OVERLAP, {"labels": "l.tsv", "evidence": "reranker"}, "leave one of them out"),
        ("none", {"evidence": "reranker"}, "name a reranker"),
    ],
    ids=["labels-too", "no-reranker"],
)
def test_evidence_that_cannot_be_had_is_refused(reranker: str, wrong: Values, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _configure(Path("r"), "run", reranker, **wrong)


def test_another_reranker_is_other_evidence(seen: tuple[Path, RunConfig, Values]) -> None:
    _, config, _ = seen
    other = merge(config.model_dump(mode="json"), {"denoise": {"reranker": "none"}})
    known = merge(config.model_dump(mode="json"), {"calibration": {"evidence": "judged"}})
    stage = next(stage for stage in pipeline.STAGES if stage.name == "calibrate")
    backends = Registry(config)
    assert "reranker_scores" in stage.settings(config, backends)
    assert not any("reranker_scores" in stage.settings(build_config(values), backends) for values in (other, known))


def test_a_forecast_knows_the_cut_of_a_finished_calibration_alone(seen: tuple[Path, RunConfig, Values]) -> None:
    folder, config, counts = seen
    assert f"P(false negative) {counts['calibrate']['cut']}." in forecast_mining(config).cut
    assert "found at run time" in forecast_mining(_configure(folder, "new")).cut
    stricter = merge(config.model_dump(mode="json"), {"calibration": {"max_false_negatives": 0.01}})
    assert "found at run time" in forecast_mining(build_config(stricter)).cut
    assert forecast_mining(build_config({**config.model_dump(mode="json"), "calibration": {}})).cut == ""


def test_tune_takes_the_calibrated_cut_for_the_margin_of_the_run(seen: tuple[Path, RunConfig, Values]) -> None:
    _, config, counts = seen
    rows = tune(config.out, [{"margin": 0.2}, {"num_negatives": 2}])
    own, looser, fewer = rows.iter_rows(named=True)
    assert own["own"]
    assert own["margin"] == counts["calibrate"]["cut"]
    assert own["negatives"] == counts["choose"]["negatives"]
    assert "calibration" not in own["command"] + fewer["command"]
    given = dict(word.split("=") for word in shlex.split(looser["command"]) if "=" in word)
    assert given == {
        "calibration.max_false_negatives": "null",
        "calibration.labels": "null",
        "calibration.labels_complete": "false",
    }
    assert any("promises nothing" in sentence for sentence in tell_limits(config.out, rows))


def test_labels_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_topics(tmp_path)
    read = []

    def load(named: str) -> pl.DataFrame:
        read.append(named)
        return load_labels(named)

    monkeypatch.setattr("datagen.mining.opening.load_labels", load)
    labels = tmp_path / "labels.tsv"
    config = _configure(tmp_path, "run", "none", labels=str(labels), labels_complete=True)
    pipeline.run(config)
    assert len(read) == 1
    labels.write_text(labels.read_text() + "q0\tf1\t0\n")
    assert opening.labels_fingerprint(config) == opening.labels_fingerprint(config)
    assert len(read) == 2
