from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.generation.recipes.checks_copy import (
    are_alike,
    find_quote,
    is_copied,
    leaks_label,
    longest_copy,
    split_words,
)

PASSAGE = 'one  two\nthree "four" five–six'


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        pytest.param("ne  two", "ne  two", id="as-it-stands"),
        pytest.param("e two\nth", "e  two\nth", id="white-space"),
        pytest.param("six ", "six", id="space-at-the-end"),
        pytest.param("“four” five", '"four" five', id="quotation-marks"),
        pytest.param("five-six", "five–six", id="dash"),
        pytest.param('one two three "four" five-six', PASSAGE, id="all-of-it"),
        pytest.param("", None, id="empty"),
        pytest.param(" ", None, id="blank"),
        pytest.param("two four", None, id="words-left-out"),
        pytest.param("Two three", None, id="other-letter"),
        pytest.param("three 'four'", None, id="single-for-double-quotes"),
    ],
)
def test_find_quote_gives_the_piece_of_the_passage(quote: str, found: str | None) -> None:
    assert find_quote(quote, PASSAGE) == found


@given(st.text(st.sampled_from("ab \n\t’'"), min_size=1, max_size=30), st.data())
def test_find_quote_finds_every_piece_however_it_is_spaced(passage: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(passage) - 1))
    piece = passage[start : data.draw(st.integers(start + 1, len(passage)))]
    quote = " ".join(piece.replace("’", "'").split())
    found = find_quote(quote, passage)
    assert (found is None) == (not quote)
    if found is not None:
        assert found in passage
        assert " ".join(found.replace("’", "'").split()) == quote


@pytest.mark.parametrize(
    ("text", "passage", "expected"),
    [
        pytest.param("Two, three?", PASSAGE, (2, 1.0), id="case-and-marks"),
        pytest.param("ten two three ten", PASSAGE, (2, 0.5), id="inside"),
        pytest.param("two ten three", PASSAGE, (1, 1 / 3), id="apart"),
        pytest.param("wo thre", PASSAGE, (0, 0.0), id="halves-of-words"),
        pytest.param("five-six", PASSAGE, (1, 1.0), id="dash"),
        pytest.param("", PASSAGE, (0, 0.0), id="empty"),
        pytest.param("one", "", (0, 0.0), id="no-passage"),
        pytest.param("长江流入东海吗", "长江流入东海。", (3, 0.75), id="without-spaces"),
    ],
)
def test_longest_copy_counts_words(text: str, passage: str, expected: tuple[int, float]) -> None:
    assert longest_copy(text, passage) == expected


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_longest_copy_is_the_longest_common_run(first: list[str], second: list[str]) -> None:
    runs = {tuple(second[i:j]) for i in range(len(second)) for j in range(i + 1, len(second) + 1)}
    own = {tuple(first[i:j]) for i in range(len(first)) for j in range(i + 1, len(first) + 1)}
    assert longest_copy(" ".join(first), " ".join(second))[0] == max(map(len, runs & own), default=0)


def test_names_alone_are_no_copy_by_share() -> None:
    passage = "the Old Royal Naval College in Greenwich was opened"
    assert not is_copied("Old Royal Naval College Greenwich", passage, 0.5)
    assert is_copied("the Old Royal Naval College in Greenwich", passage, 0.5)


def test_words_of_scripts_without_spaces_are_their_letters() -> None:
    assert split_words("Die Straße nach 東京都") == ["die", "straße", "nach", "東", "京", "都"]


@pytest.mark.parametrize(
    ("text", "label", "leaks"),
    [
        pytest.param("a Refund, please", "refund", True, id="as-it-stands"),
        pytest.param("two refunds", "refund", True, id="plural"),
        pytest.param("one refund", "refunds", True, id="singular"),
        pytest.param("cancelled and cancelling", "cancel", True, id="verb"),
        pytest.param("we hear many stories", "story", True, id="plural-in-ies"),
        pytest.param("about card-payments here", "card payment", True, id="hyphen"),
        pytest.param("payment by card", "card payment", False, id="other-order"),
        pytest.param("the carpet", "car", False, id="longer-word"),
        pytest.param("a cardinal", "card", False, id="longer-word-with-the-stem"),
        pytest.param("2024", "202", False, id="number"),
        pytest.param("there is no reason", "no", False, id="function-word"),
        pytest.param("plan a", "a", False, id="single-letter"),
        pytest.param("anything", "", False, id="no-label"),
        pytest.param("zwei Erstattungen", "Erstattung", True, id="German"),
        pytest.param("这是体育新闻", "体育", True, id="Chinese"),
        pytest.param("这是新闻", "体育", False, id="not-in-Chinese"),
    ],
)
def test_label_leaks_in_any_inflection(text: str, label: str, leaks: bool) -> None:
    assert leaks_label(text, label) is leaks


@pytest.mark.parametrize(
    ("first", "second", "share", "alike"),
    [
        pytest.param("The river is long.", "the river IS long", 1.0, True, id="case-and-marks"),
        pytest.param("The river is long", "A river is long", 1.0, True, id="articles"),
        pytest.param("a b c d e f g h i j k", "b c d e f g h i j k x", 0.9, True, id="nine-tenths"),
        pytest.param("b c d e f g h i j k", "b c d e f g h i j x", 1.0, False, id="one-word-when-all-are-asked"),
        pytest.param("dogs chase cats", "cats chase dogs", 0.9, False, id="other-order"),
        pytest.param("", "", 0.9, True, id="both-empty"),
    ],
)
def test_texts_are_alike(first: str, second: str, share: float, alike: bool) -> None:
    assert are_alike(first, second, share) is alike
