"""The number of open requests that datagen finds for servers of all kinds, its rates, and when it gives up."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.generation.runtime.limiter import HOPELESS_ROWS, ROWS_OF_AN_OUTAGE, Breaker, InFlightLimit, RateBucket
from tests.support.simulated_servers import (
    Down,
    Finished,
    MaxConcurrent,
    Queueing,
    RandomRefusals,
    Server,
    TokenBucket,
    constant,
    lognormal,
    simulate,
)

seeds = pytest.mark.parametrize("seed", range(3))
retry_afters = pytest.mark.parametrize("retry_after", [None, 1.0], ids=["no_retry_after", "retry_after"])


def _against_the_ceiling(ceiling: int, server: Callable[[], Server], rows: int, seed: int) -> tuple[Finished, float]:
    """What was seen, and how many times the seconds that the ceiling itself takes, but for the last rows."""
    found = simulate(InFlightLimit(ceiling), server(), rows, seed=seed)
    fixed = simulate(InFlightLimit(ceiling, steady=True), server(), rows, seed=seed)
    return found, found.seconds(0.95) / fixed.seconds(0.95)


def test_all_places_are_used_at_once_and_always_when_nothing_speaks_against_it() -> None:
    seen = simulate(InFlightLimit(256), Server(constant(0.5)), 20 * 256)
    assert seen.seconds() == pytest.approx(20 * 0.5)
    assert {limit for _, limit in seen.limits} == {256}


@seeds
@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.2])
def test_answers_of_very_different_length_cost_a_few_percent_at_most(sigma: float, seed: int) -> None:
    _, slower = _against_the_ceiling(128, lambda: Server(lognormal(0.5, sigma, seed)), 6400, seed)
    assert slower < 1.05


@seeds
@retry_afters
@pytest.mark.parametrize("refuse_seconds", [None, 0.01], ids=["refused_slowly", "refused_at_once"])
def test_random_refusals_keep_the_places(refuse_seconds: float | None, retry_after: float | None, seed: int) -> None:
    def server() -> Server:
        return RandomRefusals(constant(0.5), refuse_seconds, retry_after, rng=random.Random(seed))

    seen, slower = _against_the_ceiling(64, server, 1000, seed)
    assert slower < 1.3
    assert seen.seconds(0.95) < 1.3 * 1000 / (1 - 0.33) * 0.5 / 64
    assert max(seen.late_limits()) == 64


@seeds
@pytest.mark.parametrize("share", [0.05, 0.1, 0.33, 0.6])
def test_random_refusals_cost_little_in_a_longer_run(share: float, seed: int) -> None:
    def server() -> Server:
        return RandomRefusals(lognormal(0.5, 0.5, seed), share=share, rng=random.Random(seed))

    _, slower = _against_the_ceiling(64, server, 6000, seed)
    assert slower < 1.2


@seeds
@retry_afters
@pytest.mark.parametrize("refuse_seconds", [0.01, 0.4], ids=["refused_at_once", "refused_slowly"])
def test_a_server_with_a_rate_is_used_in_full_and_rarely_refuses(
    refuse_seconds: float, retry_after: float | None, seed: int
) -> None:
    server = TokenBucket(lognormal(0.5, 0.5, seed), refuse_seconds, retry_after, per_second=100, burst=100)
    seen = simulate(InFlightLimit(256), server, 8000, seed=seed)
    assert 8000 / seen.seconds() > 0.9 * 100
    assert seen.late_refused_share() < 0.04


@seeds
@retry_afters
@pytest.mark.parametrize("refuse_seconds", [0.01, None], ids=["refused_at_once", "refused_slowly"])
def test_a_server_with_sixteen_places_is_sent_sixteen_requests(
    refuse_seconds: float | None, retry_after: float | None, seed: int
) -> None:
    server = MaxConcurrent(lognormal(0.5, 0.5, seed), refuse_seconds, retry_after, capacity=16)
    seen = simulate(InFlightLimit(256), server, 4000, seed=seed)
    assert 4000 / seen.seconds() > 0.9 * 16 / 0.5
    assert 15 <= fmean(seen.late_limits()) <= 20
    assert seen.late_refused_share() < 0.15


@seeds
@pytest.mark.parametrize("sigma", [0.0, 0.3], ids=["constant", "spread"])
def test_a_server_that_queues_is_sent_a_small_multiple_of_its_places(sigma: float, seed: int) -> None:
    server = Queueing(lognormal(0.5, sigma, seed), capacity=16)
    seen = simulate(InFlightLimit(256), server, 6000, seed=seed)
    assert 6000 / seen.seconds() > 0.95 * 16 / 0.5
    assert max(seen.late_limits()) <= 5 * 16


@seeds
def test_an_outage_costs_its_own_time_and_a_few_seconds(seed: int) -> None:
    seen = simulate(InFlightLimit(64), Down(lognormal(0.5, 0.5, seed), begin=5, until=25), 3000, seed=seed)
    assert seen.seconds(0.95) < 1.05 * (0.95 * 3000 * 0.5 / 64 + 20) + 6
    assert seen.limits[-1][1] == 64
    assert len(seen.refusals) < 3 * 64, "a dead server is not asked again and again"


def test_a_server_that_refuses_everything_is_left_alone_until_it_says() -> None:
    limit, now = InFlightLimit(64), 100.0
    for _ in range(64):
        limit.enter(now)
    for _ in range(64):
        limit.refused(now + 0.1, 0.1, retry_after=30)
    assert not limit.has_room(now + 30)
    assert limit.reopens_at(now + 1) == pytest.approx(now + 30.1)
    assert limit.has_room(now + 30.2)
    assert limit.limit == 1, "one request finds out"
    assert limit.held_seconds == pytest.approx(30)


def test_a_steady_limit_never_moves() -> None:
    limit = InFlightLimit(8, steady=True)
    for now in range(1000):
        limit.enter(now)
        limit.refused(now + 0.5, 0.5, retry_after=60)
        assert limit.limit == 8
        assert limit.has_room(now + 0.5)


steps = st.lists(
    st.tuples(st.sampled_from(["enter", "answered", "refused", "left"]), st.floats(0, 3), st.floats(0, 90) | st.none()),
    max_size=400,
)


@settings(max_examples=200, deadline=None)
@given(ceiling=st.integers(1, 40), steps=steps)
def test_the_limit_stays_between_one_and_the_ceiling_and_room_comes_back(
    ceiling: int, steps: list[tuple[str, float, float | None]]
) -> None:
    limit, now, begun = InFlightLimit(ceiling), 1000.0, list[float]()
    for step, seconds, retry_after in steps:
        now += seconds / 10
        if step == "enter":
            if limit.has_room(now):
                limit.enter(now)
                begun.append(now)
        elif begun and step == "left":
            begun.pop(0)
            limit.leave(now)
        elif begun and step == "answered":
            limit.answered(now, now - begun.pop(0))
        elif begun:
            limit.refused(now, now - begun.pop(0), retry_after)
        assert 1 <= limit.limit <= ceiling
        assert limit.in_flight == len(begun)
        for _ in range(ceiling + 2):  # nobody in flight: waiting alone makes room
            if not begun and not limit.has_room(now):
                now = limit.reopens_at(now)
        assert begun or limit.has_room(now)


@given(
    per_minute=st.integers(1, 5000), amounts=st.lists(st.floats(0, 50), max_size=80), pauses=st.lists(st.floats(0, 20))
)
def test_no_minute_gets_more_than_its_rate(per_minute: int, amounts: list[float], pauses: list[float]) -> None:
    bucket, now, taken = RateBucket(per_minute), 0.0, list[tuple[float, float]]()
    largest = max([1.0, per_minute / 60, *amounts])
    for number, amount in enumerate(amounts):
        now += pauses[number % len(pauses)] if pauses else 0.0
        now = bucket.ready_at(amount, now)
        bucket.take(amount, now)
        taken.append((now, amount))
    for begin, _ in taken:
        assert sum(amount for time, amount in taken if begin <= time < begin + 60) <= per_minute + largest + 1e-6


def test_requests_at_a_rate_come_at_that_rate() -> None:
    bucket, now, times = RateBucket(600), 0.0, []
    for _ in range(3000):
        now = bucket.ready_at(1, now)
        bucket.take(1, now)
        times.append(now)
    assert times[-1] == pytest.approx(300, rel=0.03)
    assert max(sum(begin <= time < begin + 60 for time in times) for begin in times[::50]) <= 600


def test_tokens_that_were_not_used_are_given_back_and_those_used_beyond_the_estimate_are_owed() -> None:
    bucket = RateBucket(6000)
    bucket.take(100, 0.0)
    assert bucket.ready_at(50, 0.0) > 0
    bucket.take(-100, 0.0)
    assert bucket.ready_at(50, 0.0) == 0
    bucket.take(1000, 0.0)
    assert bucket.ready_at(1, 0.0) == pytest.approx(901 * 60 / 5901)


def _failing(breaker: Breaker, *, rows: int, throttled: bool = False, until: int = 200) -> list[int]:
    """Seconds at which the breaker is open while this many rows fail, one a second from 10 on."""
    opened = []
    for now in range(10, until):
        breaker.failed(now, now - 0.5, f"row {now % rows}", throttled=throttled)
        if breaker.is_down(now, in_flight=0):
            opened.append(now)
    return opened


@pytest.mark.parametrize("throttled", [False, True], ids=["failing", "throttled"])
def test_a_server_that_is_down_is_given_up_after_the_time_it_was_given(throttled: bool) -> None:
    assert _failing(Breaker(60, 30), rows=40, throttled=throttled)[0] == 70


def test_a_few_rows_that_always_fail_are_no_outage_unless_they_are_throttled() -> None:
    assert _failing(Breaker(60, 30), rows=ROWS_OF_AN_OUTAGE - 1) == []
    assert _failing(Breaker(60, 30), rows=1, throttled=True)[0] == 70


def test_any_answer_ends_the_trouble() -> None:
    breaker = Breaker(60, 30)
    for now in range(500):
        breaker.failed(now, now - 0.5, f"row {now}", throttled=False)
        if now % 50 == 0:
            breaker.turned_down(now, "another")
        assert not breaker.is_down(now, 0)
    assert breaker.silent_seconds(500) == pytest.approx(49.5)


def test_requests_that_hung_in_an_outage_which_is_over_do_not_stop_the_run() -> None:
    breaker = Breaker(120, 120)
    breaker.answered(5)
    for row in range(64):
        breaker.failed(125 + row / 100, 5 + row / 100, f"row {row}", throttled=False)
    assert not breaker.is_down(126, 64)
    breaker.failed(246, 126, "row 3", throttled=False)
    assert breaker.is_down(246, 64), "a request sent after the first failure hung too"


def test_open_requests_get_their_whole_timeout() -> None:
    breaker = Breaker(60, 600)
    breaker.failed(10, 10, "a", throttled=True)
    assert breaker.next_look(11) == 70
    assert not breaker.is_down(71, in_flight=5)
    assert breaker.next_look(71) == 610
    assert breaker.is_down(71, in_flight=0)
    assert breaker.is_down(611, in_flight=5)


def test_rows_that_are_all_turned_down_are_hopeless_unless_one_was_ever_answered() -> None:
    breaker = Breaker(60, 30)
    for row in range(HOPELESS_ROWS):
        assert not breaker.is_hopeless
        breaker.turned_down(row, f"row {row}")
        breaker.turned_down(row, f"row {row}")
    assert breaker.is_hopeless
    breaker = Breaker(60, 30)
    breaker.answered(0)
    for row in range(3 * HOPELESS_ROWS):
        breaker.turned_down(row, f"row {row}")
    assert not breaker.is_hopeless
