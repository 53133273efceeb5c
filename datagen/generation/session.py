"""A recipe, a model, a journal, flow control and caps, put together: rows in, outcomes out, in plan order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from datagen.backends.protocols import LLM, NoteTaker, Steady
from datagen.config_generate import GenerateConfig, LLMConfig
from datagen.generation.asking import Ask, Asker, JournalOnly
from datagen.generation.flow import Flow
from datagen.generation.journal import Journal
from datagen.generation.outcome import Outcome
from datagen.generation.prices import load_prices
from datagen.generation.recipes import load_recipe
from datagen.generation.row_plan import PlannedRow
from datagen.generation.rows import RowWriter
from datagen.generation.spending import Spending
from datagen.generation.stream import in_order

ACTIVE_PER_SLOT = 4
"""Rows at work for each open request: some wait for a server's Retry-After without holding a slot."""
ROWS_AHEAD = 8192
"""Finished rows that may wait behind a slow one."""


@dataclass(frozen=True)
class Settings:
    """What a session follows from."""

    generate: GenerateConfig
    llm: LLMConfig
    seed: int


class Session:
    """Writes the rows of one run. `llm` None reads answers from the journal alone."""

    def __init__(self, settings: Settings, journal: Journal, llm: LLM | None) -> None:
        """Load recipe and prices; nothing is asked yet.

        Raises:
            ConfigError: recipe or prices cannot be used, or a cap needs a price that is not known.
        """
        generate, batch = settings.generate, settings.llm.lane == "batch"
        prices = load_prices(settings.llm.prices)
        price, self.currency = prices.find(generate.llm), prices.currency
        recipe = load_recipe(generate.resolved_recipe, generate.prompts)
        self.writer = RowWriter(recipe, generate, settings.seed, price, batch)
        self.spending = Spending(generate, price, batch=batch)
        steady = llm.in_flight if isinstance(llm, Steady) else None
        self._active = steady or settings.llm.max_in_flight * ACTIVE_PER_SLOT
        self._flow = Flow(settings.llm, fixed=steady)
        self.ask: Ask = JournalOnly(generate.llm, journal, self.spending)
        if llm is not None:
            self.ask = Asker(llm, generate.llm, journal, self._flow, self.spending)
        _lend_notes(llm, journal)

    def outcomes(self, rows: Iterable[PlannedRow], wanted: Callable[[], int] | None = None) -> AsyncIterator[Outcome]:
        """What becomes of the rows, in their order; rows are pulled as there is room.

        Args:
            rows: planned rows, read lazily.
            wanted: how many may still be unsettled; None for no limit.

        Raises:
            BackendError: the server is down, or refuses the whole run; all answers so far are in the journal.
        """
        active = self._active

        def room() -> int:
            if self.spending.stopped_by:
                return 0
            return wanted() if wanted else active + ROWS_AHEAD

        return in_order(rows, self._write, active=active, ahead=active + ROWS_AHEAD, wanted=room)

    async def _write(self, row: PlannedRow) -> Outcome:
        return await self.writer.write(row, self.ask)

    def price_of_one(self, accepted: int) -> str:
        """What a query that was kept has cost so far, in money or else in tokens."""
        spent = self.spending.spent
        if not accepted:
            return ""
        if self.spending.price_known:
            return f"{spent.cost:.2f} {self.currency} in all, {spent.cost / accepted:.5f} a query kept"
        return f"{spent.tokens / accepted:,.0f} tokens a query kept"

    def counts(self) -> dict[str, Any]:  # Any: JSON numbers
        """Answers, tokens, money (None when the price is not known), and what flow control saw."""
        spent = self.spending.spent
        return {
            "answers": spent.requests,
            "answers_from_journal": spent.from_journal,
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "cost": round(spent.cost, 6) if self.spending.price_known else None,
            "flow": self._flow.stats(),
        }


def _lend_notes(llm: object, journal: Journal) -> None:
    if isinstance(llm, NoteTaker):
        llm.use_notes(journal)
