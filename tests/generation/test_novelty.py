from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic
import pytest

from datagen.backends.protocols import Float32
from datagen.generation.novelty.band_index import BandIndex, find_meeting, hash_bands
from datagen.generation.novelty.gate import Novelty
from datagen.generation.novelty.likeness import (
    WordWeights,
    could_be_like,
    is_one_edit,
    make_grams,
    measure_likeness,
    split_terms,
)
from datagen.generation.novelty.vector_index import VectorIndex
from datagen.settings.novelty import NoveltySettings

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
ACCEPTED = "What are the treatments for hereditary pancreatitis in young children?"

REPEATED = [
    pytest.param(ACCEPTED, id="same"),
    pytest.param("what are the treatments for hereditary pancreatitis, in young children", id="case-punctuation"),
    pytest.param("  What are the\ntreatments for hereditary “pancreatitis” in young children…", id="layout"),
]
NEARLY = [
    pytest.param("In young children, what are the treatments for hereditary pancreatitis?", id="order"),
    pytest.param("What are the treatments for hereditary pancraetitis in young children?", id="letters-swapped"),
    pytest.param("What are the treatments for hereditary pancretitis in young children?", id="letter-lost"),
    pytest.param("What is the treatment of hereditary pancreatitis in young children?", id="small-words-and-form"),
    pytest.param("Can you tell me the treatments for hereditary pancreatitis in young children?", id="phrase"),
    pytest.param("Waht are the treatments for hereditary pancreatitis in young children?", id="slip-in-small-word"),
]
DIFFERENT = [
    pytest.param(ACCEPTED, "What are the symptoms of hereditary pancreatitis in young children?", id="other-side"),
    pytest.param("What is spastic paraplegia type 8?", "What is spastic paraplegia type 7?", id="number"),
    pytest.param("Is hepatitis B inherited from parents?", "Is hepatitis C inherited from parents?", id="letter"),
    pytest.param("What is Usher syndrome type II?", "What is Usher syndrome type III?", id="roman"),
    pytest.param("When was the old treaty signed?", "Where was the old treaty signed?", id="question-word"),
    pytest.param("Is hypothyroidism inherited?", "Is hyperthyroidism inherited?", id="two-letters"),
    pytest.param("Who likes big wild lakes?", "Who likes big wild rakes?", id="first-letter-of-short-word"),
    pytest.param("Can I take it with alcohol?", "Can I take it without alcohol?", id="without"),
]


def _gate(*texts: str) -> Novelty:
    novelty = Novelty(NoveltySettings())
    for number, text in enumerate(texts):
        novelty.add(text, f"row{number}")
    return novelty


@pytest.mark.parametrize("text", REPEATED)
def test_repeated_text_is_a_duplicate_whatever_its_layout(text: str) -> None:
    near = _gate("How do plants grow?", ACCEPTED).check([text], ["new"])[0]
    assert near is not None
    assert (near.reason, near.of_key, near.of_text, near.similarity) == ("duplicate_query", "row1", ACCEPTED, 1.0)


@pytest.mark.parametrize("text", NEARLY)
def test_nearly_repeated_text_is_a_near_duplicate(text: str) -> None:
    near = _gate("How do plants grow?", ACCEPTED).check([text], ["new"])[0]
    assert near is not None
    assert (near.reason, near.of_text) == ("near_duplicate_query", ACCEPTED)
    assert NoveltySettings().likeness <= near.similarity <= 1


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_question_that_differs_in_what_it_asks_is_new(first: str, second: str) -> None:
    assert _gate(first).check([second], ["new"]) == [None]
    assert _gate(second).check([first], ["new"]) == [None]


def test_short_text_is_refused_only_when_it_is_repeated() -> None:
    novelty = _gate("asthma treatments", "pancreatitis")
    found = novelty.check(["asthma treatment", "Asthma treatments!", "pancreatitus", "PANCREATITIS"], list("abcd"))
    assert [near and near.reason for near in found] == [None, "duplicate_query", None, "duplicate_query"]


def test_text_of_a_group_is_compared_with_the_new_ones_before_it() -> None:
    other = "Where do polar bears sleep in winter?"
    found = _gate().check([ACCEPTED, other, ACCEPTED.lower(), "In winter, where do polar bears sleep?"], list("abcd"))
    assert [near and (near.reason, near.of_key) for near in found] == [
        None,
        None,
        ("duplicate_query", "a"),
        ("near_duplicate_query", "b"),
    ]


def test_check_takes_nothing_in() -> None:
    novelty = _gate()
    assert novelty.check([ACCEPTED], ["a"]) == [None]
    assert novelty.check([ACCEPTED], ["b"]) == [None]
    assert len(novelty) == 0
    assert novelty.check([], []) == []


def test_text_that_was_checked_first_is_the_same_as_one_that_was_not() -> None:
    checked, unchecked = _gate(), _gate()
    checked.check([ACCEPTED], ["other"])
    for novelty in (checked, unchecked):
        novelty.add(ACCEPTED, "kept")
    assert checked.check([ACCEPTED], [""]) == unchecked.check([ACCEPTED], [""])
    assert len(checked) == 1


