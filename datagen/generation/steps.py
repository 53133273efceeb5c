"""What a row asks beside the question that writes it: which slots suit it, and whether its passage answers it.

Who writes chooses, before it writes; a judge is asked after, about what passed all checks. A choice that cannot be
used gives way to the slots that were drawn. A judge fails closed: no verdict that can be read is no `yes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from datagen.backends.protocols import LLMReply, LLMRequest, Sampling
from datagen.generation.conversation import Generator, Turn, converse
from datagen.generation.outcome import CHOOSE, JUDGE, PlannedRow
from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.asides import NO, Aside, Chooser
from datagen.generation.slots import digest
from datagen.settings.generate import GenerateConfig

UNANSWERABLE = "judged_unanswerable"
"""The judge says that the passage does not answer the query: the row is dropped."""
RELEVANT = "judged_relevant"
"""The judge says that the written negative answers the query, if in part: it is left out."""
FAILED = "judge_failed"
"""The judge gave no verdict that can be read."""
NOT_OFFERED = "not_offered"


@dataclass(frozen=True)
class Asked:
    """What decides a question beside the row's own, but for what it is about."""

    settings: GenerateConfig
    seed: int

    def sampling(self, kind: str, row_id: str, *, freely: bool = True) -> Sampling:
        """How its answer is drawn; not freely: the likeliest words."""
        seed = int.from_bytes(digest(self.seed, kind, row_id, size=4), "little") >> 1
        drawn = (self.settings.temperature, self.settings.top_p) if freely else (0.0, 1.0)
        return Sampling(*drawn, self.settings.answer_tokens, seed)


def choice_request(chooser: Chooser, row: PlannedRow, variables: Mapping[str, str], asked: Asked) -> LLMRequest:
    """The question which slots a row takes: a function of the run's seed, the row and what it is offered alone."""
    offers = _offers(chooser, row, variables, asked)
    sampling = asked.sampling(CHOOSE, row.row_id)
    messages, schema = chooser.render(offers, variables), chooser.aside.schema
    return LLMRequest(f"{row.row_id}/{CHOOSE}", {}, messages, sampling, schema, step=CHOOSE)


async def choose(
    chooser: Chooser, row: PlannedRow, variables: Mapping[str, str], asked: Asked, generator: Generator
) -> list[Turn]:
    """Ask which slots a row takes; the last turn says them, or why no answer could be used."""
    read = partial(_read_choice, chooser, _offers(chooser, row, variables, asked))
    request = choice_request(chooser, row, variables, asked)
    return await converse(request, generator.ask, read, asked.settings.reasks)


@dataclass(frozen=True)
class Case:
    """What a judge looks at."""

    row_id: str
    kind: str
    """`judge`: must the passage answer the query; `judge_negative`: it must not."""
    values: Mapping[str, str]
    sample: int = 0


async def judge(aside: Aside, case: Case, asked: Asked, generator: Generator) -> list[Turn]:
    """Ask for a verdict; the last turn has it, and the reason of a row or negative that it is against."""
    sampling = asked.sampling(case.kind, case.row_id, freely=False)
    messages = aside.render(case.values)
    row_id = f"{case.row_id}/{case.kind}"  # so the journal shows what an answer was for
    request = LLMRequest(row_id, {}, messages, sampling, aside.schema, case.sample, case.kind)
    turns = await converse(request, generator.ask, partial(read_aside, aside), asked.settings.reasks)
    last = turns[-1]
    if last.was_asked:
        reason = FAILED if last.reason else _against(case.kind, last.said["verdict"])
        text = {"negative": case.values["passage"]} if reason and case.kind != JUDGE else {}
        turns[-1] = replace(last, reason=reason, said={**last.said, **text})
    return turns


def read_aside(aside: Aside, request: LLMRequest, reply: LLMReply) -> Turn:
    """What an answer to a question beside the row says, or why it cannot be used."""
    if reply.error:
        return Turn(request, reply, None, reply.error, "")
    reading = read_answer(reply.text, aside.answer_model, reply.finish_reason)
    if reading.values is None:
        return Turn(request, reply, reading, reading.reason, reading.complaint)
    return Turn(request, reply, reading, "", "", said=reading.values)


def _against(kind: str, verdict: object) -> str:
    """What speaks against a passage that shall answer the query in part at least, or a negative that shall not."""
    if kind == JUDGE:
        return UNANSWERABLE if verdict == NO else ""
    return "" if verdict == NO else RELEVANT


def _offers(
    chooser: Chooser, row: PlannedRow, variables: Mapping[str, str], asked: Asked
) -> dict[str, tuple[str, ...]]:
    return chooser.offer(asked.seed, row.row_id, variables, row.offered)


def _read_choice(chooser: Chooser, offers: Mapping[str, Sequence[str]], request: LLMRequest, reply: LLMReply) -> Turn:
    turn = read_aside(chooser.aside, request, reply)
    if turn.reason:
        return turn
    taken = chooser.read(turn.said, offers)
    if missed := [name for name in offers if name not in taken]:
        complaint = chooser.explain(missed[0], offers[missed[0]])
        return Turn(request, reply, turn.reading, NOT_OFFERED, complaint)
    return replace(turn, said=taken)
