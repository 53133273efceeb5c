"""One row of a recipe: draw its slots or have them chosen, render, ask, read, judge, and say what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.generation.conversation import Generator, Turn, as_text, complain, converse
from datagen.generation.extractive.parsing import Written
from datagen.generation.extractive.plan import fault_of_query
from datagen.generation.outcome import (
    CHOOSE,
    JUDGE,
    JUDGE_NEGATIVE,
    NOT_ASKED,
    Lineage,
    Outcome,
    PlannedRow,
    Source,
    Step,
)
from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.asides import Chooser
from datagen.generation.recipes.load import Recipe
from datagen.generation.recipes.slot_choices import NOTHING
from datagen.generation.steps import FAILED, Asked, Case, choice_request, choose, judge
from datagen.generation.tasks import Tasks
from datagen.settings.generate import GenerateConfig, RetryRule

PASSAGES, PAIRS, TASKS = "passages", "pairs", "tasks"
"""What a recipe may read, beside nothing."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A row with all that was decided for it before it is asked."""

    row: PlannedRow
    recipe: Recipe
    variables: Mapping[str, str]
    request: LLMRequest

    @property
    def source(self) -> Source:
        return self.row.source


class _Verdict(NamedTuple):
    """What all questions of a row have come to."""

    reason: str
    written: Written | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowWriter:
    """Writes the rows of one run: all that they depend on but the row itself and the answers."""

    recipe: Recipe
    settings: GenerateConfig
    seed: int
    tasks: Tasks = field(default_factory=Tasks)
    judge: Generator | None = None
    """Who judges what was written, when somebody does."""

    async def write(self, row: PlannedRow, generator: Generator, turns: list[Turn] | None = None) -> Outcome:
        """What becomes of a row.

        Args:
            row: the row.
            generator: who is asked.
            turns: filled with all that was asked and answered, when given.
        """
        turns = [] if turns is None else turns
        job = self._prepare(row)
        if chooser := self._chooser(job.recipe):
            turns += await choose(chooser, job.row, job.variables, self._asked, generator)
            if turns[-1].reply.error:  # the question that writes would be answered no better
                return self._outcome(job, generator, turns)
            job = self._prepare(row, {name: str(value) for name, value in turns[-1].said.items()})
        await self._attempt(job, job.request, generator, turns)
        for number, rule in enumerate(self._due_rules(job, turns), start=1):
            if rule.reason == FAILED:
                turns += await self._judged(job, turns, number)
            else:
                await self._attempt(job, _retried(job.request, rule, number), generator, turns)
        return self._outcome(job, generator, turns)

    async def write_other(self, outcome: Outcome, generator: Generator, covered: Sequence[str]) -> Outcome:
        """The same row once more, with what it may not repeat."""
        chooser = self._chooser(self.recipe.for_row(self.seed, outcome.row_id))
        chosen = {name: str(outcome.slots[name]) for name in chooser.spec.slots} if chooser else NOTHING
        job = self._prepare(outcome.row, chosen)
        said = outcome.written.query if outcome.written else ""
        again = complain(said, _too_close(covered))
        question = replace(job.request, messages=(*job.request.messages, *again))
        turns: list[Turn] = []
        await self._attempt(job, question, generator, turns)
        other = self._outcome(job, generator, turns)
        tried = {**outcome.tried, "near_duplicate": said[:80], **other.tried}
        return replace(other, tried=tried, lineage=_joined(outcome.lineage, other.lineage))

    def request(self, row: PlannedRow) -> LLMRequest:
        """The first question of a row: a function of the run's seed, the row's id and its source alone."""
        job = self._prepare(row)
        chooser = self._chooser(job.recipe)
        return choice_request(chooser, job.row, job.variables, self._asked) if chooser else job.request

    @cached_property
    def _asked(self) -> Asked:
        return Asked(self.settings, self.seed)

    def _chooser(self, recipe: Recipe) -> Chooser | None:
        return recipe.chooser if self.settings.two_step else None

    def _prepare(self, row: PlannedRow, chosen: Mapping[str, str] = NOTHING) -> _Job:
        recipe = self.recipe.for_row(self.seed, row.row_id)
        if recipe.reads == TASKS:
            source = self.tasks.lend(row.source, recipe.name, self.seed, row.row_id)
            row = replace(row, source=source)
        variables = recipe.variables(row.source)
        slots = recipe.draw(self.seed, row.row_id, variables, chosen)
        sampling = self._asked.sampling("sampling", row.row_id)
        messages = recipe.render(slots, variables)
        return _Job(row, recipe, variables, LLMRequest(row.row_id, slots, messages, sampling, recipe.schema))

    async def _attempt(self, job: _Job, question: LLMRequest, generator: Generator, turns: list[Turn]) -> None:
        """Have the row written, and judged if somebody does that."""
        turns += await converse(question, generator.ask, partial(self._read, job), self.settings.reasks)
        if self.judge and turns[-1].written:
            turns += await self._judged(job, turns, question.sample)

    async def _judged(self, job: _Job, turns: Sequence[Turn], sample: int) -> list[Turn]:
        """What the judge says of what was written last: of the passage, then of the negative."""
        written = next(turn.written for turn in reversed(turns) if turn.written)
        judged: list[Turn] = []
        for kind, values in self._cases(job, written):
            case = Case(job.row.row_id, kind, values, sample)
            judged += await judge(job.recipe.judge, case, self._asked, self.judge) if self.judge else []
            if judged and judged[-1].reason:
                break
        return judged

    def _cases(self, job: _Job, written: Written) -> Iterator[tuple[str, dict[str, str]]]:
        """What the judge is asked about; nothing where there is no query, or no passage beside it."""
        source, spec = job.source, job.recipe.spec
        query = source.extra.get("query", "") if spec.for_query else written.query
        about = {"query": query, "instruction": written.instruction or "", "title": "", "linked_text": ""}
        if query and written.passage:
            yield JUDGE, {**about, "passage": written.passage}
        elif query and source.text and not spec.for_query:
            linked = job.variables.get("linked_text", "") if job.recipe.links(job.request.slots) else ""
            yield JUDGE, {**about, "passage": source.text, "title": source.title or "", "linked_text": linked}
        if query and written.negative and self.settings.judge_negatives:
            yield JUDGE_NEGATIVE, {**about, "passage": written.negative}

    def _read(self, job: _Job, request: LLMRequest, reply: LLMReply) -> Turn:
        if reply.error:
            return Turn(request, reply, None, reply.error, "")
        recipe, slots = job.recipe, request.slots
        reading = read_answer(reply.text, recipe.answer_model, reply.finish_reason)
        if reading.values is None:
            return Turn(request, reply, reading, reading.reason, reading.complaint)
        faults = recipe.optional_faults(reading.values, job.source, slots)
        written = recipe.written(reading.values, job.source, slots, faults)
        reason = self._fault(job, written) or recipe.check(reading.values, job.source, slots)
        if reason:
            return Turn(request, reply, reading, reason, self._complaint(recipe, reason))
        return Turn(request, reply, reading, "", "", written, tuple(check.reason for check in faults))

    def _fault(self, job: _Job, written: Written) -> str | None:
        """What the settings have against a query for a passage; a recipe for long ones has its own measure."""
        if not written.query or job.recipe.reads != PASSAGES or job.recipe.spec.long_queries:
            return None
        return fault_of_query(written.query, job.source, self.settings)

    def _complaint(self, recipe: Recipe, reason: str) -> str:
        """What a model is told about a fault that the schema does not know."""
        settings = self.settings
        if any(check.reason == reason for check in recipe.spec.checks):
            return recipe.explain(reason)
        return {
            "too_few_words": f"The query must have at least {settings.min_query_words} words.",
            "too_many_words": f"The query must have at most {settings.max_query_words} words.",
            "copies_passage": "The query must not be the passage itself.",
        }.get(reason) or recipe.explain(reason)

    def _due_rules(self, job: _Job, turns: list[Turn]) -> Iterator[RetryRule]:
        """The rules that fit what the row has come to; asked again after each."""
        for rule in self.settings.retries:
            if _verdict(job, turns, [turn for turn in turns if not turn.request.step]).reason == rule.reason:
                yield rule

    def _outcome(self, job: _Job, generator: Generator, turns: list[Turn]) -> Outcome:
        own = [turn for turn in turns if not turn.request.step]
        asked = [turn for turn in own if turn.was_asked] or own[:1]
        verdict = _verdict(job, turns, own)
        slots: dict[str, object] = {**job.request.slots, "doc_id": job.source.doc_id, "sample": job.row.number}
        tried = {f"ask {number}": turn.reason for number, turn in enumerate(asked[:-1], start=1)}
        lineage = _lineage(job.request if own else turns[0].request, asked, generator, verdict.left_out)
        if len(own) < len(turns):
            lineage = _with_steps(lineage, self._steps(turns, generator))
            tried |= {step.step: step.reason for step in lineage.steps if step.step == CHOOSE and step.reason}
        return Outcome(
            job.row,
            job.recipe.kind(job.request.slots),
            slots,
            verdict.written,
            verdict.reason,
            tried,
            lineage,
            generator.name,
            _positives(job, verdict.written),
            job.recipe.spec.variant,
            job.recipe.languages(job.source, job.request.slots),
            job.source.extra.get("query_id", "") if job.recipe.spec.for_query else "",
        )

    def _steps(self, turns: Sequence[Turn], generator: Generator) -> Iterator[Step]:
        """What was asked beside the row's own question, in the order of the first such question."""
        for kind in dict.fromkeys(turn.request.step for turn in turns if turn.request.step and turn.was_asked):
            asked = [turn for turn in turns if turn.request.step == kind and turn.was_asked]
            who, last = generator if kind == CHOOSE else self.judge or generator, asked[-1]
            usage, cost = _cost(asked, who)
            yield Step(
                kind, who.name, len(asked), usage.prompt_tokens, usage.completion_tokens, cost, last.said, last.reason
            )


