from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.generation.recipe_checks import Check, find_quote

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
    ("rule", "value", "passes"),
    [
        pytest.param({"in_passage": True}, "two three", True, id="quoted"),
        pytest.param({"in_passage": True}, "two four", False, id="not-quoted"),
        pytest.param({"in_passage": True}, ["one", "ten"], False, id="one-text-of-a-list"),
        pytest.param({"in_passage": True}, None, True, id="absent"),
        pytest.param({"not_in_passage": True}, "One two: THREE four?", False, id="copied-but-for-case-and-marks"),
        pytest.param({"not_in_passage": True}, "two thre", True, id="half-a-word"),
        pytest.param({"not_in_passage": True}, "ten", True, id="not-copied"),
        pytest.param({"avoid": ["this text"]}, "what is in This Text?", False, id="avoided"),
        pytest.param({"avoid": ["this text"]}, "this texture", True, id="part-of-a-word"),
        pytest.param({"avoid": ["这段文字"]}, "在这段文字中", False, id="avoided-without-spaces"),
        pytest.param({"min_words": 2}, "one", False, id="too-few"),
        pytest.param({"max_words": 2}, "one two", True, id="just-enough"),
        pytest.param({"max_words": 2}, "one two three", False, id="too-many"),
    ],
)
def test_check_passes(rule: dict[str, Any], value: object, passes: bool) -> None:  # Any: settings of a check
    check = Check(reason="wrong", field="query", **rule)
    assert check.passes(value, PASSAGE) is passes
    assert check.explain().startswith("`query`: it must")
