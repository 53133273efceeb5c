"""What a million tokens cost, by model: a small table that a user's own file lies over."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field

from datagen.backends.protocols import Usage
from datagen.generation.recipes.yaml_files import read_settings
from datagen.settings.base import Settings, Share

Money = Annotated[float, Field(ge=0)]

_MILLION = 1_000_000
_LANE = "openai:"


class Price(Settings):
    """Money for a million tokens of one model."""

    input: Money = Field(description="for tokens of the prompt")
    output: Money = Field(description="for tokens of the answer")
    cached_input: Money | None = Field(
        default=None, description="for tokens of the prompt that the server had in its cache (default: as input)"
    )
    batch_discount: Share = Field(default=0.0, description="share taken off in the batch lane")

    def cost(self, usage: Usage, batch: bool = False, cached_tokens: int = 0) -> float:
        """Money for the tokens of one answer.

        Args:
            usage: tokens read and written.
            batch: whether they went through the batch lane.
            cached_tokens: how many of the tokens read came out of the server's cache.
        """
        cached_price = self.input if self.cached_input is None else self.cached_input
        fresh = usage.prompt_tokens - cached_tokens
        full = fresh * self.input + cached_tokens * cached_price + usage.completion_tokens * self.output
        return full * (1 - self.batch_discount if batch else 1) / _MILLION


class PriceFile(Settings):
    """A YAML file with prices."""

    as_of: str = Field(min_length=1, description="when these prices held, such as 2026-03")
    currency: str = Field(default="USD", min_length=1)
    models: dict[str, Price] = Field(description="a model's name, or the beginning of names followed by *")


@dataclass(frozen=True)
class Prices:
    """The prices known."""

    currency: str
    as_of: dict[str, str]
    """When the price of each name or pattern held."""
    models: dict[str, Price]

    def find(self, model: str) -> Price | None:
        """The price of a model, named with or without `openai:` before it; None when it is not known.

        An exact name comes before a pattern, a longer pattern before a shorter one.
        """
        names = [model, model.removeprefix(_LANE)]
        exact = next((self.models[name] for name in names if name in self.models), None)
        if exact:
            return exact
        starts = [
            pattern
            for pattern in self.models
            if pattern.endswith("*") and any(name.startswith(pattern[:-1]) for name in names)
        ]
        return self.models[max(starts, key=len)] if starts else None


def load_prices(path: Path | None = None) -> Prices:
    """The prices that come with datagen, with those of a user's file laid over them.

    A file in another currency stands alone: sums of two currencies mean nothing.

    Raises:
        ConfigError: the file cannot be used.
    """
    with resources.as_file(resources.files("datagen") / "data" / "prices.yaml") as shipped:
        files = [read_settings(shipped, PriceFile)]
    if path is not None:
        own = read_settings(path, PriceFile)
        files = [*files, own] if own.currency == files[0].currency else [own]
    return Prices(
        files[0].currency,
        {name: file.as_of for file in files for name in file.models},
        {name: price for file in files for name, price in file.models.items()},
    )
