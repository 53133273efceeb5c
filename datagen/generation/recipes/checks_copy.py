"""What one text has from another: quotes, copied spans, leaked labels, texts that are nearly the same.

Used by the checks of a recipe. Words are compared in lower case without punctuation; in scripts without spaces each
letter stands for itself, and two of them count as one word.
"""

from __future__ import annotations

import itertools
import re
from difflib import SequenceMatcher
from functools import lru_cache

from datagen.generation.extractive.english import FUNCTION_WORDS
from datagen.generation.words import count_query_words, words

FEWEST_COPIED = 6
"""A shorter span says nothing by its share of a text: names and terms have no other words."""

_PLAIN = str.maketrans("‘’‚‛“”„‟«»‐‑‒–—―", '\'\'\'\'""""""------')
"""Marks that models write in another form than the passage; one for one, so that positions stay."""
_WORD = re.compile(r"\S+")
_MAYBE_UNSPACED = re.compile("[\u0e00-\u1dff\u3040-\U0002ffff]")
"""Letters beyond those that are written with spaces for certain."""
_ARTICLES = frozenset("a an the".split())
_ENDINGS = ("ies", "ing", "es", "ed", "e", "y")
"""What is taken off a word to get at what its forms have in common, the longest first; and a plural `s` before all."""
_FORMS = "s|es|ies|y|e|ed|ied|ing|ings|er|ers"
_SHORTEST_STEM = 4
_SHORTEST_WORD = 3


def find_quote(quote: str, passage: str) -> str | None:
    """The piece of the passage that is quoted, as it stands there; None when there is none.

    White space counts alike however much it is, and so do the forms of quotation marks, apostrophes and dashes.
    """
    if not quote.strip():
        return None
    return quote if quote in passage else _find_loosely(quote, passage)


def stands_in(text: str, passage: str) -> bool:
    """Whether a text stands in the passage word for word, whatever its case and the marks around its words."""
    return f" {' '.join(split_words(text))} " in _indexed_words(passage)[0]


def split_words(text: str) -> list[str]:
    """The words of a text in lower case; in scripts without spaces its letters."""
    if text.isascii():
        return words(text)
    found = words(text.replace("–", "-").replace("’", "'"))
    if _MAYBE_UNSPACED.search(text) is None:
        return found
    return [part for word in found for part in (word if _is_unspaced(word) else (word,))]


@lru_cache(maxsize=64)
def longest_copy(text: str, passage: str) -> tuple[int, float]:
    """The longest span of words that a text shares with a passage: its words, and their share of the text's words."""
    found, (joined, known) = split_words(text), _indexed_words(passage)
    start = length = run = 0
    for end, word in enumerate(found, start=1):
        # A span that ends here is at most one word longer than the longest before, and holds known words alone.
        run = run + 1 if word in known else 0
        if run > length and f" {' '.join(found[end - length - 1 : end])} " in joined:
            start, length = end - length - 1, length + 1
    copied = count_query_words(" ".join(found[start : start + length]))
    return copied, copied / max(1, count_query_words(" ".join(found)))


def is_copied(text: str, passage: str, most: float) -> bool:
    """Whether too much of a text is copied in one piece: more than `most` words, or, where it is below 1, that share.

    By share, `FEWEST_COPIED` words are needed.
    """
    copied, share = longest_copy(text, passage)
    return copied > most if most >= 1 else copied >= FEWEST_COPIED and share > most


def leaks_label(text: str, label: str) -> bool:
    """Whether the words of a label stand in a text one after the other, also inflected (`refund`, `refunds`).

    A label of function words or of single letters alone (`no`, `a`) never does: such words stand everywhere.
    """
    pattern = _label_pattern(label)
    return pattern is not None and pattern.search(text.casefold()) is not None


def are_alike(first: str, second: str, share: float) -> bool:
    """Whether two texts have at least a share of their words in common, in the same order; articles do not count."""
    left, right = ([word for word in split_words(text) if word not in _ARTICLES] for text in (first, second))
    if left == right:
        return True
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    # The first two are upper bounds that cost next to nothing.
    return all(ratio() >= share for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio))


@lru_cache(maxsize=64)
def _find_loosely(quote: str, passage: str) -> str | None:
    wanted, plain = _plain(quote), _plain_passage(passage)
    start = plain.find(wanted)
    if start < 0:
        return None
    word = plain.count(" ", 0, start)
    found = list(itertools.islice(_WORD.finditer(passage), word, word + wanted.count(" ") + 1))
    # Both ends count from where their word begins: only the spaces between words differ.
    first = start - (plain.rfind(" ", 0, start) + 1)
    last = len(wanted) - (wanted.rfind(" ") + 1) + (first if len(found) == 1 else 0)
    return passage[found[0].start() + first : found[-1].start() + last]


def _plain(text: str) -> str:
    return " ".join(text.translate(_PLAIN).split())


_plain_passage = lru_cache(maxsize=32)(_plain)


def _is_unspaced(word: str) -> bool:
    # Three times, so that a single letter counts as more than one word, too.
    return not word.isascii() and count_query_words(3 * word) > 1


@lru_cache(maxsize=32)
def _indexed_words(passage: str) -> tuple[str, frozenset[str]]:
    found = split_words(passage)
    return f" {' '.join(found)} ", frozenset(found)


@lru_cache(maxsize=256)
def _label_pattern(label: str) -> re.Pattern[str] | None:
    found = words(label)
    if not any(word not in FUNCTION_WORDS and (len(word) > 1 or not word.isascii()) for word in found):
        return None
    if any(map(_is_unspaced, found)):
        return re.compile(r"\W*".join(map(re.escape, found)))
    return re.compile(r"(?<!\w)" + r"[\W_]+".join(map(_inflected, found)) + r"(?!\w)")


def _inflected(word: str) -> str:
    """A pattern for the forms of a word: its stem with an ending; of a number or a very short word, itself alone."""
    if not word.isalpha() or len(word) < _SHORTEST_WORD:
        return re.escape(word)
    stem = word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > _SHORTEST_WORD else word
    ending = next((end for end in _ENDINGS if stem.endswith(end) and len(stem) - len(end) >= _SHORTEST_STEM), "")
    stem = stem.removesuffix(ending)
    # Behind a long stem other languages may end as they like; behind a short one `car` would be `card`.
    free = rf"|[^\W\d_]{{1,{min(3, len(stem) - 4)}}}" if len(stem) > _SHORTEST_STEM else ""
    return rf"{re.escape(stem)}(?:{stem[-1]}?(?:{_FORMS}){free})?(?:['’]s)?"
