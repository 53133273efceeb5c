"""A planned row and what became of it: the one thing that passes from the writers of queries to the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from datagen.generation.extractive.parsing import Written
from datagen.generation.words import normalise

NOT_ASKED = "not_asked"
"""The reason of a row that a limit of the run has kept from being asked: it is not dropped, only not done."""

CHOOSE, JUDGE, JUDGE_NEGATIVE = "choose", "judge", "judge_negative"
"""What a row may ask beside the question that writes it, and the sub-folders of recipes that ask it."""


@dataclass(frozen=True)
class Source:
    """What a row is made of: a passage, a known pair, a task, or nothing but a number."""

    doc_id: str
    title: str | None
    text: str
    language: str | None
    extra: Mapping[str, str] = field(default_factory=dict)
    """As far as they exist: query, query_id, task, group, topic, linked_id, linked_text, other_text."""

    @cached_property
    def plain_text(self) -> str:
        """The text without title, normalised."""
        return normalise(self.text)


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row to be written."""

    row_id: str
    source: Source
    number: int
    """Counts the rows of one source, from 0."""
    offered: tuple[str, ...] = ()
    """Values of a slot that suit the source best, to choose among; none: they are drawn."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a row asked beside the question that writes it, and what came of it."""

    step: str
    generator: str
    asks: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    said: Mapping[str, object]
    """The slots chosen, or the verdict with its reason; empty when no answer could be used."""
    reason: str
    """Why nothing was chosen, or what the judge has against the row or its negative; else empty."""

    @property
    def is_judge(self) -> bool:
        """Whether it was the judge that was asked."""
        return self.step in (JUDGE, JUDGE_NEGATIVE)


@dataclass(frozen=True, slots=True)
class Lineage:
    """How a language model came to its answer."""

    prompt: str
    """The first question that writes the row, all messages of it."""
    rung: str | None
    """The rung of the parse ladder on which the answer was read; None when it never was."""
    asks: int
    """Questions that write the row."""
    prompt_tokens: int
    """Of all that the row asked, its steps too; likewise the others."""
    completion_tokens: int
    cost: float | None
    """In the currency of the prices; None when a model's price is not known."""
    left_out: tuple[str, ...] = ()
    """Why optional fields of the answer were not taken."""
    answer: Mapping[str, object] | None = None
    """All fields of the answer that was read last, those without a role too."""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row: what was asked for, and what was written or why nothing was."""

    row: PlannedRow
    kind: str
    """The kind of query, counted in the report."""
    slots: Mapping[str, object]
    written: Written | None = None
    reason: str = ""
    """Why nothing was written; empty otherwise."""
    tried: Mapping[str, str] = field(default_factory=dict)
    """What failed before, and why: kinds of query (extractive), or asks."""
    lineage: Lineage | None = None
    generator: str = ""
    positives: tuple[str, ...] = ()
    """Passages that were there before and answer what was written."""
    derived: bool = False
    """The written passage is the source in another form: the source becomes its parent, and neither is ever a negative
    where the other is a positive."""
    languages: tuple[str | None, str | None] = (None, None)
    """Of the query, and of what else was written."""
    query_id: str = ""
    """The query that was there before and gets what was written; empty when the row writes its own."""

    @property
    def row_id(self) -> str:
        """The id of the row, and of the query that it writes."""
        return self.row.row_id

    @property
    def source(self) -> Source:
        """What the row is made of."""
        return self.row.source

    @property
    def plain_positive(self) -> str:
        """Title and text of the passage that answers the query, normalised."""
        if self.written and self.written.passage and not (self.derived or self.positives):
            return normalise(self.written.passage)
        text = normalise(self.written.passage) if self.written and self.written.passage else self.source.plain_text
        return f"{normalise(self.source.title or '')} {text}"
