"""What is never a negative, from the tables of a run to the reasons in its ledger."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.config import build_config
from datagen.errors import ConfigError
from datagen.pipeline import RunResult

Document: TypeAlias = dict[str, object]

WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]
MARGIN = {"margin_policy": "absolute", "margin": 0, "near_positive_limit": 0}
ANSWER = " ".join(f"{word} helps against {other}" for word, other in zip(WORDS, WORDS[7:] + WORDS[:7], strict=True))


def _filler(number: int) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=11))


def _documents(extra: list[Document]) -> list[Document]:
    filler: list[Document] = [{"_id": f"f{number}", "text": _filler(number)} for number in range(30)]
    keys = {key: None for row in extra for key in row}
    return [{**keys, **row} for row in filler + extra]


def _mine(
    folder: Path,
    documents: list[Document],
    queries: dict[str, str],
    positives: dict[str, str],
    **settings: object,
) -> tuple[RunResult, dict[str, dict[str, str]]]:
    """The run, and query to document to reason."""
    pl.DataFrame(documents, infer_schema_length=None).write_ndjson(folder / "corpus.jsonl")
    pl.DataFrame({"_id": list(queries), "text": list(queries.values())}).write_ndjson(folder / "queries.jsonl")
    pairs = {"query_id": list(positives), "doc_id": list(positives.values()), "score": [1] * len(positives)}
    pl.DataFrame(pairs).write_csv(folder / "qrels.tsv", separator="\t")
    given: dict[str, Any] = {  # Any: nested settings
        "out": folder / "run",
        "cache": folder / "cache",
        "input": {name: str(folder / file) for name, file in (("corpus", "corpus.jsonl"), ("queries", "queries.jsonl"))}
        | {"qrels": str(folder / "qrels.tsv")},
        "teacher": {"model": "datagen.testing:HashingTeacher", "device": "cpu"},
        "denoise": {"reranker": "none"},
        "mine": {**MARGIN, **settings},
    }
    result = pipeline.run(build_config(given))
    reasons: dict[str, dict[str, str]] = {}
    for query, document, reason in (
        shards.read(folder / "run" / "candidates").select("query_id", "doc_id", "reason").rows()
    ):
        reasons.setdefault(query, {})[document] = reason
    return result, reasons


QUERIES = {
    "a": "Which remedy do doctors give against seasonal headaches?",
    "b": "which remedy can doctors give against seasonal headaches",
    "c": "How deep is the ocean near Iceland in winter?",
}
POSITIVES = {"a": "answer", "b": "f3", "c": "f7"}
COPIES: list[Document] = [
    {"_id": "answer", "text": ANSWER},
    {"_id": "copy", "text": ANSWER.replace("helps", "HELPS,") + " See also the next page."},
    {"_id": "echo", "text": f"{QUERIES['c'].rstrip('?')} now?"},
]


def test_copies_of_query_and_positive_are_closed_for_all_that_ask_the_same(tmp_path: Path) -> None:
    result, reasons = _mine(tmp_path, _documents(COPIES), QUERIES, POSITIVES, closure={"near_vector": None})
    assert reasons["a"]["copy"] == reasons["b"]["copy"] == "near_text"
    assert reasons["c"]["copy"] in {"selected", "margin"}
    assert (reasons["a"]["answer"], reasons["b"]["answer"]) == ("known_positive", "sibling_positive")
    assert (reasons["a"]["f3"], reasons["b"]["f3"]) == ("sibling_positive", "known_positive")
    assert reasons["c"]["echo"] == "near_text"
    counts = next(record.counts for record in result.records if record.name == "mine")
    assert counts["near_queries"] == {"texts": 2, "largest": 2}


def test_closure_that_is_switched_off_closes_only_equal_texts(tmp_path: Path) -> None:
    off = {"near_text": None, "near_vector": None, "near_query": None}
    _, reasons = _mine(tmp_path, _documents(COPIES), QUERIES, POSITIVES, num_negatives=100, closure=off)
    assert reasons["a"]["answer"] == "known_positive"
    assert {reasons[query]["copy"] for query in "ab"} <= {"selected", "margin"}
    assert not {"near_text", "near_vector", "sibling_positive"} & {
        word for found in reasons.values() for word in found.values()
    }
    assert not (tmp_path / "cache" / "signatures").exists()


def test_copies_by_the_teacher_have_a_reason_of_their_own(tmp_path: Path) -> None:
    shuffled: list[Document] = [
        {"_id": "answer", "text": ANSWER},
        {"_id": "mixed", "text": " ".join(sorted(ANSWER.split()))},
    ]
    _, reasons = _mine(tmp_path, _documents(shuffled), {"a": QUERIES["a"]}, {"a": "answer"})
    assert reasons["a"]["mixed"] == "near_vector"


PASSAGES: list[Document] = [
    *(
        {"_id": f"long#{n}", "text": _filler(n + 40), "parent": "long", "chunk": n, "url": "u", "shelf": "x"}
        for n in range(4)
    ),
    {"_id": "other", "text": "bone cure heart gene", "url": "u", "shelf": "y"},
    {"_id": "third", "text": "lung gene heart cure", "url": "w", "shelf": "x"},
]
ASKED = {"a": "bonecell heartpain"}


@pytest.mark.parametrize(
    ("rule", "closed"),
    [("ignore", ["long#0", "long#2", "long#3"]), ("adjacent", ["long#0", "long#2"]), ("allow", [])],
)
def test_passages_of_the_positives_document_follow_the_rule(tmp_path: Path, rule: str, closed: list[str]) -> None:
    _, reasons = _mine(tmp_path, _documents(PASSAGES), ASKED, {"a": "long#1"}, rules={"same_doc": rule})
    assert reasons["a"]["long#1"] == "known_positive"
    assert sorted(document for document, reason in reasons["a"].items() if reason == "same_document") == closed


def test_fields_keep_and_exclude_documents(tmp_path: Path) -> None:
    rules = {"same_field": ["shelf"], "exclude_same": ["url"], "same_doc": "allow"}
    _, reasons = _mine(tmp_path, _documents(PASSAGES), ASKED, {"a": "long#1"}, rules=rules, margin=0)
    assert {reasons["a"][name] for name in ("long#0", "long#2", "long#3", "other")} == {"excluded_field"}
    assert reasons["a"]["third"] in {"selected", "margin"}
    assert {reason for name, reason in reasons["a"].items() if name.startswith("f")} == {"other_field"}


def test_languages_are_kept_apart_by_a_field(tmp_path: Path) -> None:
    documents: list[Document] = [
        {**row, "language": "de" if number % 2 else "en"} for number, row in enumerate(_documents([]))
    ]
    _, reasons = _mine(tmp_path, documents, ASKED, {"a": "f4"}, rules={"same_field": ["language"]})
    assert {int(name[1:]) % 2 for name, reason in reasons["a"].items() if reason == "selected"} == {0}
    assert {int(name[1:]) % 2 for name, reason in reasons["a"].items() if reason == "other_field"} == {1}


def test_a_rule_on_a_field_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no document has a field 'tenant': choose one of .*shelf, url"):
        _mine(tmp_path, _documents(PASSAGES), ASKED, {"a": "long#1"}, rules={"same_field": ["tenant"]})


def test_signatures_are_read_from_the_cache_by_the_next_run(tmp_path: Path) -> None:
    _, first = _mine(tmp_path, _documents(COPIES), QUERIES, POSITIVES)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "signatures").rglob("*.npy")}
    assert kept
    _, again = _mine(tmp_path, _documents(COPIES), QUERIES, POSITIVES, num_negatives=6)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "signatures").rglob("*.npy")} == kept
    assert again["a"]["copy"] == first["a"]["copy"] == "near_text"
