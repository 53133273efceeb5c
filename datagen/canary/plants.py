"""Passages made out of known positives: first the kinds that still answer the query, then one that does not any more.

Strings in, strings out; `planting` chooses what is made for whom.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from datagen.generation.extractive.clauses import DATE
from datagen.generation.extractive.english import FUNCTION_WORDS
from datagen.generation.sentences import Sentence, split_sentences

ALTERED = "altered"
"""The kind that no longer answers: names and numbers next to the answer are those of another passage."""
PARAPHRASED = "paraphrased"
"""The kind that a language model writes."""


@dataclass(frozen=True)
class Known:
    """A query, its known positive, and the text of a passage about something else."""

    query: str
    title: str | None
    text: str
    elsewhere: str


@dataclass(frozen=True)
class Plant:
    """A passage to be added to the corpus."""

    title: str | None
    text: str


Edit = Callable[[Known, random.Random], Plant | None]
"""A plant made out of a known positive; None where it has not what the edit needs."""


def words_of(text: str) -> frozenset[str]:
    """The words of a text that say what it is about, in lower case."""
    return frozenset(re.findall(r"\w+", text.lower())) - FUNCTION_WORDS


def _change_form(known: Known, rng: random.Random) -> Plant | None:
    """Another case, other white space, no punctuation inside."""
    text = known.text.upper() if rng.random() < 0.5 else known.text.lower()
    return Plant(known.title, re.sub(r"[,;:]", "", text).replace(" ", "  ") + "\n")


def _change_title(known: Known, rng: random.Random) -> Plant | None:
    """Without its title, or with its first words as one."""
    if known.title:
        return Plant(None, known.text)
    words = known.text.split()
    return Plant(" ".join(words[: rng.randint(3, 6)]).strip(" .,;:"), known.text) if len(words) > 12 else None


def _edit_words(known: Known, rng: random.Random) -> Plant | None:
    """One word in twelve left out, doubled or misspelt, none of them a number or a word of the query."""
    kept = words_of(known.query)
    words = [_slip(word, rng) if rng.random() < 1 / 12 and _may_change(word, kept) else word for word in _split(known)]
    edited = "".join(words)
    return None if edited.split() == known.text.split() else Plant(known.title, edited)


def _reorder(known: Known, rng: random.Random) -> Plant | None:
    """The sentences in another order."""
    sentences = _sentences(known.text)
    if len(sentences) < 3:
        return None
    turn = rng.randint(1, len(sentences) - 1)
    return Plant(known.title, " ".join(sentences[turn:] + sentences[:turn][::-1]))


def _shorten(known: Known, rng: random.Random) -> Plant | None:
    """Without the sentence that has least to do with the query."""
    sentences = _sentences(known.text)
    if len(sentences) < 3:
        return None
    query = words_of(known.query)
    least = min(range(len(sentences)), key=lambda at: (len(words_of(sentences[at]) & query), -at))
    return Plant(known.title, " ".join(sentences[:least] + sentences[least + 1 :]))


def _extend(known: Known, rng: random.Random) -> Plant | None:
    """Between two sentences of another passage."""
    others = _sentences(known.elsewhere)
    before, after = rng.choice(others), rng.choice(others)
    return Plant(known.title, f"{before} {known.text} {after}")


def _reword(known: Known, rng: random.Random) -> Plant | None:
    """With set phrases, brackets, contractions and dates in front put in another way; the facts stay."""
    text = known.text
    for pattern, instead in _REWORDINGS:
        text = pattern.sub(instead, text)
    return None if text == known.text else Plant(known.title, text)


def _rewrite(known: Known, rng: random.Random) -> Plant | None:
    """All of it at once: reordered, reworded, edited, shortened, and with a sentence from elsewhere."""
    plant: Plant | None = None
    for edit in (_shorten, _reword, _reorder, _edit_words):
        plant = edit(known, rng) or plant
        known = replace(known, text=plant.text) if plant else known
    return plant and Plant(None, f"{plant.text} {rng.choice(_sentences(known.elsewhere))}")


def _alter(known: Known, rng: random.Random) -> Plant | None:
    """Names and numbers of the two sentences nearest to the query, but for those that it names, are another's."""
    sentences = split_sentences(known.text)
    query = words_of(known.query)
    nearest = sorted(sentences, key=lambda sentence: -len(words_of(sentence.text) & query))[:2]
    text = known.text
    for kind in (_NUMBER, _NAME):
        stock = kind.findall(known.elsewhere)
        found = {word for sentence in nearest for word in kind.findall(_inside(known.text, sentence))}
        for word in sorted(found) if stock else ():
            if not words_of(word) & query:
                text = re.sub(rf"\b{re.escape(word)}\b", rng.choice(stock), text)
    return None if text == known.text else Plant(known.title, text)


STILL_ANSWERS: Mapping[str, Edit] = {
    "form": _change_form,
    "title": _change_title,
    "small_edits": _edit_words,
    "reordered": _reorder,
    "shortened": _shorten,
    "extended": _extend,
    "reworded": _reword,
    "rewritten": _rewrite,
}
"""Kinds of plants that say what the positive says, and so are false negatives wherever they are mined."""

EDITS: Mapping[str, Edit] = {**STILL_ANSWERS, ALTERED: _alter}

KIND_MEANINGS: Mapping[str, str] = {kind: (edit.__doc__ or "").rstrip(".") for kind, edit in EDITS.items()} | {
    PARAPHRASED: "Said once more by a language model"
}

_NUMBER = re.compile(r"\b\d[\d.,]*\b")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]+)*")


def _rules(rules: Sequence[tuple[str, str]]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), instead) for pattern, instead in rules)


_REWORDINGS = _rules([
    (rf"(?<![\w,] )\b(?:In|On|Since) ({DATE}), ([^.]+)\.(?=\s|$)", r"\2; that was in \1."),
    (r" \(([^()]{3,60})\)", r", that is \1,"),
    (r"\bsuch as\b", "for example"),
    (r"\bfor example\b,?", "for instance"),
    (r"\b(is|are|was|were|does|do|did|has|have) not\b", r"\1n't"),
    (r"\bcannot\b", "can not"),
    (r"\bin order to\b", "to"),
    (r"\bas well as\b", "and also"),
    (r"\b[Hh]owever, ", "But "),
    (r"\b[Tt]herefore,? ", "so "),
    (r"\bdue to\b", "because of"),
    (r"\bapproximately\b", "about"),
    (r"(\d) ?%", r"\1 percent"),
    (r"(\d) percent\b", r"\1 per cent"),
    (r"\bmay be\b", "can sometimes be"),
    (r", which (is|are|was|were) ", r" and \1 "),
    (r"\ba number of\b", "several"),
    (r"\bin addition to\b", "besides"),
    (r"\b(\w+), (\w+),? and (\w+)\b", r"\3, \1 and \2"),
])  # fmt: skip


def _sentences(text: str) -> list[str]:
    return [_inside(text, sentence) for sentence in split_sentences(text)] or [text]


def _inside(text: str, sentence: Sentence) -> str:
    return text[sentence.start : sentence.end]


def _split(known: Known) -> list[str]:
    return re.split(r"(\s+)", known.text)


def _may_change(word: str, kept: frozenset[str]) -> bool:
    return word[:1].isalpha() and not any(letter.isdigit() for letter in word) and not words_of(word) & kept


def _slip(word: str, rng: random.Random) -> str:
    if word.lower() in FUNCTION_WORDS:
        return rng.choice(("", f"{word} {word}"))
    at = rng.randrange(len(word))
    return word[:at] + word[at + 1 :] if len(word) > 4 else word
