"""A sentence cut once, at its first verb, into subject, verb and rest (English): what `questions.py` turns round."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from datagen.generation.extractive.english import (
    MONTHS,
    NO_TOPIC_FIRST,
    NO_TOPIC_INSIDE,
    NO_TOPIC_LAST,
    PAST_TENSES,
    VAGUE_NOUNS,
    WEAK_ENDINGS,
    one_of,
)
from datagen.generation.sentences import Sentence
from datagen.generation.words import WordStatistics

QUANTITY = (
    r"(?:(?:an estimated|about|approximately|around|roughly|nearly|almost|only|just|at least|at most|up to|over|"
    r"as many as|more than|fewer than|less than|between|another) )*"
)
_DIGITS = r"\d+(?:[.,]\d+)*"
_TENS = r"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-[a-z]+)?"
_FIGURE = (
    rf"(?:{_DIGITS}(?:(?: to |-|–| and ){_DIGITS})?|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|{_TENS})"
)
NUMBER = rf"(?:{_FIGURE}(?: (?:hundred|thousand|million|billion|dozen))*|a dozen|one|half)"
_MONTH = one_of(MONTHS)
DATE = (
    rf"(?:the )?(?:{_MONTH} (?:\d{{1,2}}, )?|\d{{1,2}} {_MONTH} |(?:early|mid|late)[ -])?(?:1[0-9]|20)\d\ds?"
    r"(?![\d,.]*\d)(?! ?(?:%|percent|people|[a-z]+s\b))"
)

VERBS = frozenset(
    (
        *("is", "are", "was", "were", "has", "have", "cause", "causes", "affect", "affects", "occur", "occurs", "cost"),
        *("costs", "weigh", "weighs", "last", "lasts", "take", "takes", "live", "develop", "can", "may", "will"),
        *("refer to", "refers to", "stand for", "stands for", "can cause", "may cause", *PAST_TENSES),
    )
)
"""Verbs that cut a sentence, one word or two."""
_BRACKET = re.compile(r"\s?[(\[][^()\[\]]*[)\]]")
_FRONTED_DATE = re.compile(rf"(?:In|On|Since) (?P<date>{DATE}), ")
_APPOSITION = re.compile(r", (?:also|sometimes|formerly|or|or more simply|which is) .*$")
_BORDER = re.compile(
    r"\s*[,;:–—(]\s|\s+--?\s|\s(?:which|who|but|although|because|while|whereas|since|so that|where|when|"
    r"and (?:is|are|may|can|was|were|\w+ed|\d[\d,.%]*))\s"
)
_DANGLING = re.compile(rf"\b{one_of(WEAK_ENDINGS)}$")
_NO_TOPIC = re.compile(
    rf"{NUMBER} |(?:the|an?) {one_of(VAGUE_NOUNS)}\b|\w+ing |.*(?:[,;:?\"“”]|\s[-–—]+(?:\s|$)|\bto be\b|\band \d)",
    re.IGNORECASE,
)
_TOPIC_WORDS = 8
_REST_WORDS = 16


@dataclass(frozen=True)
class Clause:
    """A sentence cut at its first verb, without brackets, closing punctuation and a date in front."""

    subject: str
    """As it stands at the head of the sentence."""
    verb: str
    rest: str
    date: str | None
    """The date that stood in front, such as `1957`."""
    statistics: WordStatistics

    @cached_property
    def topic(self) -> str | None:
        """The subject as it stands inside a question; None when it could not stand alone."""
        return as_topic(self.subject, self.statistics)


def cut_clause(sentence: Sentence, statistics: WordStatistics) -> Clause | None:
    """The clause of a sentence, or None when there is no verb that the rules know."""
    text = sentence.text
    plain = " ".join((_BRACKET.sub("", text) if "(" in text or "[" in text else text).split()).rstrip(".!?…\"'”’ ")
    dated = _FRONTED_DATE.match(plain)
    tokens = (plain[dated.end() :] if dated else plain).split(" ")
    for place in range(1, len(tokens) - 1):
        if tokens[place] in VERBS or " ".join(tokens[place : place + 2]) in VERBS:
            after = place + 2 if " ".join(tokens[place : place + 2]) in VERBS else place + 1
            subject, verb, rest = (" ".join(part) for part in (tokens[:place], tokens[place:after], tokens[after:]))
            return Clause(subject, verb, rest, dated["date"] if dated else None, statistics) if rest else None
    return None


def as_topic(phrase: str, statistics: WordStatistics) -> str | None:
    """A noun phrase as it stands inside a question, or None when it leans on other sentences or is no noun phrase."""
    phrase = _APPOSITION.sub("", phrase).strip(" ,")
    small = phrase.lower().split()
    if not 0 < len(small) <= _TOPIC_WORDS or _NO_TOPIC.match(phrase):
        return None
    if small[0] in NO_TOPIC_FIRST or small[-1] in NO_TOPIC_LAST or not NO_TOPIC_INSIDE.isdisjoint(small):
        return None
    first, space, others = phrase.partition(" ")
    is_plain = first[1:].islower() and not statistics.is_name(first)
    return f"{first.lower()}{space}{others}" if is_plain or first in ("A", "An", "The") else phrase


def cut_rest(rest: str) -> str:
    """The rest of a clause up to its first comma or subordinate clause."""
    return _BORDER.split(rest, maxsplit=1)[0].strip(" ,;:")


def short_rest(rest: str) -> str | None:
    """The rest of a clause when it is short and whole enough to stand in a question."""
    kept = cut_rest(rest)
    return kept if kept and len(kept.split()) <= _REST_WORDS and not _DANGLING.search(kept) else None