def _verdict(job: _Job, turns: Sequence[Turn], own: Sequence[Turn]) -> _Verdict:
    """What the turns of a row have come to: the last one that was asked decides, a judge's before all."""
    end = turns[-1]
    if end.request.step and not end.was_asked:
        return _Verdict(NOT_ASKED)
    asked = [turn for turn in own if turn.was_asked]
    if not asked:
        return _Verdict((own or turns)[-1].reason)
    last = next(turn for turn in reversed(turns) if turn.was_asked)
    written, left_out = asked[-1].written, asked[-1].left_out
    if last.request.step == JUDGE_NEGATIVE and last.reason and written and not job.recipe.spec.for_query:
        return _Verdict("", written._replace(negative=None), (*left_out, last.reason))
    return _Verdict(last.reason, written, left_out)


def _positives(job: _Job, written: Written | None) -> tuple[str, ...]:
    """Which passages of the corpus answer what was written."""
    recipe, source = job.recipe, job.source
    if recipe.reads == PAIRS and (written is None or written.passage is None):
        return () if recipe.spec.for_query else (source.doc_id,)
    if recipe.reads != PASSAGES:
        return ()
    linked = source.extra.get("linked_id", "") if recipe.links(job.request.slots) else ""
    return (source.doc_id, linked) if linked else (source.doc_id,)


