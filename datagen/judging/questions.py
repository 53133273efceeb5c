"""A question to a judge of relevance: how it is put, and what an answer to it says of each candidate.

Texts of users and models are fenced, so that none can pass for a part of the question. An answer counts only when it
is whole: a grade for each candidate, a quotation that stands in the passage, or a clear `none`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from string import ascii_uppercase
from typing import TypeAlias

import polars as pl

from datagen.backends.protocols import LLMReply, LLMRequest, Sampling
from datagen.generation.conversation import Turn
from datagen.generation.reading.broken_json import clean
from datagen.generation.recipes.answer_schema import OutputField
from datagen.generation.recipes.asides import Aside, load_aside
from datagen.generation.recipes.checks import find_quote
from datagen.generation.recipes.load import shipped_prompts
from datagen.generation.recipes.templates import fenced
from datagen.generation.slots import digest, shuffled
from datagen.generation.steps import read_aside
from datagen.settings.judge import JudgeConfig, JudgeMode

RELEVANCE = "relevance"
"""The folder of the prompts, and the name of such questions in the journal."""
OK = "ok"
SPAN_NOT_FOUND = "span_not_found"
"""The judge quotes what does not stand in the passage."""
TOP_GRADE = 3
N_GRADES = TOP_GRADE + 1

_ANSWER, _NONE = "answer", "none"
_GRADE = OutputField(type="integer", minimum=0, maximum=TOP_GRADE, description="how relevant the passage is, 0 to 3")
_OUTPUTS: dict[JudgeMode, dict[str, OutputField]] = {
    "grade": {
        "reason": OutputField(required=False, description="in one sentence, why", max_characters=2000),
        "grade": _GRADE,
    },
    "span": {
        "verdict": OutputField(description="whether the passage answers the query", choices=(_ANSWER, _NONE)),
        "span": OutputField(required=False, description="the piece that answers, copied", max_characters=4000),
    },
    "list": {},
}
_VARIABLES: dict[JudgeMode, tuple[str, ...]] = {
    "grade": ("query", "instruction", "passage"),
    "span": ("query", "instruction", "passage"),
    "list": ("query", "instruction", "passages", "labels"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """Some candidates of one query: several in the mode `list`, else one."""

    query_id: str
    query: str
    instruction: str
    doc_ids: tuple[str, ...]
    passages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a judge says of one candidate."""

    status: str
    """`ok`, or why there is no valid answer."""
    grade: int | None = None
    """0 to 3; in the mode `span` 3 for a quotation that was found, 0 for none. None without a valid answer."""
    span: str | None = None
    """The piece of the passage that was quoted, as it stands there."""
    words: str | None = None
    """The judge's reason."""


_Read: TypeAlias = Callable[[LLMRequest, LLMReply], Turn]


@dataclass(frozen=True)
class Questioner:
    """Puts the questions of one mode."""

    config: JudgeConfig
    seed: int

    @cached_property
    def aside(self) -> Aside:
        """The templates and the fields of an answer.

        Raises:
            ConfigError: the templates cannot be used.
        """
        mode = self.config.mode
        homes = [home / RELEVANCE for home in (self.config.prompts, shipped_prompts()) if home is not None]
        return load_aside(mode, homes, _VARIABLES[mode], _OUTPUTS[mode])

    def request(self, question: Question) -> LLMRequest:
        """The question as it is sent: a function of the run's seed and the texts alone."""
        return LLMRequest(
            f"{question.query_id}/{'+'.join(question.doc_ids)}/{RELEVANCE}",
            {},
            self._aside_of(question).render(self._values(question)),
            Sampling(0.0, 1.0, self.config.answer_tokens, self._drawn),
            self._aside_of(question).schema,
            step=RELEVANCE,
        )

    def reader(self, question: Question) -> _Read:
        """What reads the answers to a question; the turn says why one cannot be used."""
        aside = self._aside_of(question)

        def read(request: LLMRequest, reply: LLMReply) -> Turn:
            turn = read_aside(aside, request, reply)
            if turn.reason or self.config.mode != "span" or turn.said["verdict"] == _NONE:
                return turn
            if _quoted(turn.said, question.passages[0]) is None:
                complaint = "`span` must be copied from the passage letter by letter"
                return Turn(request, reply, turn.reading, SPAN_NOT_FOUND, complaint)
            return turn

        return read

    def interpret(self, question: Question, last: Turn) -> list[Said]:
        """What the last answer to a question says of each of its candidates."""
        if last.reason:
            return [Said(last.reason)] * len(question.doc_ids)
        said = last.said
        if self.config.mode == "grade":
            return [Said(OK, _whole(said["grade"]), words=_text(said["reason"]))]
        if self.config.mode == "span":
            found = None if said["verdict"] == _NONE else _quoted(said, question.passages[0])
            return [Said(OK, 0 if found is None else TOP_GRADE, found)]
        grades = {place: _whole(said[label]) for label, place in self._labelled(question).items()}
        return [Said(OK, grades[place]) for place in range(len(question.doc_ids))]

    @cached_property
    def _drawn(self) -> int:
        return int.from_bytes(digest(self.seed, RELEVANCE, size=4), "little") >> 1

    @cached_property
    def _lists(self) -> dict[int, Aside]:
        """By number of candidates: one schema for all questions of that size, which a server then has to read once."""
        sizes = range(1, self.config.list_size + 1)
        return {n: replace(self.aside, output=dict.fromkeys(ascii_uppercase[:n], _GRADE)) for n in sizes}

    def _aside_of(self, question: Question) -> Aside:
        return self._lists[len(question.doc_ids)] if self.config.mode == "list" else self.aside

    def _labelled(self, question: Question) -> dict[str, int]:
        """The candidate behind each letter: in an order that shows no rank."""
        order = shuffled(len(question.doc_ids), self.seed, RELEVANCE, question.query_id, *sorted(question.doc_ids))
        return dict(zip(ascii_uppercase, order, strict=False))

    def _values(self, question: Question) -> dict[str, str]:
        told = {"query": question.query, "instruction": question.instruction}
        if self.config.mode != "list":
            return {**told, "passage": question.passages[0]}
        labelled = self._labelled(question)
        shown = (f"{label}:\n{fenced(question.passages[place], 'passage')}" for label, place in labelled.items())
        return {**told, "passages": "\n\n".join(shown), "labels": ", ".join(labelled)}


def _quoted(said: Mapping[str, object], passage: str) -> str | None:
    span = said["span"]
    return find_quote(span, passage) if isinstance(span, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def make_questions(rows: pl.DataFrame, most: int) -> list[Question]:
    """One question for each number in the column `question`, in their first order; candidates ordered by id.

    Args:
        rows: question, query_id, query, instruction, doc_id and text of each candidate.
        most: characters of a passage that are shown.
    """
    of_query = pl.col("query_id", "query", "instruction").first()
    grouped = rows.sort("question", "doc_id").group_by("question", maintain_order=True)
    lists = grouped.agg(of_query, doc_ids=pl.col("doc_id"), passages=pl.col("text").str.head(most))
    return [
        Question(query_id, query, instruction or "", tuple(doc_ids), tuple(str(clean(text)) for text in passages))
        for _, query_id, query, instruction, doc_ids, passages in lists.iter_rows()
    ]
