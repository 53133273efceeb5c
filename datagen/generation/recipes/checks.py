"""What a recipe looks at once an answer has the right form: against the passage, its slots and its other fields."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Any, NamedTuple, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from datagen.generation.outcome import Source
from datagen.generation.recipes.checks_copy import are_alike, find_quote, is_copied, leaks_label, stands_in
from datagen.generation.recipes.checks_language import fits_passage, is_in_language
from datagen.generation.recipes.checks_refusal import is_refusal
from datagen.generation.recipes.checks_wording import depends_on_passage
from datagen.generation.recipes.language_names import find_language
from datagen.generation.recipes.slot_choices import Condition, as_text
from datagen.generation.words import count_query_words
from datagen.settings.base import Settings, Share

__all__ = ["OF_PASSAGE", "Check", "find_quote"]

OF_PASSAGE = "passage"
"""`language_of: passage`: the language of the passage, whatever the slots say."""
SAME = "same"
"""The value of a language slot that means the language of the passage."""

Values: TypeAlias = Mapping[str, Any]  # Any: JSON

_Count = Annotated[int, Field(ge=1)]
_Band = tuple[Annotated[int, Field(ge=0)] | None, Annotated[int, Field(ge=1)] | None]


class Check(Settings):
    """One rule for one field, and the word under which rows that break it are counted."""

    reason: str = Field(pattern=r"[a-z][a-z0-9_]*", description="the reason in `dropped`, such as copies_passage")
    field: str = Field(description="the output field that is looked at; of a list, each text")
    in_passage: bool = Field(default=False, description="it must be quoted from the passage")
    not_in_passage: bool = Field(default=False, description="it must not stand in the passage word for word")
    longest_copy: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="how much of it may be copied from the passage in one piece: words, or below 1 a share of it",
    )
    avoid: tuple[str, ...] = Field(default=(), description="words that it must not hold, in any case")
    min_words: _Count | None = None
    max_words: _Count | None = None
    length_band_of: str = Field(default="", description="the slot that says how long it must be, by way of `bands`")
    bands: dict[Annotated[str, BeforeValidator(as_text)], _Band] = Field(
        default={}, description="value of that slot to [fewest, most] words, null for no limit; no other value has one"
    )
    language_of: str = Field(
        default="", description="the slot that names its language (German, de, Romanized Hindi, same), or `passage`"
    )
    label_leak: str = Field(default="", description="a field whose text must not stand in it, not even inflected")
    passage_dependence: bool = Field(default=False, description="it must not speak of a passage, table or author")
    refusal: bool = Field(default=False, description="it must not be a refusal or a placeholder")
    unlike: str = Field(default="", description="a field that it must not be alike")
    most_alike: Share = Field(default=0.9, description="for `unlike`: the share of words in common that is too much")
    when: Condition = Field(default={}, description="looked at only where slots have one of these values")
    leave_out: bool = Field(default=False, description="the field is left out and the row kept, instead of dropped")
    complaint: str = Field(default="", description="what the model is told when it is asked again")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        rules = [rule for rule in _RULES if getattr(self, rule)]
        if len(rules) != 1:
            raise ValueError(f"a check needs one rule of {', '.join(_RULES)}")
        if bool(self.length_band_of) != bool(self.bands):
            raise ValueError(
                "`length_band_of` names a slot, `bands` what its values mean: a check needs both or neither"
            )
        if wrong := next(
            (list(band) for band in self.bands.values() if (band[0] or 0) > (band[1] or sys.maxsize)), None
        ):
            raise ValueError(f"a band goes from the fewest words to the most, not {wrong}")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The output fields that it names."""
        return tuple(filter(None, (self.field, self.label_leak, self.unlike)))

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots that it names, those of `when` aside."""
        return tuple(name for name in (self.length_band_of, self.language_of) if name not in ("", OF_PASSAGE))

    def applies(self, slots: Mapping[str, str]) -> bool:
        """Whether the slots of a row call for it; where a slot is not told, a condition on it does not hold."""
        return not self.when or all(slots.get(name) in allowed for name, allowed in self.when.items())

    def passes(self, value: object, source: Source, values: Values, slots: Mapping[str, str]) -> bool:
        """Whether a value keeps the rule; one that is absent does, and so does one that has nothing to be held against.

        Args:
            value: the text, or the list of texts.
            source: what the row is made of; its text is the passage.
            values: all fields of the answer.
            slots: of the row.
        """
        row, keeps = _Row(self, source, values, slots), self._rule.keeps
        return keeps(value, row) if isinstance(value, str) else all(keeps(text, row) for text in _texts(value))

    def explain(self) -> str:
        """What the model is told."""
        return self.complaint or f"`{self.field}`: {self._rule.demand.format(check=self)}"

    @cached_property
    def _rule(self) -> _Rule:
        return next(rule for name, rule in _RULES.items() if getattr(self, name))


class _Row(NamedTuple):
    check: Check
    source: Source
    values: Values
    slots: Mapping[str, str]


Keeps: TypeAlias = Callable[[str, _Row], bool]


class _Rule(NamedTuple):
    keeps: Keeps
    demand: str


def _texts(value: object) -> Iterator[str]:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            yield text


def _in_passage(text: str, row: _Row) -> bool:
    return find_quote(text, row.source.text) is not None


def _not_in_passage(text: str, row: _Row) -> bool:
    return not stands_in(text, row.source.text)


def _no_longer_copy(text: str, row: _Row) -> bool:
    return not is_copied(text, row.source.text, row.check.longest_copy or 1)


def _avoids(text: str, row: _Row) -> bool:
    return _avoided(row.check.avoid).search(text) is None


@lru_cache(maxsize=64)
def _avoided(listed: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(map(re.escape, listed))
    return re.compile(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])", re.IGNORECASE)


def _enough_words(text: str, row: _Row) -> bool:
    return (row.check.min_words or 0) <= len(text.split()) <= (row.check.max_words or len(text))


def _fits_band(text: str, row: _Row) -> bool:
    fewest, most = row.check.bands.get(row.slots.get(row.check.length_band_of, ""), (None, None))
    return (fewest or 0) <= count_query_words(text) <= (most or len(text))


def _right_language(text: str, row: _Row) -> bool:
    name = row.slots.get(row.check.language_of, "")
    if name == SAME or row.check.language_of == OF_PASSAGE:
        return fits_passage(text, row.source.text, row.source.language)
    language = find_language(name) if name else None
    return language is None or is_in_language(text, language)


def _leaks_nothing(text: str, row: _Row) -> bool:
    return not any(leaks_label(text, label) for label in _texts(row.values.get(row.check.label_leak)))


def _is_unlike(text: str, row: _Row) -> bool:
    others = _texts(row.values.get(row.check.unlike))
    return not any(are_alike(text, other, row.check.most_alike) for other in others)


_RULES: Mapping[str, _Rule] = {
    "in_passage": _Rule(_in_passage, "it must be copied from the passage, character for character"),
    "not_in_passage": _Rule(_not_in_passage, "it must not be copied from the passage: use other words"),
    "longest_copy": _Rule(_no_longer_copy, "it must not copy so much of the passage in one piece: use other words"),
    "avoid": _Rule(_avoids, "it must not speak of the passage or of a text that the reader cannot see"),
    "min_words": _Rule(_enough_words, "it must have at least {check.min_words} words"),
    "max_words": _Rule(_enough_words, "it must have at most {check.max_words} words"),
    "length_band_of": _Rule(_fits_band, "it must have as many words as the task says"),
    "language_of": _Rule(_right_language, "it must be written in the language that the task says"),
    "label_leak": _Rule(_leaks_nothing, "it must not hold the words of `{check.label_leak}`: write around them"),
    "passage_dependence": _Rule(
        lambda text, _: not depends_on_passage(text),
        "it must make sense to somebody who sees no passage, table or author: do not speak of one",
    ),
    "refusal": _Rule(lambda text, _: not is_refusal(text), "it must be the text that was asked for, not a refusal"),
    "unlike": _Rule(_is_unlike, "it must not say nearly the same words as `{check.unlike}`"),
}
