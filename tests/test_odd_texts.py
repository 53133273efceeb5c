"""Texts that nobody wrote to be read, among real ones."""

from __future__ import annotations

import random
from collections.abc import Iterator

import polars as pl
import pytest

from datagen.odd_texts import LEAST_TEXTS, find_odd
from datagen.settings.input import InputConfig
from tests.support.inputs import load

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def natural() -> list[str]:
    """Passages of the packaged sample."""
    return load(InputConfig(corpus="packaged:medquad-sample")).corpus["text"].to_list()


def _gibberish(rng: random.Random) -> str:
    return " ".join("".join(rng.choices(LETTERS, k=rng.randint(3, 9))) for _ in range(30))


def _symbols(rng: random.Random) -> str:
    return "".join(rng.choices("{}[]()<>/|#@!$%^&*~`+=_-;:ab", k=150))


def _stuffed(rng: random.Random) -> str:
    return " ".join(rng.choices(["cheap", "pills", "online", "buy", "now"], k=60))


def _find(texts: list[str]) -> pl.Series:
    half = len(texts) // 2
    return find_odd(lambda: iter([pl.Series(texts[:half], dtype=pl.String), pl.Series(texts[half:], dtype=pl.String)]))


def test_natural_passages_are_not_odd(natural: list[str]) -> None:
    assert _find(natural).null_count() == len(natural)


@pytest.mark.parametrize(
    ("make", "why"),
    [(_gibberish, "gibberish: "), (_symbols, "symbols: "), (_stuffed, "stuffed: 5 different words in 60")],
)
def test_planted_text_is_found_with_why(natural: list[str], make: object, why: str) -> None:
    assert callable(make)
    planted = [make(random.Random(seed)) for seed in range(3)]
    told = _find([*natural, *planted])
    assert told[: len(natural)].null_count() == len(natural)
    assert [text is not None and text.startswith(why) for text in told[-3:]] == [True] * 3


def test_foreign_language_is_not_gibberish(natural: list[str]) -> None:
    german = "Der Ausschuss hat in seiner letzten Sitzung beschlossen, die Untersuchung bis zum Herbst zu verlängern."
    russian = "Комитет на своём последнем заседании решил продлить расследование до осени этого года включительно."
    assert _find([*natural, german, russian]).null_count() == len(natural) + 2


def test_corpus_that_is_all_like_that_is_left_alone(natural: list[str]) -> None:
    rng = random.Random(1)
    assert _find([*natural[:40], *(_stuffed(rng) for _ in range(20))]).null_count() == 60


def test_small_corpus_is_not_judged() -> None:
    rng = random.Random(1)
    texts = [_stuffed(rng) for _ in range(LEAST_TEXTS - 1)]
    assert _find(texts).null_count() == len(texts)


def test_empty_and_short_texts_are_not_odd(natural: list[str]) -> None:
    assert _find([*natural, "", "!!", "a a a"]).null_count() == len(natural) + 3


def test_texts_are_read_twice_and_no_more(natural: list[str]) -> None:
    reads: list[int] = []

    def slices() -> Iterator[pl.Series]:
        reads.append(1)
        return iter([pl.Series(natural)])

    find_odd(slices)
    assert len(reads) == 2
