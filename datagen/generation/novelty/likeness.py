"""How much two short texts say the same, told by their words: the second, exact look at what MinHash has found.

Words weigh by how much they tell. Function words hardly count, words that many accepted texts have count less and less
(templates such as "What are the treatments for …"), numbers and single letters count double: type 1 is not type 2.
The order of words and small slips do not count.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from datagen.generation.extractive.english import FUNCTION_WORDS
from datagen.generation.words import words

_TELLING = frozenset(
    "above after before below cannot except how least less more most never no nor not until when where who whom whose "
    "why without".split()
)
"""Function words on which the meaning of a question hangs."""
_EMPTY = FUNCTION_WORDS.union(
    "don't doesn't didn't isn't aren't i'm i've i'd it's that's what's want wondering know please help tell explain "
    "describe question".split()
)
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_MARK = re.compile(r".*\d.*|.|[ivx]{2,4}")
_ENDINGS = ("s", "es", "d", "ed", "ing", "'s", "’s")

EMPTY_WEIGHT = 0.1
EMPTY_COST = 0.05
TELLING_WEIGHT = 0.5
TELLING_COST = 1.5
MARK_COST = 2.0
LETTERS_COST = 0.6
"""Of a pair of letters in a script without spaces: every letter stands in two."""
SLIP_SHARE = 0.9
"""What a word with a slip counts, of one that is the same."""
_PRIOR_TEXTS = 50
"""Texts assumed before the first, so that the first few say little about which words are common."""
_SHORTEST_SLIP = 3
_LONGEST_ENDING = 3
_LONGEST_WORD_MARK = 6
_MOST_APART = 8
"""Texts with more words apart are no slip of each other."""
_LONG_WORD = 8
"""Shorter words that begin with different letters are different words."""


class WordWeights:
    """How much each word tells, learned from the texts accepted so far."""

    def __init__(self) -> None:
        """Know nothing: all words but function words, numbers and single letters weigh the same."""
        self._texts = 0
        self._scale = math.log(_PRIOR_TEXTS)
        self._counts: Counter[str] = Counter()

    def add(self, terms: Iterable[str]) -> None:
        """Count the terms of an accepted text, each once."""
        self._texts += 1
        self._scale = math.log(self._texts + _PRIOR_TEXTS)
        self._counts.update(terms)

    def count(self, term: str) -> int:
        """In how many accepted texts the term stands."""
        return self._counts[term]

    def weight(self, term: str) -> float:
        """What it says that two texts share the term, 0.1 to 1: little where many texts have it."""
        if term in _EMPTY:
            return TELLING_WEIGHT if term in _TELLING else EMPTY_WEIGHT
        return max(EMPTY_WEIGHT, 1 - math.log(self._counts[term] + 1) / self._scale)

    def cost(self, term: str) -> float:
        """What it says that only one of two texts has the term, 0.1 to 2: much where many texts have it.

        Such a word tells what is asked about a thing: its treatments or its symptoms.
        """
        if term in _EMPTY:
            return TELLING_COST if term in _TELLING else EMPTY_COST
        if _is_mark(term):
            return MARK_COST
        return (2 - self.weight(term)) * (1 if term.isascii() or not _UNSPACED.match(term) else LETTERS_COST)


def split_terms(text: str) -> frozenset[str]:
    """The different words of a text in lower case; of scripts without spaces every two neighbouring letters."""
    found = words(text)
    if text.isascii() or not _UNSPACED.search(text):
        return frozenset(found)
    return frozenset(term for word in found for term in _split_word(word))


def make_grams(terms: Iterable[str]) -> list[str]:
    """What MinHash compares: every three letters of the words that are no function words, of all where none is left."""
    telling = [term for term in terms if term not in _EMPTY] or list(terms)
    framed = [f" {term} " for term in telling]
    return [term[start : start + 3] for term in framed for start in range(len(term) - 2)]


def measure_likeness(first: frozenset[str], second: frozenset[str], weights: WordWeights) -> float:
    """The share of weighted words that two texts have in common, 0 to 1; slips of one letter count nearly full."""
    shared = math.fsum(map(weights.weight, first & second))  # the order of a set must not decide
    left, right = first - second, second - first
    apart = math.fsum(map(weights.cost, left ^ right))
    mostly_shared = _are_mostly_shared(first, second)
    if left and right and mostly_shared and max(len(left), len(right)) <= _MOST_APART:
        for term, other in _pair_slips(left, right, weights):
            shared += SLIP_SHARE * max(weights.weight(term), weights.weight(other))
            apart -= SLIP_SHARE * (weights.cost(term) + weights.cost(other))
    return shared / (shared + apart) if shared else 0.0


def could_be_like(first: frozenset[str], second: frozenset[str]) -> float:
    """An upper bound of `measure_likeness`, for a fraction of its time: 1 wherever slips might make words alike."""
    if _are_mostly_shared(first, second):
        return 1.0
    shared, apart = first & second, first ^ second
    most = len(shared - _EMPTY) + TELLING_WEIGHT * len(shared & _EMPTY)
    return most / (most + LETTERS_COST * len(apart - _EMPTY)) if most else 0.0


def is_one_edit(first: str, second: str) -> bool:
    """Whether one letter more, less or other, or two swapped, make one word of the other."""
    if abs(len(first) - len(second)) > 1 or first == second:
        return False
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    end = 0
    while end < min(len(first), len(second)) - start and first[-1 - end] == second[-1 - end]:
        end += 1
    left, right = first[start : len(first) - end], second[start : len(second) - end]
    return max(len(left), len(right)) <= 1 or (len(left) == 2 and left == right[::-1])


def _are_mostly_shared(first: frozenset[str], second: frozenset[str]) -> bool:
    """Then what is apart may be slips: a text has them in some words, not in most."""
    return 2 * len(first & second) >= min(len(first), len(second))


def _pair_slips(left: frozenset[str], right: frozenset[str], weights: WordWeights) -> list[tuple[str, str]]:
    """Words of two texts that are one word but for a slip, each word in one pair at most."""
    pairs = []
    free = sorted(right)
    for term in sorted(left):
        long = len(term) >= _LONG_WORD
        for other in free:
            # Asked here first: most pairs end here, and there are very many.
            if (other[0] == term[0] or (long and len(other) >= _LONG_WORD)) and _is_slip(term, other, weights):
                pairs.append((term, other))
                free.remove(other)
                break
    return pairs


def _is_slip(first: str, second: str, weights: WordWeights) -> bool:
    """Two forms of one word, or a slip: one of the two is then a word hardly seen before.

    Both begin with the same letter, or are long.
    """
    lengths = len(first), len(second)
    if min(lengths) < _SHORTEST_SLIP or max(lengths) - min(lengths) > _LONGEST_ENDING:
        return False
    if _is_mark(first) or _is_mark(second):
        return False
    short, long = sorted((first, second), key=len)
    if long.startswith(short) and long[len(short) :] in _ENDINGS:
        return True
    return min(weights.count(first), weights.count(second)) <= 1 and is_one_edit(first, second)


@lru_cache(maxsize=1 << 16)
def _is_mark(term: str) -> bool:
    if len(term) > _LONGEST_WORD_MARK and term.isalpha():
        return False
    return bool(_MARK.fullmatch(term)) and not _UNSPACED.match(term)


def _split_word(word: str) -> list[str]:
    if not _UNSPACED.search(word) or len(word) <= 2:
        return [word]
    return [word[start : start + 2] for start in range(len(word) - 1)]
