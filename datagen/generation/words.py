"""What a word is, which words carry meaning, and how rare each is in a corpus.

Made for languages that put spaces between words; the list of function words is English, and a word that stands in
a large part of the corpus counts as one in any language.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from datagen.generation.extractive.english import FUNCTION_WORDS

_LETTER = r"[^\s\x00-\x2f:-@\[-`{-\xbf\xd7\xf7\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u3000-\u303f\uff00-\uff0f।॥،؛؟]"
WORD = re.compile(rf"{_LETTER}+(?:['’\-]{_LETTER}+)*")
"""One word: letters, digits and marks, with inner hyphens and apostrophes; `0.5` is two."""

_ASCII_GAPS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) in "'-")}
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese, which put no spaces between words."""
_LETTERS_A_WORD = 2

COMMON_SHARE = 0.3
"""A word that stands in a larger share of the passages counts as a function word."""
_ENOUGH_PASSAGES = 50


def words(text: str) -> list[str]:
    """The words of a text in lower case, in order."""
    lower = text.lower()
    if not lower.isascii():
        return WORD.findall(lower)
    # The same in a third of the time: most words of ASCII have neither hyphen nor apostrophe.
    found = lower.translate(_ASCII_GAPS).split()
    if "'" not in lower and "-" not in lower:
        return found
    return [part for word in found for part in ((word,) if word.isalnum() else WORD.findall(word))]


def normalise(text: str) -> str:
    """The words of a text joined by single spaces: equal for texts that differ in case, punctuation or layout."""
    return " ".join(words(text))


def count_query_words(text: str) -> int:
    """How many words a query has; in scripts without spaces two letters count as one word."""
    spaced, letters = _UNSPACED.subn(" ", text)
    return len(spaced.split()) + (letters + 1) // _LETTERS_A_WORD


@dataclass(frozen=True)
class WordStatistics:
    """In how many passages of a corpus each word stands; an empty one takes all words as equally rare."""

    passages: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    small: Counter[str] = field(default_factory=Counter)
    """In how many passages each word stands written small."""

    @cached_property
    def empty_words(self) -> frozenset[str]:
        """Words that do not say what a text is about: function words, and what stands in a large part of the corpus."""
        most = COMMON_SHARE * self.passages
        common = (word for word, count in self.counts.items() if count > most)
        return FUNCTION_WORDS.union(common if self.passages >= _ENOUGH_PASSAGES else ())

    def rarity(self, word: str) -> float:
        """Inverse document frequency, above 0, higher is rarer; once and twice seen are nearly alike."""
        return math.log(1 + (self.passages + 1) / (self.counts[word] + 3))

    def is_name(self, word: str) -> bool:
        """Whether the word is mostly written with capitals; a word never seen is taken for a name."""
        return 2 * self.small[word.lower()] < max(1, self.counts[word.lower()])

    @cached_property
    def common_words(self) -> frozenset[str]:
        """Words that do not narrow the corpus of n passages to about the square root of n."""
        few = max(3.0, math.sqrt(self.passages))
        return self.empty_words.union(word for word, count in self.counts.items() if count > few or len(word) == 1)

    def specific_words(self, found: Iterable[str]) -> set[str]:
        """Those words of a piece of text that few passages have."""
        return {*found} - self.common_words


def count_words(passages: Iterable[str]) -> WordStatistics:
    """The statistics of a corpus, read once; memory follows the number of different words."""
    counts: Counter[str] = Counter()
    small: Counter[str] = Counter()
    number = 0
    for text in passages:
        number += 1
        written = set(WORD.findall(text))
        counts.update({word.lower() for word in written})
        small.update(filter(str.islower, written))
    return WordStatistics(number, counts, small)
