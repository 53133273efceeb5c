"""The sample corpus of the package: what is in it, and that its rule gives it again from the whole of MedQuAD."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import datagen

SAMPLE = Path(datagen.__file__).parent / "data" / "medquad_sample.jsonl.gz"
WANTED = 1500

# The rule that ATTRIBUTION.md states.
QUESTION_FORMS = re.compile(
    r"(?:what is \(are\)|what are the (?:symptoms of|treatments for|stages of|complications of|genetic changes related "
    r"to)|how many people are affected by|how to (?:diagnose|prevent)|what causes|who is at risk for|what to do for|"
    r"what research \(or clinical trials\) is being done for|what is the outlook for|do you have information about|is) "
    r"(?:what i need to know about )?(?P<subject>.+?)(?: inherited)? ?\?"
)
LEANING = re.compile(r"(?:This|These|Those|It|They|He|She|Such|In this|In these|Because this|Although this)\b")
POINTERS = ("Human Phenotype Ontology", "MedlinePlus", "NINDS", "Web page", "Click", "http", "www.")


@pytest.fixture(scope="module")
def sample() -> list[dict[str, str]]:
    return list(_read(SAMPLE))


def test_sample_has_about_1500_short_passages_with_unique_ids(sample: list[dict[str, str]]) -> None:
    assert WANTED <= len(sample) < WANTED + 40
    assert len({row["_id"] for row in sample}) == len(sample)
    assert len({row["text"].casefold() for row in sample}) == len(sample)
    assert all(list(row) == ["_id", "title", "text"] and 120 <= len(row["text"]) <= 2000 for row in sample)


def test_sample_invents_no_titles_as_the_source_has_none(sample: list[dict[str, str]]) -> None:
    assert {row["title"] for row in sample} == {""}


def test_sample_is_small_and_its_bytes_can_be_made_again(sample: list[dict[str, str]]) -> None:
    content = SAMPLE.read_bytes()
    assert len(content) < 1_500_000
    assert content[4:8] == bytes(4), "the time in the gzip header is 0"
    assert gzip.decompress(content) == _lines(sample)


def test_sample_is_attributed() -> None:
    attribution = (SAMPLE.parent / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for word in ("MedQuAD", "CC BY 4.0", "Asma Ben Abacha", "Dina Demner-Fushman", SAMPLE.name):
        assert word in attribution


def test_rule_gives_the_sample_from_the_whole_collection(sample: list[dict[str, str]], shared_data: Path) -> None:
    source = shared_data / "medquad"
    subjects = _subjects(source)
    assert sample == _choose(list(_read(source / "corpus.jsonl.gz")), subjects)


def _choose(passages: list[dict[str, str]], subjects: dict[str, str]) -> list[dict[str, str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for row in passages:
        if row["_id"] in subjects and _is_clean_prose(row["text"]) and row["text"].casefold() not in seen:
            seen.add(row["text"].casefold())
            groups[subjects[row["_id"]]].append(row["_id"])
    chosen: set[str] = set()
    for subject in sorted(groups, key=lambda subject: hashlib.sha256(subject.encode()).hexdigest()):
        if len(groups[subject]) >= 3 and len(chosen) < WANTED:
            chosen.update(groups[subject])
    return [row for row in passages if row["_id"] in chosen]


def _subjects(source: Path) -> dict[str, str]:
    """For each passage the first, in the alphabet, of the subjects that its questions ask about."""
    asked = {row["_id"]: QUESTION_FORMS.fullmatch(row["text"].casefold()) for row in _read(source / "queries.jsonl.gz")}
    subjects: dict[str, str] = {}
    for line in (source / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, doc_id, _ = line.split("\t")
        if match := asked[query_id]:
            subjects[doc_id] = min(match["subject"], subjects.get(doc_id, match["subject"]))
    return subjects


def _is_clean_prose(text: str) -> bool:
    sentences = re.findall(r"[.!?][\"')]*(?= [A-Z(]|$)", text)
    listed = text.count(" - ") > 2 or re.search(r"\[\d", text)
    whole = re.search(r"[.!?][\"')]*$", text) and not LEANING.match(text)
    return bool(120 <= len(text) <= 2000 and len(sentences) >= 2 and whole and not listed) and not any(
        pointer in text for pointer in POINTERS
    )


def _lines(rows: Iterable[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _read(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
