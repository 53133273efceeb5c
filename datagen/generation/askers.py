"""The language models that a stage asks: each behind its flow control and the journal, all with one purse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.backends.protocols import LLM, NoteTaker, Steady
from datagen.generation.conversation import Generator
from datagen.generation.runtime.asking import Ask, Asker, JournalOnly
from datagen.generation.runtime.flow import Flow
from datagen.generation.runtime.journal import Journal
from datagen.generation.runtime.prices import load_prices
from datagen.generation.runtime.spending import Spending
from datagen.settings.generate import GenerateConfig, LLMConfig

ACTIVE_PER_SLOT = 4
"""Rows at work for each open request: some wait for a server's Retry-After without holding a slot."""


class Askers:
    """The models of a stage, ready to be asked."""

    def __init__(
        self, settings: LLMConfig, caps: GenerateConfig, journal: Journal, llms: Mapping[str, LLM | None]
    ) -> None:
        """Put the parts together; nothing is asked yet.

        Args:
            settings: how models are reached.
            caps: with the limits in money, tokens and requests.
            journal: where answers are kept.
            llms: each model by its name; None reads its answers from the journal alone.

        Raises:
            ConfigError: the prices cannot be read, or a cap needs one that is not known.
        """
        batch = settings.lane == "batch"
        prices = load_prices(settings.prices)
        self.currency = prices.currency
        self.spending = Spending(caps, {name: prices.find(name) for name in llms}, batch=batch)
        self.generators: dict[str, Generator] = {}
        self.active = 0
        """Rows worked on at the same time."""
        self._flows: dict[str, Flow] = {}
        for name, llm in llms.items():
            ask = self._ask(name, llm, settings, journal)
            self.generators[name] = Generator(name, ask, prices.find(name), batch)

    def _ask(self, name: str, llm: LLM | None, settings: LLMConfig, journal: Journal) -> Ask:
        steady = llm.in_flight if isinstance(llm, Steady) else None
        self.active += steady or settings.max_in_flight * ACTIVE_PER_SLOT
        if llm is None:
            return JournalOnly(name, journal, self.spending)
        if isinstance(llm, NoteTaker):
            llm.use_notes(journal)
        flow = self._flows[name] = Flow(settings, fixed=steady)
        return Asker(llm, name, journal, flow, self.spending)

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
