from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from datagen.generation.recipes.checks_refusal import is_refusal
from datagen.generation.recipes.checks_wording import depends_on_passage

SETS = (
    "banking77",
    "cacm",
    "cranfield",
    "entailmentbank",
    "limit-small",
    "med",
    "medquad",
    "squadshifts-newwiki",
    "xquad-en",
)


@pytest.mark.parametrize(
    "text",
    [
        "What does the passage say about vitamin D?",
        "According to the text, who founded the city?",
        "what year is mentioned in this document",
        "How does the author describe the war?",
        "Which country is listed in the table?",
        "Based on the information provided, what are the risks?",
        "What did this study find about sleep?",
        "What is the main idea of the second paragraph?",
        "<passage> rivers",
        "Laut dem Text, wer gründete die Stadt?",
        "Selon le texte, qui a fondé la ville ?",
        "Según el texto, ¿quién fundó la ciudad?",
        "根据文章，谁建立了这座城市？",
        "この文章によると、誰が町を作りましたか？",
    ],
)
def test_words_for_a_passage_are_found(text: str) -> None:
    assert depends_on_passage(text)


@pytest.mark.parametrize(
    "text",
    [
        "how to write a passage in the past tense",
        "what is a table of contents",
        "how do I send a text message abroad",
        "who is the author of Middlemarch",
        "according to the constitution of India who is the head of state",
        "study on sleep and memory in mice",
        "why does my document not print",
        "wie schreibt man einen Text in Word",
    ],
)
def test_real_words_for_texts_are_no_fault(text: str) -> None:
    assert not depends_on_passage(text)


def test_real_queries_are_hardly_ever_taken_for_faults(shared_data: Path) -> None:
    queries = [query for name in SETS for query in _queries(shared_data / name)]
    assert len(queries) > 25_000
    assert sum(map(depends_on_passage, queries)) / len(queries) <= 0.005
    assert sum(map(is_refusal, queries)) / len(queries) <= 0.001


def _queries(folder: Path) -> list[str]:
    with gzip.open(folder / "queries.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]
