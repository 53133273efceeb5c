"""Many at work, results in order: laziness, limits, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.generation.runtime.stream import in_order


class Work:
    """Counts what runs at once; item n takes `delays[n]` turns of the loop."""

    def __init__(self, delays: list[int]) -> None:
        self.delays, self.running, self.peak, self.pulled, self.handed = delays, 0, 0, 0, 0

    def items(self) -> Iterator[int]:
        for number in range(len(self.delays)):
            self.pulled += 1
            yield number

    async def __call__(self, number: int) -> int:
        self.running += 1
        self.peak = max(self.peak, self.running)
        for _ in range(self.delays[number]):
            await asyncio.sleep(0)
        self.running -= 1
        return number


def _collect(
    work: Work,
    active: int,
    ahead: int,
    wanted: Callable[[], int] | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[int]:
    async def collect() -> list[int]:
        results = []
        async for number in in_order(work.items(), work, active=active, ahead=ahead, wanted=wanted):
            work.handed += 1
            check()
            results.append(number)
        return results

    return asyncio.run(collect())


@given(delays=st.lists(st.integers(0, 20), max_size=40), active=st.integers(1, 8), extra=st.integers(0, 8))
def test_results_come_in_order_within_the_limits(delays: list[int], active: int, extra: int) -> None:
    work = Work(delays)

    def never_too_far() -> None:
        assert work.pulled - work.handed <= active + extra

    assert _collect(work, active, active + extra, check=never_too_far) == list(range(len(delays)))
    assert work.peak <= active


def test_a_slow_item_holds_back_the_results_but_not_the_work() -> None:
    work = Work([200] + [1] * 30)
    assert _collect(work, active=4, ahead=20) == list(range(31))
    assert work.peak == 4


@given(delays=st.lists(st.integers(0, 9), min_size=30, max_size=30), bad=st.sets(st.integers(0, 29), max_size=15))
def test_wanted_pulls_the_shortest_beginning_that_has_enough(delays: list[int], bad: set[int]) -> None:
    work, accepted, goal = Work(delays), 0, 12

    def left() -> int:
        return goal - accepted

    async def collect() -> None:
        nonlocal accepted
        async for number in in_order(work.items(), work, active=5, ahead=50, wanted=left):
            accepted += number not in bad

    asyncio.run(collect())
    good = [number for number in range(30) if number not in bad]
    assert accepted == goal
    assert work.pulled == good[goal - 1] + 1


def test_a_failure_ends_the_stream_at_once_and_cancels_the_rest() -> None:
    cancelled = []

    async def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async def collect() -> None:
        async for _ in in_order(range(100), work, active=10, ahead=10):
            pass

    with pytest.raises(ValueError, match="three"):
        asyncio.run(collect())
    assert sorted(cancelled) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
