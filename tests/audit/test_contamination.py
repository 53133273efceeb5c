from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

import polars as pl
import pytest

from datagen.audit.contamination import TestTexts, find_by_vectors, find_by_words, load_test_sets
from datagen.audit.findings import NEAR_TEST_QUERY, TEST_PASSAGE, TEST_QUERY
from datagen.backends.registry import Registry
from datagen.errors import InputError
from datagen.progress import SilentProgress
from datagen.vectors import open_vectors
from tests.support.audits import found, material_of, run_config

Rows: TypeAlias = list[tuple[str, list[str], list[str]]]

TestTexts.__test__ = False  # type: ignore[attr-defined]  # no test, whatever pytest thinks of its name

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"
TESTS = TestTexts(
    pl.DataFrame({"name": ["set a", "set b"], "text": ["What is gout?", f"Please tell me {THIRTEEN}"]}),
    pl.DataFrame(
        {
            "name": ["set d"],
            "text": ["gout hurts because uric acid builds crystals in the joints of the big toe at night"],
        }
    ),
)


def test_query_of_a_test_set_is_found_when_case_and_punctuation_differ() -> None:
    findings = find_by_words(material_of(("what is Gout", ["a"], []), ("what is a gout toe", ["b"], [])), TESTS, None)
    assert found(findings) == [(0, "query", None)]
    assert findings.row(0, named=True)["detail"] == "words in common with set a"


def test_thirteen_words_in_a_row_are_a_match_and_twelve_are_not() -> None:
    shorter = " ".join(THIRTEEN.split()[1:])
    rows: Rows = [
        (f"count {THIRTEEN} now", ["a"], []),
        (f"count {shorter} now", ["b"], []),
    ]
    assert found(find_by_words(material_of(*rows), TESTS, None), TEST_QUERY) == [(0, "query", None)]


def test_passages_are_compared_with_test_queries_and_their_positives() -> None:
    passage = "It is known that gout hurts because uric acid builds crystals in the joints of the big toe, always."
    findings = find_by_words(material_of(("q", [passage, "what is gout"], ["other", f"so: {THIRTEEN}"])), TESTS, None)
    assert found(findings, TEST_PASSAGE) == [(0, "positive", 0), (0, "positive", 1), (0, "negative", 1)]
    names = ["words in common with set d", "words in common with set a", "words in common with set b"]
    assert findings["detail"].to_list() == names


def test_words_that_many_training_texts_share_are_no_sign() -> None:
    rows: Rows = [(f"query {n}", [f"{THIRTEEN} and {n}"], []) for n in range(12)]
    assert find_by_words(material_of(*rows), TESTS, None).is_empty()
    assert len(find_by_words(material_of(*rows[:10]), TESTS, None)) == 10


def test_query_in_nearly_the_words_of_a_test_query_is_found_when_asked_for() -> None:
    rows: Rows = [
        ("please tell me " + THIRTEEN.replace("seven", "7"), ["a"], []),
        ("who was Goethe, the poet", ["b"], []),
    ]
    material = material_of(*rows)
    assert find_by_words(material, TESTS, None).is_empty()
    assert found(find_by_words(material, TESTS, 0.7)) == [(0, "query", None)]


@pytest.mark.parametrize("reach", [0.5, 3.0], ids=str)
def test_vector_near_a_test_query_is_found_by_spreads(tmp_path: Path, reach: float) -> None:
    words = ["gout", "liver", "lung", "heart", "kidney", "eye", "ear", "skin"]
    rows: Rows = [(f"what heals the {word} at {n} o'clock", ["a"], []) for n, word in enumerate(words)]
    material = material_of(("please tell me " + THIRTEEN, ["a"], []), *rows)
    config = run_config(tmp_path)
    backends = Registry(config)
    store = open_vectors(config, backends, "query")
    own, theirs = (
        store.ensure(texts, backends.teacher, SilentProgress())[0]
        for texts in (material.queries["query"], TESTS.queries["text"])
    )
    findings = find_by_vectors(material, TESTS, (store, own, theirs), reach, 0)
    assert found(findings, NEAR_TEST_QUERY)[0] == (0, "query", None)
    assert findings["score"][0] == pytest.approx(0, abs=0.01)
    assert findings["detail"][0] == "vector near set b"
    assert (findings["score"] <= reach).all()
    assert len(findings) < len(material.queries)


def test_test_set_is_read_with_its_test_split_alone(tmp_path: Path) -> None:
    folder = _write_beir(tmp_path, {"train.tsv": "q1\td1\t1\n", "test.tsv": "q2\td2\t1\nq2\td1\t0\n"})
    texts = load_test_sets([folder], "{title} {text}")
    assert texts.queries.rows() == [("tests q2", "second")]
    assert texts.positives.rows() == [("tests d2", "Title two")]


def test_test_set_without_a_test_split_is_read_whole(tmp_path: Path) -> None:
    folder = _write_beir(tmp_path, {"dev.tsv": "q1\td1\t1\n", "all.tsv": "q2\td2\t1\n"})
    assert sorted(load_test_sets([folder], "{title} {text}").queries["text"]) == ["first", "second"]


def test_test_set_without_a_positive_is_refused(tmp_path: Path) -> None:
    folder = _write_beir(tmp_path, {"test.tsv": "q1\td1\t0\n"})
    with pytest.raises(InputError, match="names no positive: its qrels need relevance above 0"):
        load_test_sets([folder], "{text}")


def _write_beir(tmp_path: Path, qrels: dict[str, str]) -> Path:
    folder = tmp_path / "tests"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": "d1", "title": "", "text": "one"}, {"_id": "d2", "title": "Title", "text": "two"}]
    queries = [{"_id": "q1", "text": "first"}, {"_id": "q2", "text": "second"}]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for name, lines in qrels.items():
        (folder / "qrels" / name).write_text("query-id\tcorpus-id\tscore\n" + lines, encoding="utf-8")
    return folder
