from __future__ import annotations

import random

import pytest

from datagen.generation.words import WORD, WordStatistics, count_query_words, count_words, normalise, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Low-density lipoprotein (LDL)!", ["low-density", "lipoprotein", "ldl"], id="hyphen"),
        pytest.param("Parkinson's disease, 22q11.2", ["parkinson's", "disease", "22q11", "2"], id="apostrophe-digits"),
        pytest.param("un_derscore and/or -dash-", ["un", "derscore", "and", "or", "dash"], id="separators"),
        pytest.param("Ärzte “heilen” schnell…", ["ärzte", "heilen", "schnell"], id="german"),
        pytest.param("हिन्दी में लिखा।", ["हिन्दी", "में", "लिखा"], id="marks-stay-in-the-word"),
        pytest.param(" \n ", [], id="blank"),
    ],
)
def test_words_are_what_stands_between_spaces_and_marks(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("what is low-density lipoprotein?", 4, id="spaces"),
        pytest.param("高血压的治疗方法有哪些", 6, id="chinese"),
        pytest.param("COVID-19 の症状", 3, id="mixed"),
        pytest.param("", 0, id="empty"),
    ],
)
def test_words_of_a_query_are_counted_in_any_script(text: str, expected: int) -> None:
    assert count_query_words(text) == expected


def test_normalise_makes_case_marks_and_layout_equal() -> None:
    assert normalise("What is  LDL?\n") == normalise("what is ldl") == "what is ldl"


def test_rarity_falls_with_the_number_of_passages() -> None:
    statistics = count_words(["common rare", "common", "common", "common", "common"])
    assert statistics.rarity("never") > statistics.rarity("rare") > statistics.rarity("common") > 0


def test_count_words_counts_a_passage_once() -> None:
    statistics = count_words(["gene gene Gene", "cell"])
    assert (statistics.passages, statistics.counts["gene"], statistics.small["gene"]) == (2, 1, 1)


def test_is_name_follows_the_capitals_of_the_corpus() -> None:
    statistics = count_words(["Fabry disease", "Gluten", "in gluten", "of gluten", "Fabry again"])
    assert statistics.is_name("Fabry")
    assert not statistics.is_name("Gluten")
    assert statistics.is_name("Unseen")


def test_empty_words_hold_what_most_passages_have_once_there_are_enough() -> None:
    few, many = count_words(["disease liver"] * 40), count_words(["disease liver"] * 20 + ["disease heart"] * 40)
    assert "disease" not in few.empty_words
    assert {"disease", "heart", "the"} <= many.empty_words
    assert "stroke" not in many.empty_words


def test_specific_words_narrow_the_corpus_to_its_square_root() -> None:
    statistics = count_words([f"common word{number % 50} w" for number in range(400)] + ["rare"])
    assert statistics.specific_words(["common", "word3", "rare", "the", "w"]) == {"word3", "rare"}


def test_statistics_of_no_corpus_take_all_words_alike() -> None:
    statistics = WordStatistics()
    assert statistics.rarity("a") == statistics.rarity("zygote") > 0
    assert statistics.specific_words(["zygote"]) == {"zygote"}


def test_words_of_ascii_are_those_of_the_pattern_whatever_the_marks() -> None:
    draw = random.Random(1)
    letters = "aB9 '-_.,\t\n\x00\x1c\x7f@[{~"
    texts = ["".join(draw.choices(letters, k=draw.randint(0, 24))) for _ in range(5000)]
    assert [words(text) for text in texts] == [WORD.findall(text.lower()) for text in texts]
    assert sum(map(len, map(words, texts))) > 5000
