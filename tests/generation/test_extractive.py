"""The five kinds of query: on passages made for one rule, and on the real ones of the packaged sample."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datagen
from datagen.generation.extractive.parsing import Written
from datagen.generation.extractive.writers import KINDS, WRITERS, Choice, Passage
from datagen.generation.words import WordStatistics, count_words, normalise, words

SAMPLE = Path(datagen.__file__).parent / "data" / "medquad_sample.jsonl.gz"
SARCOIDOSIS = (
    "Sarcoidosis affects people of all ages and races. However, it's more common among African Americans and Northern "
    "Europeans. In the United States, the disease affects African Americans somewhat more often and more severely than "
    "Whites. Studies have shown that sarcoidosis tends to vary amongst ethnic groups. For example, eye problems "
    "related to sarcoidosis are more common in Japanese people. "
    "Erythema nodosum is a rash of red or reddish-purple bumps."
)
Write = Callable[..., Written | None]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


@pytest.fixture(scope="module")
def statistics(texts: list[str]) -> WordStatistics:
    return count_words(texts)


@pytest.fixture(scope="module")
def write(statistics: WordStatistics) -> Write:
    def call(kind: str, text: str, title: str = "", **over: object) -> Written | None:
        choice = Choice(**{"seed": "s", "take": 0, "keep_sentence": False, "min_words": 2, "max_words": 40, **over})  # type: ignore[arg-type]
        return WRITERS[kind][0](Passage(title, text, statistics), choice)

    return call


@pytest.mark.parametrize("kind", KINDS)
def test_kind_works_on_real_passages(kind: str, texts: list[str], write: Write) -> None:
    found = [(text, written) for text in texts[:400] if (written := write(kind, text))]
    assert len(found) >= (100 if kind == "typed_span_question" else 380)
    assert len({written.query for _, written in found}) > 0.85 * len(found)
    for text, written in found:
        assert 2 <= len(written.query.split()) <= 40
        assert written.query == written.query.strip()
        assert normalise(written.query) != normalise(text)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("title_body", "Sarcoidosis affects people of all ages and races."),
        ("salient_sentence", "Studies have shown that sarcoidosis tends to vary amongst ethnic groups."),
        ("keywords", "races americans african sarcoidosis affects ages"),
        ("typed_span_question", "What is erythema nodosum?"),
        ("inverse_cloze", "Sarcoidosis affects people of all ages and races."),
    ],
)
def test_query_of_a_passage_about_sarcoidosis(kind: str, expected: str, write: Write) -> None:
    written = write(kind, SARCOIDOSIS)
    assert written is not None
    assert written.query == expected


def test_inverse_cloze_takes_the_sentence_out_of_its_passage(texts: list[str], write: Write) -> None:
    for text in texts[:200]:
        written = write("inverse_cloze", text)
        if written is not None:
            assert written.span is not None
            assert written.passage is not None
            assert written.span not in written.passage
            assert len(words(text)) - len(words(written.span)) <= len(words(written.passage)) < len(words(text))


def test_inverse_cloze_keeps_the_sentence_when_told(write: Write) -> None:
    kept, cut = (write("inverse_cloze", SARCOIDOSIS, keep_sentence=keep) for keep in (True, False))
    assert kept is not None
    assert cut is not None
    assert kept == cut._replace(passage=None)


def test_inverse_cloze_gives_each_sentence_once_best_first(write: Write) -> None:
    found = [write("inverse_cloze", SARCOIDOSIS, take=take) for take in range(7)]
    queries = [written.query for written in found if written]
    assert len(set(queries)) == len(queries) == 6
    leaning = "It's more common among African Americans and Northern Europeans."
    assert queries.index(leaning) > queries.index("Erythema nodosum is a rash of red or reddish-purple bumps.")
    assert found[6] is None


def test_inverse_cloze_depends_on_the_seed(write: Write) -> None:
    queries = {written.query for seed in "abcdefgh" if (written := write("inverse_cloze", SARCOIDOSIS, seed=seed))}
    assert len(queries) >= 3


def test_inverse_cloze_drops_the_words_that_lead_in(write: Write) -> None:
    queries = [w.query for take in range(6) if (w := write("inverse_cloze", SARCOIDOSIS, take=take))]
    assert "Eye problems related to sarcoidosis are more common in Japanese people." in queries


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        pytest.param("Fabry disease", "It is rare. It is old.", "Fabry disease", id="title"),
        pytest.param("", "Causes of gout\n\nToo much uric acid in the blood.", "Causes of gout", id="heading"),
        pytest.param("", "Gout is painful. It hurts.", "Gout is painful.", id="short-first-sentence"),
        pytest.param(
            "",
            "Gout is a kind of arthritis, which is caused by crystals that grow in the joints of the foot. It hurts.",
            "Gout is a kind of arthritis, which is caused by crystals",
            id="up-to-the-last-pause",
        ),
        pytest.param(
            "",
            "Gout is a painful kind of arthritis caused by crystals growing in the joints of each foot or both.",
            "Gout is a painful kind of arthritis caused by crystals growing in the joints",
            id="sixteen-words",
        ),
        pytest.param(
            "",
            "The early signs of acute gout include: - redness and heat - swelling of one big toe - and a lot of pain.",
            "The early signs of acute gout",
            id="opening-of-a-list",
        ),
    ],
)
def test_title_is_the_title_or_the_beginning(title: str, text: str, expected: str, write: Write) -> None:
    written = write("title_body", text, title)
    assert written is not None
    assert written.query == expected


def test_salient_sentence_is_not_the_first_when_another_is_as_good() -> None:
    text = "Lupus harms kidneys of people badly. Lupus harms kidneys of people badly. Rest is good for all of us today."
    passage = Passage("", text, count_words([text, "other words of people"]))
    written = WRITERS["salient_sentence"][0](passage, Choice("s", 0, False, 2, 40))
    assert passage.sentences[0].text == passage.sentences[1].text
    assert written is not None
    first = text.replace("Lupus harms kidneys", "Lupus lupus kidneys", 1)
    better = WRITERS["salient_sentence"][0](Passage("", first, passage.statistics), Choice("s", 0, False, 2, 40))
    assert better is not None
    assert better.query == "Lupus harms kidneys of people badly."


def test_keywords_are_three_to_six_terms_of_the_passage(texts: list[str], write: Write) -> None:
    sizes = set()
    for number, text in enumerate(texts[:200]):
        written = write("keywords", text, seed=str(number))
        if written is not None:
            terms = written.query.split()
            sizes.add(len(terms))
            assert {term.lower() for term in terms} <= set(words(text))
            assert len({term.lower().rstrip("s") for term in terms}) == len(terms)
    assert sizes == {3, 4, 5, 6}


def test_keywords_keep_the_heaviest_term_and_change_the_others(write: Write) -> None:
    first, second = (write("keywords", SARCOIDOSIS, take=take) for take in (0, 1))
    assert first is not None
    assert second is not None
    assert "sarcoidosis" in first.query.split()
    assert "sarcoidosis" in second.query.split()
    assert set(first.query.split()) != set(second.query.split())


def test_keywords_are_written_small_but_for_mixed_names(write: Write) -> None:
    text = "Mutations in BRCA1 raise the risk. Ovarian and breast tumors follow. BRCA1 mRNA is short."
    written = write("keywords", text, seed="5")
    assert written is not None
    assert "BRCA1" in written.query.split()


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        pytest.param("inverse_cloze", "Only one sentence is here, of many words.", "no_sentence", id="one-sentence"),
        pytest.param("inverse_cloze", "Too short. Far too short.", "no_sentence", id="short-sentences"),
        pytest.param("inverse_cloze", "- one two three four five\n- six seven eight", "no_sentence", id="items"),
        pytest.param("title_body", "Gout hurts a lot", "no_title", id="nothing-but-the-title"),
        pytest.param("title_body", "Gout. It is a kind of arthritis.", "no_title", id="one-word-title"),
        pytest.param("title_body", "", "no_title", id="empty"),
        pytest.param("salient_sentence", "Only one sentence is here, of many words.", "no_salient_sentence", id="one"),
        pytest.param("salient_sentence", "It is so and so. They are here too.", "no_salient_sentence", id="leaning"),
        pytest.param("keywords", "It is what it is and was.", "no_keywords", id="function-words"),
        pytest.param("typed_span_question", "Doctors often help. Patients sleep.", "no_typed_span", id="no-span"),
    ],
)
def test_impossible_kind_has_its_reason(kind: str, text: str, reason: str, write: Write) -> None:
    assert write(kind, text) is None
    assert WRITERS[kind][1] == reason


@given(st.text(max_size=300), st.text(max_size=20), st.integers(0, 3), st.sampled_from(KINDS))
def test_any_text_gives_a_query_or_none_and_the_same_again(text: str, title: str, take: int, kind: str) -> None:
    written = [
        WRITERS[kind][0](Passage(title, text, WordStatistics()), Choice("s", take, False, 2, 40)) for _ in range(2)
    ]
    assert written[0] == written[1]
    if written[0] is not None:
        assert written[0].query.strip()
