from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datagen.audit.doubts import Doubter, Doubts
from datagen.audit.findings import FALSE_NEGATIVE
from datagen.audit.material import Material
from datagen.audit.teaching import open_teaching
from datagen.backends.registry import Registry
from datagen.mining.words import open_words
from datagen.progress import SilentProgress
from datagen.selection.doubt import load_doubt_model
from tests.support.audits import found, material_of, run_config

ORGANS = "heart lung liver kidney bone skin nerve vein cell gland muscle joint brain spine eye ear".split()
CAUSES = "cold heat stress rain dust noise sugar salt smoke light".split()


@pytest.fixture(scope="module")
def doubts(tmp_path_factory: pytest.TempPathFactory) -> Doubts:
    """Each query has a second answer to it, and what is said of other organs, as negatives."""
    rows = [
        (
            f"what makes the {organ} hurt",
            [f"the {organ} hurts when there is {CAUSES[n % 10]} about"],
            [
                f"the {organ} hurts when there is {CAUSES[(n + 3) % 10]} about",
                f"a {ORGANS[n - 5]} transplant",
                "blue sky",
            ],
        )
        for n, organ in enumerate(ORGANS)
    ]
    return _measure(tmp_path_factory.mktemp("doubts"), material_of(*rows, ("no positive", [], ["blue sky"])))


def test_second_answers_are_doubted_more_than_all_else(doubts: Doubts) -> None:
    answers = doubts.uses["place"].to_numpy() == 0
    known = doubts.uses["row"].to_numpy() < len(ORGANS)
    assert doubts.probability[answers & known].min() > doubts.probability[~answers & known].max()


def test_negatives_of_a_row_without_a_positive_are_not_judged(doubts: Doubts) -> None:
    assert np.isnan(doubts.probability).tolist() == (doubts.uses["row"] == len(ORGANS)).to_list()
    assert len(ORGANS) not in doubts.find(0.0)["row"]


def test_findings_are_those_above_the_limit(doubts: Doubts) -> None:
    limit = float(np.nanmedian(doubts.probability))
    findings = doubts.find(limit)
    assert set(findings["fault"]) == {FALSE_NEGATIVE}
    assert (findings["score"] > limit).all()
    assert len(findings) == (doubts.probability > limit).sum()


def test_rate_is_the_mean_with_an_interval_over_rows() -> None:
    uses = pl.DataFrame({"row": np.repeat(np.arange(50), 2)})
    probability = np.repeat(np.random.default_rng(0).random(50), 2)
    told = Doubts(uses, probability).estimate(1)
    assert told["rate"] == pytest.approx(probability.mean())
    spread = 1.96 * probability[::2].std() / np.sqrt(50)
    assert told["rate"] - told["low"] == pytest.approx(spread, rel=0.2)
    assert told["high"] - told["rate"] == pytest.approx(spread, rel=0.2)


def test_rate_is_not_told_when_no_row_has_a_positive() -> None:
    assert Doubts(pl.DataFrame({"row": [0, 1]}), np.full(2, np.nan)).estimate(1) == {}


def test_same_negatives_are_doubted_when_rows_are_in_another_order(tmp_path: Path) -> None:
    rows = [(f"the {organ}", [f"a {organ} here"], [f"a {organ} there", "sky"]) for organ in ORGANS]
    one, other = (_measure(tmp_path, material_of(*order)) for order in (rows, rows[::-1]))
    by_text = [dict(zip(part.uses["doc_id"], part.probability, strict=True)) for part in (one, other)]
    own = [name for name in by_text[0] if name != "sky"]
    assert [by_text[0][name] for name in own] == pytest.approx([by_text[1][name] for name in own], abs=1e-6)
    assert found(one.find(2.0)) == []


def _measure(folder: Path, material: Material) -> Doubts:
    config = run_config(folder)
    progress = SilentProgress()
    teaching = open_teaching(config, Registry(config), material, 100, progress)
    texts = [material.passages["text"], material.queries["query"]]
    words = open_words(config.cache_folder, texts.copy, len(material.passages), progress)
    return Doubter(teaching, words, load_doubt_model(), 0).measure(material, progress)
