"""Hard caps: never exceeded, whatever is under way, and said when they stop a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from datagen.backends.protocols import LLMReply, LLMRequest, Sampling, Usage
from datagen.errors import ConfigError
from datagen.generation.runtime.prices import Price
from datagen.generation.runtime.spending import Spending, estimate_usage
from datagen.settings.generate import GenerateConfig

PRICE = Price(input=1.0, output=2.0)
MOST = Usage(100, 50)
MODEL = "openai:m"


def _spending(caps: Mapping[str, float] | None = None, price: Price | None = PRICE) -> Spending:
    return Spending(GenerateConfig.model_validate({"llm": MODEL, **(caps or {})}), {MODEL: price})


async def _ask(spending: Spending, actual: Usage) -> bool:
    if not await spending.reserve(MODEL, MOST):
        return False
    await asyncio.sleep(0)
    spending.add(MODEL, LLMReply("r", usage=actual), from_journal=False)
    spending.release(MODEL, MOST)
    return True


def _run(spending: Spending, number: int, actual: Usage = MOST) -> int:
    async def all_at_once() -> list[bool]:
        return await asyncio.gather(*(_ask(spending, actual) for _ in range(number)))

    return sum(asyncio.run(all_at_once()))


@pytest.mark.parametrize(
    ("cap", "value", "answered"),
    [
        pytest.param("max_requests", 7, 7, id="requests"),
        pytest.param("max_tokens", 1000, 6, id="tokens"),
        pytest.param("max_cost", 0.001, 5, id="money"),
    ],
)
def test_a_cap_is_never_exceeded_and_used_up(cap: str, value: float, answered: int) -> None:
    spending = _spending({cap: value})
    assert _run(spending, 50) == answered
    assert spending.stopped_by == cap
    assert spending.spent.requests == answered
    assert spending.spent.tokens == answered * 150
    assert spending.spent.cost == pytest.approx(answered * 200e-6)


def test_what_was_set_aside_and_not_used_is_spent_on_others() -> None:
    spending = _spending({"max_tokens": 1000})
    assert (
        _run(spending, 100, Usage(10, 5)) == 57
    )  # 57 answers of 15 tokens; for one that may take 150 there is no room
    assert spending.stopped_by == "max_tokens"


def test_answers_of_the_journal_count_and_may_exceed_a_cap_set_later() -> None:
    spending = _spending({"max_requests": 3})
    for _ in range(5):
        spending.add(MODEL, LLMReply("r", usage=MOST), from_journal=True)
    assert _run(spending, 1) == 0
    assert spending.spent.from_journal == spending.spent.requests == 5


def test_without_caps_everything_is_asked() -> None:
    spending = _spending(price=None)
    assert _run(spending, 100) == 100
    assert spending.stopped_by is None
    assert spending.cost(MODEL, MOST) is None
    assert not spending.price_known


def test_a_cap_in_money_needs_a_price() -> None:
    with pytest.raises(ConfigError, match=r"max_cost is 1.0, but the price of 'openai:m' is not known"):
        _spending({"max_cost": 1.0}, price=None)


def test_estimate_is_cautious_for_any_script() -> None:
    for text in ("word " * 100, "字" * 100):
        request = LLMRequest("r", {}, ({"role": "user", "content": text},), Sampling(max_tokens=9))
        assert estimate_usage(request).prompt_tokens >= 100
        assert estimate_usage(request).completion_tokens == 9
