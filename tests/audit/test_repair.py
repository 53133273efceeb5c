from __future__ import annotations

import polars as pl

from datagen.audit.findings import (
    EMPTY_TEXT,
    FALSE_NEGATIVE,
    FINDINGS,
    HUB,
    KNOWN_POSITIVE,
    POSITIVE_TEXT,
    TEST_QUERY,
)
from datagen.audit.repair import Repaired, count_changes, repair
from datagen.settings.audit import RepairConfig
from tests.support.audits import rows_of

ROWS = rows_of(
    ("a", ["p1", "p2"], ["n1", "n2", "n3"]), ("b", ["p3"], ["n4"]), ("c", ["p4"], ["n5", "n6"]), ("d", ["p"], [])
)


def test_negative_goes_with_the_first_of_its_faults_as_the_reason() -> None:
    done = _repair(
        (0, "negative", 1, FALSE_NEGATIVE), (0, "negative", 1, POSITIVE_TEXT), (2, "negative", 0, FALSE_NEGATIVE)
    )
    assert _texts(done, "negatives") == [["n1", "n3"], ["n4"], ["n6"], []]
    assert _changes(done) == [
        (0, "dropped_negative", 1, "n2", FALSE_NEGATIVE),
        (2, "dropped_negative", 0, "n5", FALSE_NEGATIVE),
    ]


def test_rows_without_a_fault_stay_as_they_are() -> None:
    assert _repair().rows.equals(ROWS)


def test_row_goes_when_its_query_is_at_fault_whatever_its_passages_have() -> None:
    done = _repair((1, "negative", 0, FALSE_NEGATIVE), (1, "query", None, TEST_QUERY), (1, "query", None, EMPTY_TEXT))
    assert done.rows["query"].to_list() == ["a", "c", "d"]
    assert _changes(done) == [(1, "dropped_query", None, None, TEST_QUERY)]


def test_negative_that_is_labelled_relevant_moves_to_the_positives() -> None:
    done = _repair((0, "negative", 2, KNOWN_POSITIVE))
    assert _texts(done, "positives")[0] == ["p1", "p2", "n3"]
    assert _texts(done, "negatives")[0] == ["n1", "n2"]
    assert _changes(done) == [(0, "moved", 2, "n3", KNOWN_POSITIVE)]


def test_labelled_negative_goes_when_it_repeats_a_positive() -> None:
    done = _repair((0, "negative", 2, POSITIVE_TEXT), (0, "negative", 2, KNOWN_POSITIVE))
    assert _texts(done, "positives")[0] == ["p1", "p2"]
    assert _changes(done) == [(0, "dropped_negative", 2, "n3", POSITIVE_TEXT)]


def test_row_that_loses_its_last_positive_goes() -> None:
    done = _repair((0, "positive", 0, EMPTY_TEXT), (1, "positive", 0, EMPTY_TEXT))
    assert done.rows["query"].to_list() == ["a", "c", "d"]
    assert _texts(done, "positives")[0] == ["p2"]
    assert _changes(done)[1:] == [
        (1, "dropped_positive", 0, "p3", EMPTY_TEXT),
        (1, "dropped_query", None, None, "no_positive"),
    ]


def test_row_that_is_left_short_of_negatives_is_named() -> None:
    done = _repair((1, "negative", 0, FALSE_NEGATIVE))
    assert _texts(done, "negatives")[1] == []
    assert _changes(done)[1] == (1, "short", None, None, "few_negatives")
    assert done.changes["detail"][1] == "0 negatives left"


def test_row_that_is_left_short_goes_when_that_is_asked_for() -> None:
    config = RepairConfig(min_negatives=2, short="drop")
    done = _repair((0, "negative", 0, FALSE_NEGATIVE), (2, "negative", 0, FALSE_NEGATIVE), config=config)
    assert done.rows["query"].to_list() == ["a", "b", "d"]
    assert _changes(done)[-1] == (2, "dropped_query", None, None, "few_negatives")


def test_row_without_negatives_goes_when_the_format_needs_one() -> None:
    done = _repair((1, "negative", 0, FALSE_NEGATIVE), needs_negatives=True)
    assert done.rows["query"].to_list() == ["a", "c", "d"]
    assert _changes(done)[1] == (1, "dropped_query", None, None, "few_negatives")


def test_faults_that_are_not_asked_for_stay() -> None:
    assert _changes(_repair((0, "negative", 0, HUB))) == []
    config = RepairConfig(faults=(HUB,))
    done = _repair((0, "negative", 0, HUB), (0, "negative", 1, FALSE_NEGATIVE), config=config)
    assert _texts(done, "negatives")[0] == ["n2", "n3"]


def test_changes_are_counted_by_kind_and_reason() -> None:
    done = _repair(
        (0, "negative", 0, FALSE_NEGATIVE), (0, "negative", 1, FALSE_NEGATIVE), (2, "query", None, TEST_QUERY)
    )
    assert count_changes(done.changes) == {
        "dropped_negative": {FALSE_NEGATIVE: 2},
        "dropped_query": {TEST_QUERY: 1},
    }


def _repair(
    *faults: tuple[int, str, int | None, str], config: RepairConfig | None = None, needs_negatives: bool = False
) -> Repaired:
    findings = [
        {
            "row": row,
            "query_id": f"q{row}",
            "role": role,
            "place": place,
            "doc_id": None if place is None else ROWS[f"{role}s"][row][place]["doc_id"],
            "fault": fault,
            "score": 1.0,
            "detail": "",
        }
        for row, role, place, fault in faults
    ]
    return repair(
        ROWS, pl.DataFrame(findings, schema=dict(FINDINGS)), config or RepairConfig(), needs_negatives=needs_negatives
    )


def _texts(done: Repaired, column: str) -> list[list[str]]:
    return [[document["text"] for document in documents] for documents in done.rows[column].to_list()]


def _changes(done: Repaired) -> list[tuple[object, ...]]:
    return done.changes.select("row", "change", "place", "doc_id", "reason").rows()
