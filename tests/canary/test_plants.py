"""What each kind of plant keeps of its positive, and what it changes."""

from __future__ import annotations

import random

import pytest

from datagen.canary.plants import ALTERED, EDITS, KIND_MEANINGS, PARAPHRASED, STILL_ANSWERS, Known, words_of

TEXT = (
    "The lighthouse of Alexandria, one of the tallest buildings of its time, was not finished before 247 BC. In 1303, "
    "an earthquake damaged it. Sailors such as Strabo (a traveller from Pontus) saw its fire from about 50 km. Its "
    "stones were used for the fort of Qaitbay, which was built in 1477."
)
KNOWN = Known(
    "How far could the fire of the lighthouse be seen?",
    "Lighthouse of Alexandria",
    TEXT,
    "The river rises in Bavaria and ends near Vienna after 310 km. It freezes in most winters.",
)


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


@pytest.mark.parametrize("kind", sorted(STILL_ANSWERS))
@pytest.mark.parametrize("seed", range(5))
def test_plant_that_still_answers_keeps_the_answer_and_is_another_text(kind: str, seed: int) -> None:
    plant = STILL_ANSWERS[kind](KNOWN, random.Random(seed))
    assert plant is not None
    assert (plant.title, plant.text) != (KNOWN.title, KNOWN.text)
    assert {"50", "km", "fire"} <= {*_words(plant.text)}


@pytest.mark.parametrize("seed", range(5))
def test_altered_plant_answers_otherwise(seed: int) -> None:
    plant = EDITS[ALTERED](KNOWN, random.Random(seed))
    assert plant is not None
    assert "50 km" not in plant.text
    assert "310" in plant.text
    assert len(words_of(plant.text) & words_of(TEXT)) > 0.7 * len(words_of(TEXT))


def test_reordered_plant_has_the_same_words() -> None:
    plant = EDITS["reordered"](KNOWN, random.Random(0))
    assert plant is not None
    assert sorted(_words(plant.text)) == sorted(_words(TEXT))
    assert _words(plant.text) != _words(TEXT)


def test_shortened_plant_lacks_the_sentence_furthest_from_the_query() -> None:
    plant = EDITS["shortened"](KNOWN, random.Random(0))
    assert plant is not None
    assert len(plant.text) < len(TEXT)
    assert "Strabo" in plant.text


def test_extended_plant_holds_the_whole_text() -> None:
    plant = EDITS["extended"](KNOWN, random.Random(0))
    assert plant is not None
    assert TEXT in plant.text
    assert len(plant.text) > len(TEXT) + 20


def test_reworded_plant_says_numbers_as_they_were() -> None:
    plant = EDITS["reworded"](KNOWN, random.Random(0))
    assert plant is not None
    assert "wasn't finished" in plant.text
    assert {"247", "1303", "50", "1477"} <= {*_words(plant.text)}


def test_title_is_made_where_there_is_none() -> None:
    plant = EDITS["title"](Known(KNOWN.query, None, TEXT, ""), random.Random(0))
    assert plant is not None
    assert plant.title
    assert TEXT.startswith(plant.title)


@pytest.mark.parametrize("kind", ["reordered", "shortened", "reworded", ALTERED, "title"])
def test_positive_that_lacks_what_a_kind_needs_gives_none(kind: str) -> None:
    assert EDITS[kind](Known("what?", None, "one plain line", "another line"), random.Random(0)) is None


def test_every_kind_has_a_meaning() -> None:
    assert KIND_MEANINGS.keys() == {*EDITS, PARAPHRASED}
    assert all(KIND_MEANINGS.values())
