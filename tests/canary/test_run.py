"""Whole canary runs over the packaged sample, with a teacher that needs no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from datagen import pipeline, shards
from datagen.canary.measure import NATURAL
from datagen.canary.planting import MARK
from datagen.canary.plants import EDITS, PARAPHRASED, STILL_ANSWERS, words_of
from datagen.canary.run import REPORT, Canary, run_canary
from datagen.cli import app
from datagen.config import RunConfig, build_config, merge
from datagen.errors import InputError
from datagen.settings.input import InputConfig
from tests.support.inputs import load

SIZE = 60
N_PASSAGES = 240


def _write_pairs(path: Path) -> Path:
    """Passages of the packaged sample, each with a query of its rarer words; several share words."""
    if not path.exists():
        texts = load(InputConfig(corpus="packaged:medquad-sample")).corpus["text"].head(N_PASSAGES).to_list()
        rows = [
            {"query": " ".join(sorted(words_of(text), key=lambda w: (-len(w), w))[:4]), "positive": text}
            for text in texts
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _config(home: Path, **over: Any) -> RunConfig:  # Any: settings not yet validated
    base = {
        "out": home / "canary",
        "cache": home / "cache",
        "input": {"pairs": str(_write_pairs(home / "pairs.jsonl"))},
        "teacher": {"model": "datagen.testing:HashingTeacher"},
        "denoise": {"reranker": "none"},
        "mine": {"candidates": 40, "max_candidates": 80},
    }
    return build_config(merge(base, over))


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Canary:
    return run_canary(_config(tmp_path_factory.mktemp("canary")), SIZE)


def test_each_sampled_positive_has_one_plant(canary: Canary) -> None:
    planted = canary.judged.filter(pl.col("kind") != NATURAL)
    assert len(planted) == SIZE
    assert planted["query_id"].n_unique() == SIZE
    assert {*planted["kind"]} == {*EDITS}


def test_copies_are_kept_out_and_recall_is_their_share(canary: Canary) -> None:
    plants = canary.judged.filter(pl.col("kind").is_in([*STILL_ANSWERS]), "in_reach")
    assert canary.recall.of == len(plants)
    assert canary.recall.hits == len(plants) - plants["eligible"].sum()
    form = canary.kinds.filter(pl.col("kind") == "form")
    assert form["in_reach"].item() > 0
    assert form["eligible"].item() == 0


def test_natural_negatives_are_of_the_sampled_queries_and_no_plants(canary: Canary) -> None:
    natural = canary.judged.filter(pl.col("kind") == NATURAL)
    planted = canary.judged.filter(pl.col("kind") != NATURAL)
    assert canary.retention.of == len(natural) > 0
    assert {*natural["query_id"]} <= {*planted["query_id"]}
    assert not natural["doc_id"].str.starts_with(MARK).any()


def test_own_corpus_is_mined_with_the_plants_added(canary: Canary) -> None:
    before = shards.read(canary.path / "input" / "corpus")
    after = shards.read(canary.path / "run" / "corpus")
    plants = after.filter(pl.col("doc_id").str.starts_with(MARK))
    assert len(plants) == SIZE
    assert after.filter(~pl.col("doc_id").str.starts_with(MARK)).equals(before)


def test_report_says_what_the_numbers_mean(canary: Canary) -> None:
    told = json.loads((canary.path / REPORT).read_text(encoding="utf-8"))
    assert told["recall"]["share"] == canary.recall.value
    assert told["recall"]["low"] < told["recall"]["share"] <= told["recall"]["high"]
    assert {*told["meanings"]} >= {"recall", "retention", *EDITS}


def test_same_call_gives_the_same(canary: Canary) -> None:
    again = run_canary(_config(canary.path.parent), SIZE)
    assert again.judged.equals(canary.judged)


def test_language_model_paraphrases_half_of_the_positives(tmp_path: Path) -> None:
    found = run_canary(_config(tmp_path, generate={"llm": "tests.support.paraphrasing:Paraphraser"}), 20)
    assert found.kinds.filter(pl.col("kind") == PARAPHRASED)["planted"].item() == 10
    assert (tmp_path / "canary" / "paraphrases" / "run" / "journal").exists()


def test_run_lends_its_tables_and_settings(canary: Canary, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pipeline.run(_config(canary.path.parent, out=run, mine={"candidates": 30}), until="clean")
    command = f"canary --run {run} --out {tmp_path / 'canary'} --sample 20 --json"
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["recall"]["of"] > 0
    settings = json.loads((tmp_path / "canary" / "run" / "run.json").read_text(encoding="utf-8"))["settings"]
    assert settings["mine"]["candidates"] == 30


def test_command_prints_both_numbers(canary: Canary) -> None:
    words = (
        f"--pairs {canary.path.parent / 'pairs.jsonl'} --teacher datagen.testing:HashingTeacher --reranker none --quiet"
    )
    place = f"--out {canary.path.parent / 'other'} --cache {canary.path.parent / 'cache'} --sample 20"
    done = CliRunner().invoke(app, ["canary", *words.split(), *place.split()])
    assert done.exit_code == 0, done.output
    assert "recall " in done.stdout
    assert "retention " in done.stdout
    assert "rewritten" in done.stdout


def test_input_without_positives_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pipeline.run(_config(tmp_path, out=run), until="clean")
    for part in (run / "pairs").glob("*.parquet"):
        shards.write_part(part, "pairs", pl.read_parquet(part).clear())
    with pytest.raises(InputError, match="no query has a known positive"):
        run_canary(_config(tmp_path, input={"pairs": None, "run": str(run)}))
