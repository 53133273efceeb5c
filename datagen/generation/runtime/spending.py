"""What the answers of a run have cost, and whether it may ask for more: hard caps in money, tokens and requests.

Answers found in the journal count like new ones: a cap is for the run, not for one call of the command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.errors import ConfigError
from datagen.generation.runtime.prices import Price
from datagen.settings.generate import GenerateConfig

BYTES_PER_TOKEN = 3
"""Few enough for a cautious guess: English has about four, Chinese about three."""


def estimate_usage(request: LLMRequest) -> Usage:
    """The tokens that a request may cost at most, by a cautious guess of its prompt's length."""
    n_bytes = sum(len(message["content"].encode("utf-8", "surrogatepass")) for message in request.messages)
    return Usage(n_bytes // BYTES_PER_TOKEN + 8, request.sampling.max_tokens)


@dataclass
class Totals:
    """Sums over answers."""

    requests: int = 0
    from_journal: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def add(self, usage: Usage, cost: float, sign: int = 1) -> None:
        """Count an answer, or take a reservation back."""
        self.requests += sign
        self.prompt_tokens += sign * usage.prompt_tokens
        self.completion_tokens += sign * usage.completion_tokens
        self.cost += sign * cost

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.prompt_tokens + self.completion_tokens


class Spending:
    """The purse of a run: what is spent, what is set aside for requests under way, and the caps."""

    def __init__(self, settings: GenerateConfig, prices: Mapping[str, Price | None], *, batch: bool = False) -> None:
        """Take the caps, and the price of each model.

        Raises:
            ConfigError: a cap in money, but the model's price is not known.
        """
        unknown = [model for model, price in prices.items() if price is None]
        if settings.max_cost is not None and unknown:
            raise ConfigError(
                f"max_cost is {settings.max_cost}, but the price of {unknown[0]!r} is not known: give a file of "
                "prices with --set llm.prices=FILE, or cap the run with --max-tokens or --max-requests"
            )
        self.spent, self._reserved = Totals(), Totals()
        self.stopped_by: str | None = None
        """The cap that kept the run from asking, once one has."""
        self._prices, self._batch = prices, batch
        self.price_known = not unknown
        """Whether costs are figures, or a sum with zeros in it."""
        self._caps = {
            "max_cost": settings.max_cost,
            "max_tokens": settings.max_tokens,
            "max_requests": settings.max_requests,
        }
        self._capped = any(cap is not None for cap in self._caps.values())
        self._returned = asyncio.Event()

    def cost(self, model: str, usage: Usage) -> float | None:
        """The price of so many tokens of a model; None when it is not known."""
        price = self._prices[model]
        return price.cost(usage, self._batch) if price else None

    def add(self, model: str, reply: LLMReply, *, from_journal: bool) -> None:
        """Count an answer."""
        self.spent.add(reply.usage, self.cost(model, reply.usage) or 0.0)
        self.spent.from_journal += from_journal

    async def reserve(self, model: str, most: Usage) -> bool:
        """Set aside what a request may cost at most; False when the caps leave no room for it.

        While other requests are under way it waits: they may cost less than was set aside for them.
        """
        if not self._capped:
            return True
        while cap := self._cap_in_the_way(model, most):
            if not self._reserved.requests:
                self.stopped_by = self.stopped_by or cap
                return False
            self._returned.clear()
            await self._returned.wait()
        self._reserved.add(most, self.cost(model, most) or 0.0)
        return True

    def release(self, model: str, most: Usage) -> None:
        """Give a reservation back, once the answer is counted or there is none."""
        if self._capped:
            self._reserved.add(most, self.cost(model, most) or 0.0, sign=-1)
            self._returned.set()

    def _cap_in_the_way(self, model: str, most: Usage) -> str | None:
        tokens = most.prompt_tokens + most.completion_tokens
        after = {
            "max_cost": self.spent.cost + self._reserved.cost + (self.cost(model, most) or 0.0),
            "max_tokens": self.spent.tokens + self._reserved.tokens + tokens,
            "max_requests": self.spent.requests + self._reserved.requests + 1,
        }
        over = (name for name, cap in self._caps.items() if cap is not None and after[name] > cap)
        return next(over, None)
