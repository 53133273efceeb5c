"""The learned margin: a model in numbers that can be read, and what is done with the chances it gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from datagen.errors import InputError
from datagen.selection.doubt import (
    FEATURES,
    DoubtModel,
    DoubtRule,
    doubted,
    least_doubted,
    load_doubt_model,
)

MODEL = DoubtModel(("gap", "score"), np.array([1.0, 0.0]), np.array([2.0, 1.0]), np.array([-1.0, 0.5]), 0.25)


def _features(**columns: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[columns.get(name, np.nan) for name in FEATURES]])


def test_logits_are_the_weighted_sum_of_standard_features() -> None:
    assert MODEL.logits(_features(gap=3.0, score=2.0, rank=99.0)) == pytest.approx([-1 + 1 + 0.25])
    assert MODEL.probabilities(_features(gap=3.0, score=2.0)) == pytest.approx([1 / (1 + np.exp(-0.25))])


def test_a_feature_that_is_not_known_counts_as_its_centre() -> None:
    assert MODEL.logits(_features(score=2.0)) == pytest.approx(MODEL.logits(_features(gap=1.0, score=2.0)))


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL.to_json()), encoding="utf-8")
    read = load_doubt_model(path)
    features = np.random.default_rng(0).normal(size=(20, len(FEATURES)))
    assert read.features == MODEL.features
    np.testing.assert_allclose(read.logits(features), MODEL.logits(features))


def test_the_packaged_model_tells_doubtful_from_harmless() -> None:
    model = load_doubt_model()
    assert set(model.features) <= set(FEATURES)
    assert (model.scale > 0).all()
    near = {name: float(c) for name, c in zip(model.features, model.centre, strict=True)}
    near |= {"gap": 0.0, "document_score": 12.0, "document_rank": 0.0, "rank": 0.0, "top_gap": 0.0}
    far = near | {"gap": 8.0, "document_score": 0.0, "document_rank": 10.0, "rank": 8.0, "top_gap": 8.0}
    assert model.probabilities(_features(**near))[0] > 0.3
    assert model.probabilities(_features(**far))[0] < 0.02


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "holds no margin model"),
        ('{"features": {"gap": {}}, "intercept": 0, "provenance": {}}', "KeyError"),
        (
            '{"features": {"age": {"centre": 0, "scale": 1, "coefficient": 1}}, "intercept": 0, "provenance": {}}',
            "names the feature 'age': this version measures gap, score",
        ),
    ],
    ids=["no JSON", "no numbers", "unknown feature"],
)
def test_a_file_that_holds_no_model_is_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        load_doubt_model(path)


def test_only_what_is_above_the_cut_is_doubted() -> None:
    chances = np.array([0.1, 0.1000001, 0.9, np.nan])
    assert doubted(DoubtRule(0.1, 0.5, 5), chances).tolist() == [False, True, True, False]


def test_a_short_query_takes_its_least_doubtful_candidates_up_to_the_ceiling() -> None:
    rows = np.array([0, 0, 0, 0, 1, 1, 1, 3, 3])
    chances = np.array([0.05, 0.3, 0.2, 0.4, 0.6, 0.3, 0.2, 0.2, 0.2])
    eligible = chances <= 0.1
    open_ = np.array([False, True, True, True, True, True, False, True, True])
    served = least_doubted(DoubtRule(0.1, 0.5, 2), rows, 4, eligible, open_, chances)
    # Query 0 has one and needs one more; in query 1 one is above the ceiling and one is not open for another reason.
    assert served.tolist() == [False, False, True, False, False, True, False, True, True]
    assert not least_doubted(DoubtRule(0.1, 0.1, 2), rows, 4, eligible, open_, chances).any()
