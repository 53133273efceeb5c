"""What a recipe looks at once an answer has the right form: against the passage, and for unwanted words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Self

from pydantic import Field, PrivateAttr, model_validator

from datagen.generation.broken_json import clean
from datagen.generation.recipe_slots import Condition
from datagen.settings import Settings

_RULES = ("in_passage", "not_in_passage", "avoid", "min_words", "max_words")
_PLAIN = str.maketrans("‘’‚‛“”„‟«»‐‑‒–—―", '\'\'\'\'""""""------')
"""Marks that models write in another form than the passage; one for one, so that positions stay."""
_EDGES = " \t\r\n.,;:!?\"'…。！？"
_WORD = re.compile(r"\S+")


class Check(Settings):
    """One rule for one field, and the word under which rows that break it are counted."""

    reason: str = Field(pattern=r"[a-z][a-z0-9_]*", description="the reason in `dropped`, such as copies_passage")
    field: str = Field(description="the output field that is looked at; of a list, each text")
    in_passage: bool = Field(default=False, description="it must be quoted from the passage")
    not_in_passage: bool = Field(default=False, description="it must not stand in the passage word for word")
    avoid: tuple[str, ...] = Field(default=(), description="words that it must not hold, in any case")
    min_words: Annotated[int, Field(ge=1)] | None = None
    max_words: Annotated[int, Field(ge=1)] | None = None
    when: Condition = Field(default={}, description="looked at only where slots have one of these values")
    leave_out: bool = Field(default=False, description="the field is left out and the row kept, instead of dropped")
    complaint: str = Field(default="", description="what the model is told when it is asked again")

    _avoided: re.Pattern[str] = PrivateAttr(re.compile(r"(?!)"))

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if sum(bool(getattr(self, rule)) for rule in _RULES) != 1:
            raise ValueError(f"a check needs one rule of {', '.join(_RULES)}")
        if self.avoid:
            words = "|".join(re.escape(word) for word in self.avoid)
            self._avoided = re.compile(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])", re.IGNORECASE)
        return self

    def applies(self, slots: Mapping[str, str]) -> bool:
        """Whether the slots of a row call for it; where a slot is not told, a condition on it does not hold."""
        return all(slots.get(name) in allowed for name, allowed in self.when.items())

    def passes(self, value: object, passage: str) -> bool:
        """Whether a value keeps the rule; one that is absent does."""
        texts = value if isinstance(value, list) else [value]
        return all(self._text_passes(text, passage) for text in texts if isinstance(text, str))

    def explain(self) -> str:
        """What the model is told."""
        rules = {
            "in_passage": "it must be copied from the passage, character for character",
            "not_in_passage": "it must not be copied from the passage: use other words",
            "avoid": "it must not speak of the passage or of a text that the reader cannot see",
            "min_words": f"it must have at least {self.min_words} words",
            "max_words": f"it must have at most {self.max_words} words",
        }
        return self.complaint or f"`{self.field}`: {next(rules[rule] for rule in _RULES if getattr(self, rule))}"

    def _text_passes(self, text: str, passage: str) -> bool:
        if self.in_passage:
            return find_quote(text, passage) is not None
        if self.not_in_passage:
            return f" {_squeezed(text)} " not in f" {_squeezed_passage(passage)} "
        if self.avoid:
            return self._avoided.search(text) is None
        return (self.min_words or 0) <= len(text.split()) <= (self.max_words or len(text))


def find_quote(quote: str, passage: str) -> str | None:
    """The piece of the passage that is quoted, as it stands there; None when there is none.

    White space counts alike however much it is, and so do the forms of quotation marks, apostrophes and dashes.
    """
    if not quote.strip():
        return None
    return quote if quote in passage else _find_loosely(quote, passage)


@lru_cache(maxsize=64)
def _find_loosely(quote: str, passage: str) -> str | None:
    wanted, plain = _plain(quote), _plain_passage(passage)
    start = plain.find(wanted)
    if start < 0:
        return None
    word = plain.count(" ", 0, start)
    words = list(itertools.islice(_WORD.finditer(passage), word, word + wanted.count(" ") + 1))
    # Both ends count from where their word begins: only the spaces between words differ.
    first = start - (plain.rfind(" ", 0, start) + 1)
    last = len(wanted) - (wanted.rfind(" ") + 1) + (first if len(words) == 1 else 0)
    return passage[words[0].start() + first : words[-1].start() + last]


def _plain(text: str) -> str:
    return " ".join(text.translate(_PLAIN).split())


_plain_passage = lru_cache(maxsize=32)(_plain)


def _squeezed(text: str) -> str:
    words = (word.strip(_EDGES) for word in clean(text).translate(_PLAIN).casefold().split())
    return " ".join(filter(None, words))


_squeezed_passage = lru_cache(maxsize=32)(_squeezed)