def test_texts_of_an_earlier_run_are_known() -> None:
    novelty = _gate()
    novelty.load((f"How tall is the mountain called {name}?" for name in _names(3000)), key="earlier")
    assert len(novelty) == 3000
    near = novelty.check([f"how tall is the mountain called {_names(3000)[17]}"], ["new"])[0]
    assert near is not None
    assert (near.reason, near.of_key) == ("duplicate_query", "earlier")


def test_repeated_text_is_found_among_many_of_one_template() -> None:
    names = _names(6000)
    novelty = _gate(*(f"What are the treatments for {name}?" for name in names[:5000]))
    assert (
        novelty.check([f"What are the treatments for {name}?" for name in names[:5000:100]], [""] * 50).count(None) == 0
    )
    assert (
        novelty.check([f"What are the treatments for {name}?" for name in names[5000:5050]], [""] * 50) == [None] * 50
    )


def test_chinese_near_duplicate_is_found_without_spaces() -> None:
    novelty = _gate("高血压患者在冬季应该如何控制饮食和运动")
    found = novelty.check(["高血压患者在冬季应该怎样控制饮食和运动", "糖尿病患者在夏季如何选择水果和饮料"], ["a", "b"])
    assert [near and near.reason for near in found] == ["near_duplicate_query", None]


def test_covered_names_the_nearest_first_then_the_newest_of_the_key() -> None:
    novelty = _gate()
    for text, key in (
        ("Where do polar bears sleep in winter?", "bears"),
        ("What do polar bears eat in summer?", "bears"),
        ("How deep can polar bears dive?", "bears"),
        ("How are cheese wheels turned?", "cheese"),
    ):
        novelty.add(text, key)
    assert novelty.covered("bears", "In winter, where do polar bears sleep?", most=2) == [
        "Where do polar bears sleep in winter?",
        "How deep can polar bears dive?",
    ]
    assert novelty.covered("bears", most=9)[0] == "How deep can polar bears dive?"
    assert len(novelty.covered("bears", most=9)) == 3
    assert novelty.covered("cheese") == ["How are cheese wheels turned?"]
    assert novelty.covered("nobody") == []


def _encode_by_first_word(texts: Sequence[str]) -> Float32:
    """Texts that begin with the same word are near to each other; the vectors are of any length."""
    vectors = np.full((len(texts), 64), 0.01, dtype=np.float32)
    for row, text in zip(vectors, texts, strict=True):
        row[sum(text.split()[0].encode()) % 64] = 7.0
    return vectors


