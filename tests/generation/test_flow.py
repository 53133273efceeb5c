"""Requests under control, on virtual time: nothing is lost, nothing waits for ever, a dead server ends the run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.backends.protocols import LLMReply, Usage
from datagen.errors import BackendError, ThrottledError
from datagen.generation.runtime.flow import Flow
from datagen.settings.generate import LLMConfig
from tests.support.simulated_servers import (
    Down,
    MaxConcurrent,
    RandomRefusals,
    Server,
    TokenBucket,
    constant,
    lognormal,
)
from tests.support.virtual_time import run_virtually

OK = LLMReply("r", "fine", usage=Usage(60, 40))
Answer = Callable[[], Awaitable[LLMReply]]


class Asked:
    """A simulated server behind `Flow`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: dict[int, asyncio.Future[float | None]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self.tries: dict[int, int] = {}

    async def ask(self, row: int) -> LLMReply:
        loop = asyncio.get_running_loop()
        self._open[row] = loop.create_future()
        self._server.arrive(loop.time(), row)
        self.tries[row] = self.tries.get(row, 0) + 1
        self._arm()
        retry_after = await self._open[row]
        if retry_after is not None:
            raise ThrottledError("429: too many requests", retry_after if retry_after > 0 else None)
        return LLMReply(f"row {row}", "fine")

    def _arm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        if self._open:
            self._alarm = asyncio.get_running_loop().call_at(self._server.next_time(), self._ring)

    def _ring(self) -> None:
        while self._server.next_time() <= asyncio.get_running_loop().time() + 1e-9:
            ending = self._server.pop()
            self._open.pop(ending.row).set_result(None if ending.answered else ending.retry_after or 0.0)
        self._arm()


def _ask_all(flow: Flow, asked: Asked, rows: int) -> float:
    """The virtual seconds in which a server answered every row."""

    async def ask() -> float:
        replies = await asyncio.gather(*(flow.send(f"row {n}", 100, lambda n=n: asked.ask(n)) for n in range(rows)))  # type: ignore[misc]  # mypy cannot infer this lambda
        assert [reply.row_id for reply in replies] == [f"row {n}" for n in range(rows)]
        assert all(reply.text == "fine" for reply in replies)
        return asyncio.get_running_loop().time()

    return run_virtually(ask())


def _flow(**given: int | float) -> Flow:
    fixed = given.pop("fixed", None)
    settings = LLMConfig(**{"max_in_flight": 64, **given})  # type: ignore[arg-type]  # numbers all
    return Flow(settings, fixed=int(fixed) if fixed else None, draw=random.Random(0).random)


async def _after(seconds: float, outcome: LLMReply | Exception = OK) -> LLMReply:
    await asyncio.sleep(seconds)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _time_out(seconds: float) -> LLMReply:
    await asyncio.sleep(seconds)
    try:
        raise TimeoutError
    except TimeoutError:
        raise BackendError("no answer in time", retryable=True) from None


def scripted(*outcomes: LLMReply | Exception, seconds: float = 0.5) -> Answer:
    """Each of these in turn, the last one for ever."""
    left = list(outcomes)
    return lambda: _after(seconds, left.pop(0) if len(left) > 1 else left[0])


def test_256_places_are_used_as_well_as_can_be() -> None:
    flow = _flow(max_in_flight=256)
    assert _ask_all(flow, Asked(Server(constant(0.5))), 20 * 256) == pytest.approx(10, rel=0.02)
    assert flow.stats()["peak_in_flight"] == 256


@pytest.mark.parametrize("retry_after", [None, 1.0], ids=["no_retry_after", "retry_after"])
@pytest.mark.parametrize("seed", range(3))
def test_a_third_of_all_requests_refused_costs_their_own_time_alone(retry_after: float | None, seed: int) -> None:
    asked = Asked(RandomRefusals(constant(0.5), None, retry_after, rng=random.Random(seed)))
    seconds = _ask_all(_flow(), asked, 1000)
    unluckiest = max(asked.tries.values())
    tail = unluckiest * 0.5 + (unluckiest - 1) * (retry_after or 0.5)
    assert seconds < 1.3 * 1000 / (1 - 0.33) * 0.5 / 64 + tail


@pytest.mark.parametrize(
    ("server", "per_second"),
    [
        pytest.param(lambda: MaxConcurrent(lognormal(0.5, 0.5), 0.01, capacity=16), 32, id="sixteen_places"),
        pytest.param(lambda: TokenBucket(lognormal(0.5, 0.5), 0.01, 1.0, per_second=100), 100, id="hundred_a_second"),
    ],
)
def test_a_server_with_a_limit_is_used_in_full(server: Callable[[], Server], per_second: float) -> None:
    flow = _flow(max_in_flight=256)
    assert 4000 / _ask_all(flow, Asked(server()), 4000) > 0.9 * per_second
    stats = flow.stats()
    assert stats["sent"] == 4000 + stats["throttled"]
    assert stats["limit"] < 80


def test_an_outage_in_the_middle_loses_no_row() -> None:
    flow = _flow(max_failures=3)
    seconds = _ask_all(flow, Asked(Down(constant(0.5), begin=5, until=25)), 3000)
    assert seconds < 3000 * 0.5 / 64 + 20 + 8
    assert flow.stats()["rows_left_out"] == 0
    assert flow.stats()["held_seconds"] > 10


def _stopped_at(flow: Flow, answer: Callable[[int], Awaitable[LLMReply]], rows: int) -> tuple[float, list[str]]:
    """When the first request ended, and what each of them raised."""

    async def ask() -> tuple[float, list[str]]:
        tasks = [asyncio.create_task(flow.send(f"row {n}", 1, lambda n=n: answer(n))) for n in range(rows)]  # type: ignore[misc]  # mypy cannot infer this lambda
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        stopped = asyncio.get_running_loop().time()
        await asyncio.gather(*tasks, return_exceptions=True)
        tasks.append(asyncio.create_task(flow.send("a later one", 1, lambda: _after(0))))
        await asyncio.wait(tasks)
        return stopped, [str(task.exception()) for task in tasks]

    return run_virtually(ask())


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(BackendError("connection refused", retryable=True), id="refused_connections"),
        pytest.param(ThrottledError("503: overloaded"), id="throttled"),
        pytest.param(ThrottledError("429: quota", 3600), id="throttled_for_an_hour"),
    ],
)
def test_a_server_that_is_down_for_good_ends_the_run_in_time_for_all(trouble: BackendError) -> None:
    flow = _flow(give_up_seconds=60, timeout_seconds=30, max_failures=1000)
    stopped, errors = _stopped_at(flow, lambda _: _after(0.01, trouble), 300)
    assert 60 <= stopped < 67
    assert len(set(errors)) == 1
    assert errors[0].startswith("no answer for 6")
    assert str(trouble) in errors[0]
    assert "run the same command again" in errors[0]
    assert flow.stats()["sent"] < 64 * 3, "a dead server is not asked again and again"


