from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.generation.sentences import Sentence, cut_out, split_sentences, tidy

TEXTS = st.text(st.sampled_from("aB1 .!?\n-–•()[]\"'“”:;,…。 Dr.e.g."), max_size=80) | st.text(max_size=80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("It is. Was it? Yes! No", ["It is.", "Was it?", "Yes!", "No"], id="plain"),
        pytest.param("Dr. J. R. Smith left. He ran.", ["Dr. J. R. Smith left.", "He ran."], id="title-and-initials"),
        pytest.param("We met at 5 p.m. The talk was long.", ["We met at 5 p.m.", "The talk was long."], id="p.m."),
        pytest.param("The U.S. Army of 3.5 men, e.g. two.", ["The U.S. Army of 3.5 men, e.g. two."], id="inside"),
        pytest.param("They had hepatitis B. People did.", ["They had hepatitis B.", "People did."], id="letter-at-end"),
        pytest.param("Yahoo! is old. So am I.", ["Yahoo! is old.", "So am I."], id="small-letter-goes-on"),
        pytest.param(
            'He said "I am ill." Then (why?) he went.', ['He said "I am ill."', "Then (why?) he went."], id="quote"
        ),
        pytest.param("Cells grow.[18,23] They die.4 We too.", ["Cells grow.", "They die.", "We too."], id="footnotes"),
        pytest.param(
            "Signs are: - A rash. - Red eyes See a doctor.",
            ["Signs are:", "A rash.", "Red eyes See a doctor."],
            id="items",
        ),
        pytest.param("The heart - a muscle - beats.", ["The heart - a muscle - beats."], id="dash-in-a-sentence"),
        pytest.param("Heading\nText runs on\nhere. End.", ["Heading", "Text runs on here.", "End."], id="heading"),
        pytest.param("One\n\ntwo\n- three\n- four", ["One", "two", "three", "four"], id="paragraphs-and-bullets"),
        pytest.param("全く違う。そうです！はい", ["全く違う。", "そうです！", "はい"], id="japanese"),
        pytest.param(
            "all is small . nothing else , really .", ["all is small.", "nothing else, really."], id="no-capitals"
        ),
        pytest.param("(3) it ended. 12. next one.", ["it ended.", "next one."], id="numbering"),
        pytest.param("", [], id="empty"),
        pytest.param(" \n\t ", [], id="blank"),
    ],
)
def test_split_sentences_when(text: str, expected: list[str]) -> None:
    assert [sentence.text for sentence in split_sentences(text)] == expected


@given(TEXTS)
def test_sentences_lie_in_order_and_share_no_character(text: str) -> None:
    places = [(sentence.start, sentence.end) for sentence in split_sentences(text)]
    assert all(start < end for start, end in places)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(places))
    assert all(text[start:end] == text[start:end].strip() for start, end in places)


@given(TEXTS)
def test_nothing_but_marks_lies_outside_the_sentences(text: str) -> None:
    outside, end = "", 0
    for sentence in split_sentences(text):
        outside += text[end : sentence.start]
        end = sentence.end
    assert tidy(outside + text[end:]).strip("[0123456789 ,-–]()") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Cells grow fast.", True, id="sentence"),
        pytest.param("Do cells grow?", True, id="question"),
        pytest.param("Signs are:", False, id="opening-of-a-list"),
        pytest.param("cells grow. Not here", False, id="small-first-letter"),
        pytest.param("No full stop", False, id="heading"),
        pytest.param('He said "no.', False, id="open-quote"),
        pytest.param("A (b is.", False, id="open-bracket"),
        pytest.param("- An item.", False, id="item"),
    ],
)
def test_is_prose_when(text: str, expected: bool) -> None:
    assert split_sentences(text)[0].is_prose is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Gluten is a protein.", True, id="names-its-subject"),
        pytest.param("It is a protein.", False, id="pronoun"),
        pytest.param("However, gluten is one.", False, id="connective"),
        pytest.param("Many people with this condition sleep.", False, id="points-back"),
        pytest.param("For information on cells, see the next page.", False, id="refers-elsewhere"),
        pytest.param("Cells have organs of the kind that this text explains.", True, id="points-late"),
    ],
)
def test_is_standalone_when(text: str, expected: bool) -> None:
    assert Sentence(0, len(text), text, is_prose=True).is_standalone is expected


def test_cut_out_leaves_the_rest_with_one_space() -> None:
    text = "One is here. Two is there. Three is gone."
    assert [cut_out(text, sentence) for sentence in split_sentences(text)] == [
        "Two is there. Three is gone.",
        "One is here. Three is gone.",
        "One is here. Two is there.",
    ]


def test_cut_out_keeps_paragraphs_apart() -> None:
    text = "One is here. Two is there.\n\nThree is gone."
    assert cut_out(text, split_sentences(text)[1]) == "One is here.\n\nThree is gone."


def test_tidy_gives_one_clean_line() -> None:
    assert tidy("-  What\n is it [12, 13] ?") == "What is it?"
    assert tidy("Ends twice..") == "Ends twice."
    assert tidy("Goes on...") == "Goes on..."