def test_near_duplicate_by_vectors_is_refused_when_a_teacher_is_given() -> None:
    novelty = Novelty(NoveltySettings(), _encode_by_first_word)
    novelty.load(["bears sleep long in winter", "bears"], key="earlier")
    texts = [
        "bears eat much salmon in spring",
        "cows give milk every morning",
        "cows stand on green hills",
        "bears rest",
    ]
    found = novelty.check(texts, list("abcd"))
    assert [near and (near.reason, near.of_key) for near in found] == [
        ("near_duplicate_query", "earlier"),
        None,
        ("near_duplicate_query", "b"),
        None,
    ]
    assert found[0] is not None
    assert found[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert _gate("bears sleep long in winter").check(texts, list("abcd")) == [None] * 4


def test_nearest_vector_is_found_beyond_the_first_block() -> None:
    vectors = np.random.default_rng(0).normal(size=(9000, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = VectorIndex()
    assert index.find(vectors[:1])[0].tolist() == [-1]
    for vector in vectors:
        index.add(vector)
    places = [0, 4000, 8191, 8192, 8999]
    numbers, cosines = index.find(vectors[places])
    assert numbers.tolist() == places
    assert cosines == pytest.approx(np.ones(5), abs=1e-2)


def test_bands_are_counted_as_by_comparing_all_with_all() -> None:
    draw = random.Random(3)
    grams = [[f"g{draw.randrange(5000)}" for _ in range(20)] for _ in range(1200)]
    grams += [[*found[: draw.randrange(8, 20)], "other"] for found in grams]
    hashes = np.stack([hash_bands(" ".join(found), found, 16, 4) for found in [*grams, *grams[:100]]])
    index = BandIndex()
    for row in hashes[:2400]:
        index.add(row)
    assert len(index) == 2400
    equal = (hashes[2400:, None, :] == hashes[None, :2400, :]).astype(int)
    equal[:, :, 0] *= hashes.shape[1]
    expected = [{int(n): int(counts[n]) for n in np.flatnonzero(counts)} for counts in equal.sum(axis=2)]
    assert [dict(found) for found in index.find(hashes[2400:])] == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("leukemia", "leukaemia", True, id="one-more"),
        pytest.param("form", "from", True, id="swapped"),
        pytest.param("grey", "gray", True, id="other"),
        pytest.param("abab", "baba", False, id="two-swaps"),
        pytest.param("hypo", "hyper", False, id="two-edits"),
        pytest.param("same", "same", False, id="none"),
    ],
)
def test_one_edit(first: str, second: str, expected: bool) -> None:
    assert is_one_edit(first, second) is expected
    assert is_one_edit(second, first) is expected


def test_word_that_many_texts_have_tells_little_when_shared_and_much_when_not() -> None:
    weights = WordWeights()
    fresh = weights.weight("treatments"), weights.cost("treatments")
    for number in range(500):
        weights.add(split_terms(f"What are the treatments for disease{number}?"))
    assert fresh == (1.0, 1.0)
    assert weights.weight("treatments") < 0.2
    assert weights.cost("treatments") > 1.8
    assert weights.count("treatments") == 500


def test_likeness_is_symmetric_and_one_for_the_same_words() -> None:
    weights = WordWeights()
    texts = [split_terms(text) for text in (ACCEPTED, "What treatments has pancraetitis?", "Who likes lakes?", "")]
    for first in texts:
        for second in texts:
            assert measure_likeness(first, second, weights) == pytest.approx(measure_likeness(second, first, weights))
    assert measure_likeness(texts[0], texts[0], weights) == 1.0
    assert measure_likeness(texts[0], texts[2], weights) == 0.0
    assert measure_likeness(texts[3], texts[3], weights) == 0.0


def test_grams_are_of_telling_words_and_of_all_where_there_are_none() -> None:
    assert sorted(make_grams(["what", "is", "asthma"])) == sorted([" as", "ast", "sth", "thm", "hma", "ma "])
    assert sorted(make_grams(["who", "is"])) == sorted([" wh", "who", "ho ", " is", "is "])
    assert make_grams([]) == []


@pytest.mark.parametrize("wrong", [{"likeness": 0}, {"bands": 1}, {"cosine": 1.1}, {"stop_repeats": 0.1}, {"x": 1}])
def test_wrong_setting_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(pydantic.ValidationError):
        NoveltySettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("name", "most_refused"),
    [("squadshifts-newwiki", 0.01), ("entailmentbank", 0.01), ("xquad-en", 0.01), ("medquad", 0.03)],
)
def test_different_questions_of_people_are_new_and_planted_near_duplicates_are_not(
    name: str, most_refused: float
) -> None:
    """Of medquad 2 % differ in a letter, a bracket or small words: about half of them ask the same."""
    texts = _read(name)[:4000]
    novelty = _gate()
    taken = _accept(novelty, texts)
    assert 1 - len(taken) / len(texts) <= most_refused
    draw = random.Random(5)
    plants = [_plant(text, draw) for text in draw.sample([text for text in taken if len(text.split()) > 4], 400)]
    assert sum(novelty.check([plant], [""]) != [None] for plant in plants) >= 0.95 * len(plants)


def _accept(novelty: Novelty, texts: Sequence[str]) -> list[str]:
    taken = []
    for start in range(0, len(texts), 64):
        group = texts[start : start + 64]
        for text, near in zip(group, novelty.check(group, group), strict=True):
            if near is None:
                novelty.add(text, text)
                taken.append(text)
    return taken


def _plant(text: str, draw: random.Random) -> str:
    words = text.split()
    kind = draw.randrange(4)
    if kind == 0:
        place = draw.randrange(1, len(words))
        return " ".join(words[place:] + words[:place])
    if kind == 1:
        return "Please tell me: " + text.lower()
    if kind == 2:
        return " ".join(word for word in words if word not in {"the", "a", "of"}) + "!"
    place = max(range(len(words)), key=lambda number: len(words[number]) * words[number].isalpha())
    word = words[place]
    return " ".join(
        [*words[:place], word[:2] + word[3] + word[2] + word[4:] if len(word) > 4 else word, *words[place + 1 :]]
    )


def _read(name: str) -> list[str]:
    path = DATA / name / "queries.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = list(dict.fromkeys(str(json.loads(line)["text"]) for line in lines))
    random.Random(1).shuffle(texts)
    return texts


def _names(number: int) -> list[str]:
    """Different made-up words that are no slips of each other."""
    draw = random.Random(2)
    syllables = [f"{consonant}{vowel}" for consonant in "bdfgklmnprst" for vowel in "aeiou"]
    return list(dict.fromkeys("".join(draw.choices(syllables, k=5)) for _ in range(2 * number)))[:number]


def test_likeness_is_never_above_its_bound() -> None:
    draw = random.Random(3)
    vocabulary = [*"what the of for not treatment treatments fever type 1 2 symptoms cause causes card kidney".split()]
    bags = [frozenset(draw.sample(vocabulary, draw.randint(1, 9))) for _ in range(300)]
    weights = WordWeights()
    for bag in bags[:100]:
        weights.add(bag)
    pairs = [(first, second) for first in bags[:150] for second in bags[150:]]
    assert all(measure_likeness(*pair, weights) <= could_be_like(*pair) + 1e-12 for pair in pairs)
    assert sum(could_be_like(*pair) < 0.7 for pair in pairs) > 1000


def test_rows_that_meet_are_those_that_share_a_hash() -> None:
    hashes = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 2], [9, 9, 10]], dtype=np.uint64)
    assert find_meeting(hashes).tolist() == [True, False, True, True]
