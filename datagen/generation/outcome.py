"""A planned row and what became of it: the one thing that passes from the writers of queries to the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from datagen.generation.parsing import Written
from datagen.generation.words import normalise

NOT_ASKED = "not_asked"
"""The reason of a row that a limit of the run has kept from being asked: it is not dropped, only not done."""


@dataclass(frozen=True)
class Source:
    """A passage to write queries for."""

    doc_id: str
    title: str | None
    text: str
    language: str | None

    @cached_property
    def plain_text(self) -> str:
        """The text without title, normalised."""
        return normalise(self.text)


@dataclass(frozen=True, slots=True)
class Lineage:
    """How a language model came to its answer."""

    prompt: str
    """The first question, all messages of it."""
    rung: str | None
    """The rung of the parse ladder on which the answer was read; None when it never was."""
    asks: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """In the currency of the prices; None when the model's price is not known."""
    left_out: tuple[str, ...] = ()
    """Why optional fields of the answer were not taken."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row: what was asked for, and what was written or why nothing was."""

    row_id: str
    source: Source
    kind: str
    """The kind of query, counted in the report."""
    slots: Mapping[str, object]
    written: Written | None = None
    reason: str = ""
    """Why nothing was written; empty otherwise."""
    tried: Mapping[str, str] = field(default_factory=dict)
    """What failed before, and why: kinds of query (extractive), or asks."""
    lineage: Lineage | None = None

    @property
    def plain_positive(self) -> str:
        """Title and text of the passage that answers the query, normalised."""
        shortened = self.written.passage if self.written else None
        text = normalise(shortened) if shortened else self.source.plain_text
        return f"{normalise(self.source.title or '')} {text}"
