"""One question until its answer can be used: ask, read, and ask again with what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.generation.extractive.parsing import Written
from datagen.generation.outcome import NOT_ASKED
from datagen.generation.reading.broken_json import clean, without_thoughts
from datagen.generation.reading.ladder import Reading
from datagen.generation.recipes.templates import Messages
from datagen.generation.runtime.asking import Ask
from datagen.generation.runtime.prices import Price

MAX_ECHO = 4000
"""Characters of an unusable answer that are sent back with the complaint."""

_REASK = (
    "That answer cannot be used: {complaint}.\n"
    "Do the same task again. Answer with one JSON object in the form that was asked for, and with nothing else."
)


@dataclass(frozen=True)
class Generator:
    """A language model of a run."""

    name: str
    ask: Ask
    price: Price | None = None
    batch: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a row, its answer, and what was made of it."""

    request: LLMRequest
    reply: LLMReply
    reading: Reading | None
    """None when there was nothing to read."""
    reason: str
    """Why the answer was not taken; empty when it was."""
    complaint: str
    """What the model is told about it."""
    written: Written | None = None
    """What it says, when it was taken and writes the row."""
    left_out: tuple[str, ...] = ()
    """Why optional fields of it were not taken."""
    said: Mapping[str, object] = field(default_factory=dict)
    """What it says, when it was taken and stands beside the row: the slots chosen, a verdict."""

    @property
    def was_asked(self) -> bool:
        """Whether no cap of the run forbade it."""
        return self.reason != NOT_ASKED


Read: TypeAlias = Callable[[LLMRequest, LLMReply], Turn]


async def converse(first: LLMRequest, ask: Ask, read: Read, reasks: int) -> list[Turn]:
    """The question, and again with what was wrong with the answer, until one can be used or the tries are used up.

    An error of the request is final at once: there is nothing to complain about.
    """
    question, turns = first, list[Turn]()
    for _ in range(1 + reasks):
        turn = read(question, await ask(question))
        turns.append(turn)
        if not turn.reason or turn.reading is None:
            break
        question = replace(first, messages=(*first.messages, *complain(turn.reply.text, turn.complaint)))
    return turns


def complain(previous_text: str, complaint: str) -> Messages:
    """The answer that could not be used, and the request for another one: to be sent after the prompt."""
    answer = clean(without_thoughts(previous_text[: 16 * MAX_ECHO])).strip()
    if len(answer) > MAX_ECHO:
        answer = answer[:MAX_ECHO] + " …"
    return (
        {"role": "assistant", "content": answer or "(no answer)"},
        {"role": "user", "content": _REASK.format(complaint=complaint.rstrip(". "))},
    )


def as_text(messages: Sequence[Mapping[str, str]]) -> str:
    """Messages as one text to read, each under its role."""
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)