def test_a_server_that_hangs_for_good_ends_the_run_once_a_second_look_has_hung_too() -> None:
    stopped, errors = _stopped_at(_flow(timeout_seconds=50, give_up_seconds=60), lambda _: _time_out(50), 300)
    assert 100 <= stopped <= 110
    assert len(set(errors)) == 1


def test_requests_that_hang_in_a_short_outage_do_not_end_the_run() -> None:
    flow = _flow(timeout_seconds=60, give_up_seconds=60)

    async def answer(_: int) -> LLMReply:
        hangs = 3 <= asyncio.get_running_loop().time() < 23
        return await (_time_out(60) if hangs else _after(0.5))

    async def ask() -> None:
        assert {
            reply.text
            for reply in await asyncio.gather(*(flow.send(f"{n}", 1, lambda: answer(0)) for n in range(2000)))
        } == {"fine"}

    run_virtually(ask())


def test_a_row_that_always_times_out_is_lost_alone() -> None:
    flow = _flow(max_failures=3, timeout_seconds=60, give_up_seconds=60, max_in_flight=4)
    tries = 0

    def poisoned() -> Awaitable[LLMReply]:
        nonlocal tries
        tries += 1
        return _time_out(60)

    async def ask() -> list[LLMReply]:
        others = (flow.send(f"row {n}", 1, lambda: _after(0.5)) for n in range(200))
        return await asyncio.gather(flow.send("poison", 1, poisoned), *others)

    lost, *others = run_virtually(ask())
    assert (lost.row_id, lost.error, lost.detail) == ("poison", "timed_out", "no answer in time")
    assert tries == 3
    assert {reply.text for reply in others} == {"fine"}
    assert flow.stats() | {"sent": 203, "timed_out": 3, "rows_left_out": 1, "limit": 4} == flow.stats()


