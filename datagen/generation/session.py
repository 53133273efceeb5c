"""A recipe, its models, a journal, flow control and caps, put together: rows in, outcomes out, in plan order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datagen.backends.protocols import LLM, NoteTaker, Steady
from datagen.config_generate import GenerateConfig, LLMConfig
from datagen.generation.conversation import Generator
from datagen.generation.outcome import Outcome, PlannedRow
from datagen.generation.recipes.load import Recipe
from datagen.generation.rows import RowWriter
from datagen.generation.runtime.asking import Ask, Asker, JournalOnly
from datagen.generation.runtime.flow import Flow
from datagen.generation.runtime.journal import Journal
from datagen.generation.runtime.prices import load_prices
from datagen.generation.runtime.spending import Spending
from datagen.generation.runtime.stream import in_order
from datagen.generation.slots import weighted_choice
from datagen.generation.tasks import Tasks

ACTIVE_PER_SLOT = 4
"""Rows at work for each open request: some wait for a server's Retry-After without holding a slot."""
ROWS_AHEAD = 8192
"""Finished rows that may wait behind a slow one."""
FIRST_ROWS = 256
"""Rows begun before so many were looked at as show a collapse, at most; then one more for each that is looked at."""
ROWS_THAT_SHOW = 128


@dataclass(frozen=True)
class Settings:
    """What a session follows from."""

    generate: GenerateConfig
    llm: LLMConfig
    seed: int


class Session:
    """Writes the rows of one run."""

    def __init__(
        self,
        settings: Settings,
        recipe: Recipe,
        journal: Journal,
        llms: Mapping[str, LLM | None],
        tasks: Tasks | None = None,
    ) -> None:
        """Put the parts together; nothing is asked yet.

        Args:
            settings: of the run.
            recipe: what is asked.
            journal: where answers are kept.
            llms: each model by its name, the judge with them where there is one; None reads its answers from the
                journal alone.
            tasks: what a brainstorm has thought up, for recipes that need it.

        Raises:
            ConfigError: the prices cannot be read, or a cap needs one that is not known.
        """
        generate, batch = settings.generate, settings.llm.lane == "batch"
        prices = load_prices(settings.llm.prices)
        self.currency = prices.currency
        self.spending = Spending(generate, {name: prices.find(name) for name in llms}, batch=batch)
        self.generators: dict[str, Generator] = {}
        self._shares, self._seed = generate.resolved_llms, settings.seed
        self._flows: dict[str, Flow] = {}
        self._active = 0
        for name, llm in llms.items():
            ask = self._ask(name, llm, settings.llm, journal)
            self.generators[name] = Generator(name, ask, prices.find(name), batch)
        judge = self.generators.get(generate.judge or "")
        self.writer = RowWriter(recipe, generate, settings.seed, tasks or Tasks(), judge)

    def _ask(self, name: str, llm: LLM | None, settings: LLMConfig, journal: Journal) -> Ask:
        steady = llm.in_flight if isinstance(llm, Steady) else None
        self._active += steady or settings.max_in_flight * ACTIVE_PER_SLOT
        if llm is None:
            return JournalOnly(name, journal, self.spending)
        _lend_notes(llm, journal)
        flow = self._flows[name] = Flow(settings, fixed=steady)
        return Asker(llm, name, journal, flow, self.spending)

    def generator(self, row: PlannedRow) -> Generator:
        """Who writes a row: drawn by the shares."""
        if len(self._shares) == 1:
            return self.generators[next(iter(self._shares))]
        return self.generators[weighted_choice(self._shares, self._seed, "generator", row.row_id)]

    def outcomes(
        self, rows: Iterable[PlannedRow], wanted: Callable[[], int], looked_at: Callable[[], int]
    ) -> AsyncIterator[Outcome]:
        """What becomes of the rows, in their order; rows are pulled as there is room.

        Args:
            rows: planned rows, read lazily.
            wanted: how many may still be unsettled.
            looked_at: how many outcomes were looked at.

        Raises:
            BackendError: the server is down, or refuses the whole run; all answers so far are in the journal.
        """

        def room() -> int:
            return 0 if self.spending.stopped_by else min(wanted(), FIRST_ROWS + max(0, looked_at() - ROWS_THAT_SHOW))

        return in_order(rows, self._write, active=self._active, ahead=self._active + ROWS_AHEAD, wanted=room)

    async def _write(self, row: PlannedRow) -> Outcome:
        return await self.writer.write(row, self.generator(row))

    async def write_other(self, outcome: Outcome, covered: Sequence[str]) -> Outcome:
        """A row once more, with what it may not repeat."""
        return await self.writer.write_other(outcome, self.generator(outcome.row), covered)

    def price_of_one(self, accepted: int) -> str:
        """What a row that was kept has cost so far, in money or else in tokens."""
        spent = self.spending.spent
        if not accepted:
            return ""
        if self.spending.price_known:
            return f"{spent.cost:.2f} {self.currency} in all, {spent.cost / accepted:.5f} a row kept"
        return f"{spent.tokens / accepted:,.0f} tokens a row kept"

    def counts(self) -> dict[str, Any]:  # Any: JSON numbers
        """Answers, tokens, money (None when a price is not known), and what flow control saw."""
        spent = self.spending.spent
        flows = {name: flow.stats() for name, flow in self._flows.items()}
        return {
            "answers": spent.requests,
            "answers_from_journal": spent.from_journal,
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "cost": round(spent.cost, 6) if self.spending.price_known else None,
            "flow": next(iter(flows.values()), {}) if len(flows) < 2 else flows,
        }


def _lend_notes(llm: object, journal: Journal) -> None:
    if isinstance(llm, NoteTaker):
        llm.use_notes(journal)
