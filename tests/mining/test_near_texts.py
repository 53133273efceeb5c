"""Signatures of texts: what they estimate, and that they are paid for once."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datagen.mining import near_texts
from datagen.mining.near_texts import hash_shingles, open_signatures, sign_texts
from datagen.progress import SilentProgress

WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]
TEXT = " ".join(random.Random(0).choices(WORDS, k=150))


def _agreement(first: str, second: str) -> float:
    signed = sign_texts(pl.Series([first, second]))
    return float((signed[0] == signed[1]).mean())


def _jaccard(first: str, second: str) -> float:
    sets = [set(zip(words, words[1:], words[2:], strict=False)) for words in (first.split(), second.split())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize("changed", [0, 2, 6, 15, 60])
def test_agreement_estimates_the_jaccard_index_of_three_word_shingles(changed: int) -> None:
    words = TEXT.split()
    for place in random.Random(1).sample(range(150), changed):
        words[place] = f"other{place}"
    assert _agreement(TEXT, " ".join(words)) == pytest.approx(_jaccard(TEXT, " ".join(words)), abs=0.1)


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        pytest.param("The Liver, it makes  bile.", "the liver it makes bile", True, id="normalised"),
        pytest.param("liver", "Liver!", True, id="one word"),
        pytest.param("the liver", "the kidney", False, id="two words"),
        pytest.param("ab c d", "a bc d", False, id="words end where they end"),
        pytest.param("猫は魚を食べる", "猫は魚を 食べる", True, id="no spaces"),
        pytest.param("?", "!", False, id="punctuation alone"),
    ],
)
def test_texts_are_compared_after_normalisation(first: str, second: str, equal: bool) -> None:
    assert (_agreement(first, second) == 1) == equal


def test_text_without_spaces_is_near_when_few_letters_differ() -> None:
    text = "国際連合は平和と安全を守るために各国が集まって話し合う場所として作られた組織である"
    assert _agreement(text, text.replace("話", "語")) > 0.6
    assert _agreement(text, text[::-1]) < 0.1


def test_shingles_of_a_text_do_not_depend_on_its_neighbours() -> None:
    texts = pl.Series([TEXT, "one", "one two", "", "one two three", "one two three four"])
    hashes, starts = hash_shingles(texts)
    assert np.diff(starts.astype(np.int64)).tolist() == [148, 1, 1, 1, 1, 2]
    for place, text in enumerate(texts):
        alone, _ = hash_shingles(pl.Series([text]))
        assert hashes[int(starts[place]) : int(starts[place + 1])].tolist() == alone.tolist()
    assert hashes[-2] == hashes[-3]


def test_signatures_are_computed_once_and_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series([f"{word} {TEXT}" for word in WORDS])
    opened = open_signatures(tmp_path, [texts[:7], texts[7:]], len(texts), SilentProgress())
    first = opened.take(np.arange(len(texts)))
    assert np.array_equal(first, sign_texts(texts))

    def refuse(_: pl.Series) -> None:
        raise AssertionError

    monkeypatch.setattr(near_texts, "sign_texts", refuse)
    again = open_signatures(tmp_path, [texts[::-1]], len(texts), SilentProgress())
    assert np.array_equal(again.take(np.arange(len(texts))), first[::-1])


def test_small_parts_give_the_same_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series([f"{word} {TEXT}" for word in WORDS])
    monkeypatch.setattr(near_texts, "_PART_LETTERS", 2500)
    found = open_signatures(tmp_path, [texts], len(texts), SilentProgress())
    assert np.array_equal(found.take(np.arange(len(texts))), sign_texts(texts))