def test_a_row_that_is_throttled_while_all_others_are_answered_is_left_out_in_the_end() -> None:
    flow = _flow(give_up_seconds=20)

    async def ask() -> LLMReply:
        others = asyncio.gather(*(flow.send(f"row {n}", 1, lambda: _after(1)) for n in range(64 * 200)))
        reply = await flow.send("too long", 1, lambda: _after(0.1, ThrottledError("too large")))
        await others
        return reply

    assert run_virtually(ask()).error == "throttled"


def test_throttling_uses_up_no_tries_and_server_errors_do() -> None:
    throttled = [ThrottledError("429")] * 20
    assert run_virtually(_flow(max_failures=2).send("r", 1, scripted(*throttled, OK))) == OK
    failing = [BackendError("500", retryable=True)] * 2
    assert run_virtually(_flow(max_failures=3).send("r", 1, scripted(*failing, OK))) == OK
    assert run_virtually(_flow(max_failures=2).send("r", 1, scripted(*failing, OK))).error == "server_error"


def test_throttled_requests_use_up_no_tokens() -> None:
    async def ask() -> float:
        flow = _flow(tokens_per_minute=6000)
        await flow.send("r", 6000, scripted(*[ThrottledError("429")] * 20, OK))
        return asyncio.get_running_loop().time()

    assert run_virtually(ask()) < 60, "not one minute for each of 21 tries"


def test_waiting_for_a_second_try_holds_no_place_and_comes_before_first_tries() -> None:
    log: list[tuple[str, float]] = []

    def noted(name: str, answer: Answer) -> Answer:
        def attempt() -> Awaitable[LLMReply]:
            log.append((name, asyncio.get_running_loop().time()))
            return answer()

        return attempt

    async def ask() -> None:
        flow = _flow(max_in_flight=1)
        throttled = noted("throttled", scripted(ThrottledError("429", 10), OK, seconds=1))
        others = (noted(f"{n}", scripted(OK, seconds=1)) for n in range(20))
        await asyncio.gather(flow.send("r", 1, throttled), *(flow.send("r", 1, other) for other in others))

    run_virtually(ask())
    names = [name for name, _ in log]
    again = names.index("throttled", 1)
    assert [name for name in names if name != "throttled"] == [f"{n}" for n in range(20)], "first come, first served"
    assert 9 <= again <= 12
    assert log[again][1] >= 11
    assert [seconds for _, seconds in log] == pytest.approx(range(22)), "the only place was never empty"


def test_a_request_that_is_cancelled_just_as_it_was_let_in_gives_its_place_to_the_next() -> None:
    async def ask() -> float:
        flow = _flow(max_in_flight=1, requests_per_minute=60, tokens_per_minute=600_000)
        waiting: list[asyncio.Task[LLMReply]] = []

        async def first() -> None:
            await flow.send("a", 1, lambda: _after(5))
            waiting[0].cancel()

        begun = asyncio.create_task(first())
        await asyncio.sleep(1)
        waiting = [asyncio.create_task(flow.send(name, 1, lambda: _after(5))) for name in "bc"]
        await asyncio.wait([begun, *waiting])
        assert waiting[0].cancelled()
        assert flow.stats()["sent"] == 2
        return asyncio.get_running_loop().time()

    assert run_virtually(ask()) == 10


