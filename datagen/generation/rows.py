"""One row of a recipe: draw its slots, render, ask, read, ask again with what is wrong, and say what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from datagen.backends.protocols import LLMReply, LLMRequest, Sampling, Usage
from datagen.config_generate import GenerateConfig, RetryRule
from datagen.generation.extractive.parsing import Written
from datagen.generation.extractive.plan import fault_of_query
from datagen.generation.outcome import NOT_ASKED, Lineage, Outcome, PlannedRow, Source
from datagen.generation.reading.ladder import Reading, read_answer
from datagen.generation.recipes.load import Recipe
from datagen.generation.runtime.asking import Ask
from datagen.generation.runtime.prices import Price
from datagen.generation.slots import digest
from datagen.generation.tasks import Tasks

PASSAGES, PAIRS, TASKS = "passages", "pairs", "tasks"
"""What a recipe may read, beside nothing."""


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
    """What it says, when it was taken."""
    left_out: tuple[str, ...] = ()
    """Why optional fields of it were not taken."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A row with all that was decided for it before it is asked."""

    row: PlannedRow
    recipe: Recipe
    request: LLMRequest

    @property
    def source(self) -> Source:
        return self.row.source


@dataclass(frozen=True)
class RowWriter:
    """Writes the rows of one run: all that they depend on but the row itself and the answers."""

    recipe: Recipe
    settings: GenerateConfig
    seed: int
    tasks: Tasks = field(default_factory=Tasks)

    async def write(self, row: PlannedRow, generator: Generator, turns: list[Turn] | None = None) -> Outcome:
        """What becomes of a row.

        Args:
            row: the row.
            generator: who is asked.
            turns: filled with all that was asked and answered, when given.
        """
        turns = [] if turns is None else turns
        job = self._prepare(row)
        await self._converse(job, job.request, generator, turns)
        for number, rule in enumerate(self._due_rules(turns), start=1):
            await self._converse(job, _retried(job.request, rule, number), generator, turns)
        return self._outcome(job, generator, turns)

    async def write_other(self, outcome: Outcome, generator: Generator, covered: Sequence[str]) -> Outcome:
        """The same row once more, with what it may not repeat."""
        job = self._prepare(outcome.row)
        said = outcome.written.query if outcome.written else ""
        again = job.recipe.complain(said, _too_close(covered))
        question = replace(job.request, messages=(*job.request.messages, *again))
        turns: list[Turn] = []
        await self._converse(job, question, generator, turns)
        other = self._outcome(job, generator, turns)
        return replace(other, tried={**outcome.tried, "near_duplicate": said[:80], **other.tried})

    def request(self, row: PlannedRow) -> LLMRequest:
        """The first question of a row: a function of the run's seed, the row's id and its source alone."""
        return self._prepare(row).request

    def _prepare(self, row: PlannedRow) -> _Job:
        recipe = self.recipe.for_row(self.seed, row.row_id)
        if recipe.reads == TASKS:
            source = self.tasks.lend(row.source, recipe.name, self.seed, row.row_id)
            row = replace(row, source=source)
        variables = recipe.variables(row.source)
        slots = recipe.draw(self.seed, row.row_id, variables)
        sampling = Sampling(
            self.settings.temperature,
            self.settings.top_p,
            self.settings.answer_tokens,
            int.from_bytes(digest(self.seed, "sampling", row.row_id, size=4), "little") >> 1,
        )
        messages = recipe.render(slots, variables)
        return _Job(row, recipe, LLMRequest(row.row_id, slots, messages, sampling, recipe.schema))

    async def _converse(self, job: _Job, first: LLMRequest, generator: Generator, turns: list[Turn]) -> None:
        question = first
        for _ in range(1 + self.settings.reasks):
            turn = self._judge(job, question, await generator.ask(question))
            turns.append(turn)
            if not turn.reason or turn.reading is None:
                return
            again = job.recipe.complain(turn.reply.text, turn.complaint)
            question = replace(first, messages=(*first.messages, *again))

    def _judge(self, job: _Job, request: LLMRequest, reply: LLMReply) -> Turn:
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

    def _due_rules(self, turns: list[Turn]) -> Iterator[RetryRule]:
        """The rules that fit what the row has come to; asked again after each."""
        for rule in self.settings.retries:
            if turns[-1].reason == rule.reason:
                yield rule

    def _outcome(self, job: _Job, generator: Generator, turns: list[Turn]) -> Outcome:
        asked = [turn for turn in turns if turn.reason != NOT_ASKED] or turns[:1]
        last = asked[-1]
        slots: dict[str, object] = {**job.request.slots, "doc_id": job.source.doc_id, "sample": job.row.number}
        return Outcome(
            job.row,
            job.recipe.kind(job.request.slots),
            slots,
            last.written,
            last.reason,
            {f"ask {number}": turn.reason for number, turn in enumerate(asked[:-1], start=1)},
            _lineage(job.request, asked, generator),
            generator.name,
            _positives(job, last.written),
            job.recipe.spec.variant,
            job.recipe.languages(job.source, job.request.slots),
            job.source.extra.get("query_id", "") if job.recipe.spec.for_query else "",
        )


def _positives(job: _Job, written: Written | None) -> tuple[str, ...]:
    """Which passages of the corpus answer what was written."""
    recipe, source = job.recipe, job.source
    if recipe.reads == PAIRS and (written is None or written.passage is None):
        return () if recipe.spec.for_query else (source.doc_id,)
    if recipe.reads != PASSAGES:
        return ()
    linked = source.extra.get("linked_id", "") if recipe.links(job.request.slots) else ""
    return (source.doc_id, linked) if linked else (source.doc_id,)


def _lineage(request: LLMRequest, turns: list[Turn], generator: Generator) -> Lineage:
    read = sum(turn.reply.usage.prompt_tokens for turn in turns)
    wrote = sum(turn.reply.usage.completion_tokens for turn in turns)
    cost = generator.price.cost(Usage(read, wrote), generator.batch) if generator.price else None
    rung = turns[-1].reading.rung if turns[-1].reading and not turns[-1].reason else None
    values = turns[-1].reading.values if turns[-1].reading else None
    return Lineage(as_text(request.messages), rung, len(turns), read, wrote, cost, turns[-1].left_out, values)


def as_text(messages: tuple[Mapping[str, str], ...]) -> str:
    """Messages as one text to read, each under its role."""
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)


def _too_close(covered: Sequence[str]) -> str:
    listed = "; ".join(f'"{text}"' for text in covered)
    return f"It is too close to what is there already: {listed}. Write something that asks for something else."


def _retried(request: LLMRequest, rule: RetryRule, number: int) -> LLMRequest:
    sampling = replace(request.sampling, max_tokens=int(request.sampling.max_tokens * rule.max_tokens))
    return replace(request, sampling=sampling, sample=number)
