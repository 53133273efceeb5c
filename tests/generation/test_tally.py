from __future__ import annotations

import pytest

from datagen.generation.extractive.parsing import Written
from datagen.generation.outcome import Outcome, PlannedRow, Source
from datagen.generation.tally import Tally, lexical_overlap

SOURCE = Source("d", "Gout", "Crystals of uric acid grow in the joints.", None)


def _outcome(written: Written | None, kind: str = "keywords", **tried: str) -> Outcome:
    return Outcome(
        PlannedRow("g-1", SOURCE, 0), kind, {}, written, "" if written else "reason", dict(tried), positives=("d",)
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("uric acid grow", (1.0, True), id="copied"),
        pytest.param("acid uric", (1.0, False), id="other-order"),
        pytest.param("what is uric rain", (0.5, False), id="half"),
        pytest.param("snow falls", (0.0, False), id="nothing"),
        pytest.param("what is the", (1 / 3, False), id="function-words-alone"),
        pytest.param("aci", (0.0, False), id="part-of-a-word"),
    ],
)
def test_lexical_overlap_when(query: str, expected: tuple[float, bool]) -> None:
    assert lexical_overlap(query, "crystals of uric acid grow in the joints") == pytest.approx(expected)


def test_counts_add_up_by_kind_and_reason() -> None:
    tally = Tally(passages=2)
    tally.accept(_outcome(Written("uric acid")))
    tally.accept(_outcome(Written("rain of gout"), "title_body", inverse_cloze="no_sentence"))
    tally.accept(_outcome(Written("Crystals", "Acid grows."), "inverse_cloze"))
    tally.reject(_outcome(None, title_body="no_title"), "no_title")
    tally.reject(_outcome(Written("uric acid")), "duplicate_query")
    assert tally.counts() == {
        "passages": 2,
        "asked": 5,
        "accepted": 3,
        "rejected": 2,
        "fallbacks": 1,
        "new_passages": 1,
        "overlap": 0.5,
        "copied": 0.3333,
        "kinds": {
            "inverse_cloze": {"queries": 1, "overlap": 0.0, "copied": 0.0},
            "keywords": {"queries": 1, "overlap": 1.0, "copied": 1.0},
            "title_body": {"queries": 1, "overlap": 0.5, "copied": 0.0},
        },
        "rejected_by_reason": {"duplicate_query": 1, "no_title": 1},
        "not_possible_by_reason": {"no_sentence": 1, "no_title": 1},
    }


def test_a_title_counts_as_part_of_the_positive() -> None:
    tally = Tally()
    tally.accept(_outcome(Written("Gout: crystals")))
    assert tally.counts()["copied"] == 1.0


def test_accepting_a_outcome_without_a_query_is_a_bug() -> None:
    with pytest.raises(ValueError, match="g-1 has no query"):
        Tally().accept(_outcome(None))
