"""One row of a recipe: draw its slots, render, ask, read, ask again with what is wrong, and say what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from datagen.backends.protocols import LLMReply, LLMRequest, Sampling, Usage
from datagen.config_generate import GenerateConfig, RetryRule
from datagen.generation.asking import Ask
from datagen.generation.ladder import Reading, read_answer
from datagen.generation.outcome import NOT_ASKED, Lineage, Outcome
from datagen.generation.parsing import Written
from datagen.generation.plan import fault_of_query
from datagen.generation.prices import Price
from datagen.generation.recipes import Recipe
from datagen.generation.row_plan import PlannedRow
from datagen.generation.slots import digest


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


@dataclass(frozen=True)
class RowWriter:
    """Writes the rows of one run: all that they depend on but the row itself and the answers."""

    recipe: Recipe
    settings: GenerateConfig
    seed: int
    price: Price | None = None
    batch: bool = False

    async def write(self, row: PlannedRow, ask: Ask, turns: list[Turn] | None = None) -> Outcome:
        """What becomes of a row.

        Args:
            row: the row.
            ask: answers questions.
            turns: filled with all that was asked and answered, when given.
        """
        turns = [] if turns is None else turns
        request = self.request(row)
        await self._converse(row, request, ask, turns)
        for number, rule in enumerate(self._due_rules(turns), start=1):
            await self._converse(row, _retried(request, rule, number), ask, turns)
        return self._outcome(row, request, turns)

    def request(self, row: PlannedRow) -> LLMRequest:
        """The first question of a row: a function of the run's seed, the row's id and its passage alone."""
        slots = self.recipe.draw(self.seed, row.row_id)
        source = row.source
        texts = {"title": source.title or "", "text": source.text, "language": source.language or ""}
        sampling = Sampling(
            self.settings.temperature,
            self.settings.top_p,
            self.settings.answer_tokens,
            int.from_bytes(digest(self.seed, "sampling", row.row_id, size=4), "little") >> 1,
        )
        messages = self.recipe.render(slots, texts)
        return LLMRequest(row.row_id, slots, messages, sampling, self.recipe.schema)

    async def _converse(self, row: PlannedRow, request: LLMRequest, ask: Ask, turns: list[Turn]) -> None:
        question = request
        for _ in range(1 + self.settings.reasks):
            turn = self._judge(row, question, await ask(question))
            turns.append(turn)
            if not turn.reason or turn.reading is None:
                return
            again = self.recipe.complain(turn.reply.text, turn.complaint)
            question = replace(request, messages=(*request.messages, *again))

    def _judge(self, row: PlannedRow, request: LLMRequest, reply: LLMReply) -> Turn:
        if reply.error:
            return Turn(request, reply, None, reply.error, "")
        reading = read_answer(reply.text, self.recipe.answer_model, reply.finish_reason)
        if reading.values is None:
            return Turn(request, reply, reading, reading.reason, reading.complaint)
        written = self.recipe.written(reading.values, row.source.text, request.slots)
        reason = fault_of_query(written.query, row.source, self.settings) or self.recipe.check(
            reading.values, row.source.text, request.slots
        )
        if reason:
            return Turn(request, reply, reading, reason, self.complaint(reason))
        left_out = self.recipe.left_out(reading.values, row.source.text, request.slots)
        return Turn(request, reply, reading, "", "", written, left_out)

    def complaint(self, reason: str) -> str:
        """What a model is told about a fault that the schema does not know."""
        settings = self.settings
        return {
            "too_few_words": f"The query must have at least {settings.min_query_words} words.",
            "too_many_words": f"The query must have at most {settings.max_query_words} words.",
            "copies_passage": "The query must not be the passage itself.",
        }.get(reason) or self.recipe.explain(reason)

    def _due_rules(self, turns: list[Turn]) -> Iterator[RetryRule]:
        """The rules that fit what the row has come to; asked again after each."""
        for rule in self.settings.retries:
            if turns[-1].reason == rule.reason:
                yield rule

    def _outcome(self, row: PlannedRow, request: LLMRequest, turns: list[Turn]) -> Outcome:
        asked = [turn for turn in turns if turn.reason != NOT_ASKED] or turns[:1]
        last = asked[-1]
        slots: dict[str, object] = {**request.slots, "doc_id": row.source.doc_id, "sample": row.number}
        return Outcome(
            row.row_id,
            row.source,
            self.recipe.kind(request.slots),
            slots,
            last.written,
            last.reason,
            {f"ask {number}": turn.reason for number, turn in enumerate(asked[:-1], start=1)},
            self._lineage(request, asked),
        )

    def _lineage(self, request: LLMRequest, turns: list[Turn]) -> Lineage:
        read = sum(turn.reply.usage.prompt_tokens for turn in turns)
        wrote = sum(turn.reply.usage.completion_tokens for turn in turns)
        cost = self.price.cost(Usage(read, wrote), self.batch) if self.price else None
        rung = turns[-1].reading.rung if turns[-1].reading and not turns[-1].reason else None
        return Lineage(as_text(request.messages), rung, len(turns), read, wrote, cost, turns[-1].left_out)


def as_text(messages: tuple[Mapping[str, str], ...]) -> str:
    """Messages as one text to read, each under its role."""
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)


def _retried(request: LLMRequest, rule: RetryRule, number: int) -> LLMRequest:
    sampling = replace(request.sampling, max_tokens=int(request.sampling.max_tokens * rule.max_tokens))
    return replace(request, sampling=sampling, sample=number)