def _lineage(request: LLMRequest, asked: Sequence[Turn], generator: Generator, left_out: tuple[str, ...]) -> Lineage:
    """How the row's own question was answered."""
    usage, cost = _cost(asked, generator)
    last = asked[-1] if asked else None
    rung = last.reading.rung if last and last.reading and not last.reason else None
    values = last.reading.values if last and last.reading else None
    text = as_text(request.messages)
    return Lineage(text, rung, max(1, len(asked)), usage.prompt_tokens, usage.completion_tokens, cost, left_out, values)


def _with_steps(lineage: Lineage, steps: Iterator[Step]) -> Lineage:
    """The lineage of the whole row."""
    for step in steps:
        lineage = replace(
            lineage,
            prompt_tokens=lineage.prompt_tokens + step.prompt_tokens,
            completion_tokens=lineage.completion_tokens + step.completion_tokens,
            cost=_sum(lineage.cost, step.cost),
            steps=(*lineage.steps, step),
        )
    return lineage


def _joined(earlier: Lineage | None, later: Lineage | None) -> Lineage | None:
    """The lineage of a row that was asked for once more, with what it had cost before."""
    if earlier is None or later is None:
        return later
    return replace(
        later,
        prompt_tokens=earlier.prompt_tokens + later.prompt_tokens,
        completion_tokens=earlier.completion_tokens + later.completion_tokens,
        cost=_sum(earlier.cost, later.cost),
        steps=(*earlier.steps, *later.steps),
    )


def _cost(turns: Sequence[Turn], generator: Generator) -> tuple[Usage, float | None]:
    read = sum(turn.reply.usage.prompt_tokens for turn in turns)
    wrote = sum(turn.reply.usage.completion_tokens for turn in turns)
    usage = Usage(read, wrote)
    return usage, generator.price.cost(usage, generator.batch) if generator.price else None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _too_close(covered: Sequence[str]) -> str:
    listed = "; ".join(f'"{text}"' for text in covered)
    return f"It is too close to what is there already: {listed}. Write something that asks for something else."


def _retried(request: LLMRequest, rule: RetryRule, number: int) -> LLMRequest:
    sampling = replace(request.sampling, max_tokens=int(request.sampling.max_tokens * rule.max_tokens))
    return replace(request, sampling=sampling, sample=number)
