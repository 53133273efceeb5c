from __future__ import annotations

from datagen.audit.doubles import count_doubles, find_doubles
from datagen.audit.findings import EMPTY_TEXT, QUERY_TEXT, REPEATED_PASSAGE, REPEATED_ROW
from tests.support.audits import found, material_of


def test_blank_queries_and_passages_are_found() -> None:
    findings = find_doubles(material_of((" \n", ["a"], []), ("b", ["c", ""], ["\t", "d"])))
    assert found(findings, EMPTY_TEXT) == [(0, "query", None), (1, "positive", 1), (1, "negative", 0)]


def test_query_that_stands_among_its_passages_is_found() -> None:
    findings = find_doubles(material_of(("What is gout?", ["a", "what is gout"], ["WHAT IS GOUT", "b"])))
    assert found(findings, QUERY_TEXT) == [(0, "positive", 1), (0, "negative", 0)]


def test_query_of_another_row_is_no_fault_of_a_passage() -> None:
    assert found(find_doubles(material_of(("a", ["b"], ["c"]), ("c", ["d"], ["e"]))), QUERY_TEXT) == []


def test_passage_that_stands_twice_in_a_list_is_found_once() -> None:
    findings = find_doubles(material_of(("q", ["a"], ["b", "c", "B.", "a"]), ("r", ["b"], ["c"])))
    assert found(findings, REPEATED_PASSAGE) == [(0, "negative", 2)]


def test_row_is_repeated_when_query_and_passages_are_the_same_in_any_order() -> None:
    findings = find_doubles(
        material_of(
            ("q", ["a"], ["b", "c"]),
            ("Q", ["a"], ["c", "b"]),
            ("q", ["a"], ["b"]),
            ("q", ["b"], ["a", "c"]),
            ("q", [], []),
        )
    )
    assert found(findings, REPEATED_ROW) == [(1, "query", None)]


def test_rows_without_passages_are_repeated_when_the_query_is() -> None:
    findings = find_doubles(material_of(("q", [], []), ("q", [], []), ("r", ["a"], [])))
    assert found(findings, REPEATED_ROW) == [(1, "query", None)]


def test_counts_tell_what_is_no_fault() -> None:
    material = material_of(("q", ["a"], ["b"]), ("q", ["b"], ["c", "C"]))
    assert count_doubles(material) == {
        "rows_with_a_repeated_query": 1,
        "texts_with_several_ids": 1,
        "ids_with_several_texts": 0,
        "texts_positive_and_negative": 1,
    }