@pytest.mark.parametrize("error", [BackendError("wrong key"), ValueError("a mistake")], ids=["final", "mistake"])
def test_what_no_second_try_can_help_is_raised_and_gives_its_place_back(error: Exception) -> None:
    async def ask() -> LLMReply:
        flow = _flow(max_in_flight=1)
        with pytest.raises(type(error), match=str(error)):
            await flow.send("r", 1, scripted(error))
        return await flow.send("r", 1, scripted(OK))

    assert run_virtually(ask()) == OK


def test_rows_refused_for_good_are_answers_unless_they_are_the_first_twenty() -> None:
    refusal = LLMReply("r", error="bad_request", detail="unknown field 'seed'")

    async def ask(flow: Flow, rows: int) -> None:
        for row in range(rows):
            assert (await flow.send(f"row {row}", 1, scripted(refusal))).error == "bad_request"

    async def one_good_first() -> None:
        flow = _flow()
        await flow.send("good", 1, scripted(OK))
        await ask(flow, 100)

    run_virtually(one_good_first())
    flow = _flow()
    run_virtually(ask(flow, 20))
    with pytest.raises(BackendError, match="the first 20 rows .*unknown field 'seed'"):
        run_virtually(ask(flow, 1))


def test_rates_hold_for_every_minute_and_estimates_are_settled() -> None:
    sent: list[float] = []

    async def ask(flow: Flow, rows: int, tokens: int) -> float:
        def attempt() -> Awaitable[LLMReply]:
            sent.append(asyncio.get_running_loop().time())
            return _after(0.2)

        await asyncio.gather(*(flow.send("r", tokens, attempt) for _ in range(rows)))
        return asyncio.get_running_loop().time()

    assert run_virtually(ask(_flow(requests_per_minute=120), 600, 1)) == pytest.approx(300, rel=0.03)
    assert max(sum(begin <= other < begin + 60 for other in sent) for begin in sent) <= 120
    # 1,000 tokens are reserved and 100 used: 60 requests a minute, not 6.
    seconds = run_virtually(ask(_flow(tokens_per_minute=6000), 120, 1000))
    assert 110 < seconds < 150


def test_a_backend_that_knows_its_number_of_places_keeps_it() -> None:
    flow = _flow(fixed=8, max_in_flight=500)
    _ask_all(flow, Asked(RandomRefusals(constant(0.5))), 400)
    assert flow.stats()["limit"] == flow.stats()["peak_in_flight"] == 8


@settings(max_examples=60, deadline=None)
@given(
    places=st.integers(1, 5),
    cancelled=st.lists(st.tuples(st.integers(0, 39), st.floats(0, 4)), max_size=40),
    rate=st.none() | st.integers(60, 6000),
    seed=st.integers(0, 9),
)
def test_cancelled_requests_give_their_places_back(
    places: int, cancelled: list[tuple[int, float]], rate: int | None, seed: int
) -> None:
    rng = random.Random(seed)

    def attempt() -> Awaitable[LLMReply]:
        throttled, failed = ThrottledError("429", rng.choice([None, 0.5])), BackendError("500", retryable=True)
        outcomes: list[LLMReply | Exception] = [OK, OK, throttled, failed]
        return _after(rng.random(), rng.choice(outcomes))

    async def ask() -> None:
        flow = _flow(max_in_flight=places, max_failures=1000, **({"requests_per_minute": rate} if rate else {}))
        tasks = [asyncio.create_task(flow.send(f"{n}", 1, attempt)) for n in range(40)]
        loop = asyncio.get_running_loop()
        for number, seconds in cancelled:
            loop.call_later(seconds, tasks[number].cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        numbers = {number for number, _ in cancelled}
        assert all(
            result == OK or (isinstance(result, asyncio.CancelledError) and number in numbers)
            for number, result in enumerate(results)
        )
        await asyncio.gather(*(flow.send("after", 1, lambda: _after(0.1)) for _ in range(3 * places)))
        assert flow.stats()["peak_in_flight"] <= places

    run_virtually(ask())
