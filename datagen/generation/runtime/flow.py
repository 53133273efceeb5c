"""Sends requests under control: places, rates, second tries, and an end when the server is down.

`asking.py` sends each question through here; the rules are in `limiter.py`. A request whose first
try works passes no queue, timer or retry machinery. One that fails gives its place back at once, waits without one, and
then stands before the requests that were never tried.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from tenacity import DoAttempt, DoSleep, RetryCallState, Retrying

from datagen.backends.protocols import LLMReply
from datagen.errors import BackendError, ThrottledError, first_line
from datagen.generation.runtime.limiter import HOPELESS_ROWS, Breaker, InFlightLimit, RateBucket
from datagen.settings.generate import LLMConfig

Attempt: TypeAlias = Callable[[], Awaitable[LLMReply]]

FAILED_WAIT = (0.5, 30.0)
"""Seconds before the second try, and before any: doubled each time, then drawn between none and all of it."""
LONGEST_THROTTLED_WAIT = 1.0
"""The same without a Retry-After, or two latencies if that is less: how many are sent is the limit's business."""
RETRY_AFTER_SPREAD = 0.5
MOST_REFUSALS = 50
"""A row that the server refused so often, for so long as one waits for a dead server, is left out."""


class Flow:
    """The door to one server, for all requests of a run."""

    def __init__(
        self, settings: LLMConfig, *, fixed: int | None = None, draw: Callable[[], float] = random.random
    ) -> None:
        """Take the settings; the event loop is that of the first request.

        Args:
            settings: limits, rates and patience.
            fixed: places of a backend that knows how many it wants; None lets the number be found.
            draw: random numbers from 0 to 1 that spread the waiting.
        """
        self._settings, self._draw = settings, draw
        self._limit = InFlightLimit(fixed or settings.max_in_flight, steady=fixed is not None)
        self._requests = RateBucket(settings.requests_per_minute) if settings.requests_per_minute else None
        self._tokens = RateBucket(settings.tokens_per_minute) if settings.tokens_per_minute else None
        self._breaker = Breaker(settings.give_up_seconds, settings.timeout_seconds)
        self._fresh: deque[_Turn] = deque()
        self._again: deque[_Turn] = deque()
        self._asleep: set[asyncio.Future[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._stopped_by = ""
        self._last_words = ""
        self._counts = _Counts()

    async def send(self, row_id: str, tokens: int, attempt: Attempt) -> LLMReply:
        """The answer to one request, tried as often as it takes.

        Args:
            row_id: the row that asks.
            tokens: what the request may cost at most; what it did cost is settled afterwards.
            attempt: one try, from sending to keeping the answer; it holds a place as long as it runs.

        Returns:
            The answer; or `timed_out`, `server_error` or `throttled` when this row used up its tries.

        Raises:
            BackendError: the server was down for too long, refused all of the first rows, or said what stops a run.
        """
        try:
            return await self._try(row_id, tokens, attempt, self._fresh)
        except BackendError as exc:
            if not exc.retryable:
                raise
            tries = _Tries(row_id, exc, partial(self._try, row_id, tokens, attempt, self._again), self)
        return await tries.go_on()

    def stats(self) -> dict[str, float]:
        """Counts for the run's report."""
        counts = self._counts
        return {
            "sent": counts.sent,
            "throttled": counts.throttled,
            "timed_out": counts.timed_out,
            "failed": counts.failed,
            "rows_left_out": counts.rows_left_out,
            "peak_in_flight": counts.peak,
            "limit": self._limit.limit,
            "held_seconds": round(self._limit.held_seconds, 3),
        }

    async def _try(self, row_id: str, tokens: int, attempt: Attempt, queue: deque[_Turn]) -> LLMReply:
        clock = asyncio.get_running_loop().time
        if self._stopped_by:
            raise BackendError(self._stopped_by)
        now = clock()
        if self._fresh or self._again or self._opens_at(now, tokens) > now:
            await self._wait_for_turn(_Turn(tokens), queue)
        else:
            self._enter(now, tokens)
        started = clock()
        try:
            reply = await attempt()
        except BaseException as exc:
            self._count_trouble(clock(), started, row_id, tokens, exc)
            raise
        else:
            self._count_reply(clock(), started, row_id, tokens, reply)
        finally:
            self._admit()
        return reply

    async def _wait_for_turn(self, turn: _Turn, queue: deque[_Turn]) -> None:
        queue.append(turn)
        self._admit()
        try:
            admitted = await turn.admitted
        except asyncio.CancelledError:
            if not turn.admitted.cancelled() and turn.admitted.result():
                self._back_out(asyncio.get_running_loop().time(), turn.tokens)
            raise
        if not admitted:
            raise BackendError(self._stopped_by)

    def _opens_at(self, now: float, tokens: int) -> float:
        """When a request may go: now, later, or never (infinite) unless another one ends."""
        if not self._limit.has_room(now):
            return self._limit.reopens_at(now)
        opens = now
        if self._requests:
            opens = max(opens, self._requests.ready_at(1, now))
        if self._tokens:
            opens = max(opens, self._tokens.ready_at(tokens, now))
        return opens

    def _enter(self, now: float, tokens: int) -> None:
        self._limit.enter(now)
        if self._requests:
            self._requests.take(1, now)
        if self._tokens:
            self._tokens.take(tokens, now)
        counts = self._counts
        counts.sent += 1
        counts.peak = max(counts.peak, self._limit.in_flight)

    def _back_out(self, now: float, tokens: int) -> None:
        """A request that was let in was never sent."""
        self._limit.leave(now)
        self._counts.sent -= 1
        if self._requests:
            self._requests.take(-1, now)
        if self._tokens:
            self._tokens.take(-tokens, now)
        self._admit()

    def _admit(self) -> None:
        """Let in who waits, those with a second try first, as long as there is room."""
        while queue := self._again or self._fresh:
            turn = queue[0]
            if turn.admitted.done():  # cancelled while it waited
                queue.popleft()
                continue
            loop = asyncio.get_running_loop()
            now = loop.time()
            if (opens := self._opens_at(now, turn.tokens)) > now:
                self._wake_at(loop, opens)
                return
            queue.popleft()
            self._enter(now, turn.tokens)
            turn.admitted.set_result(True)

    def _wake_at(self, loop: asyncio.AbstractEventLoop, time: float) -> None:
        if time == float("inf") or (self._alarm and self._alarm.when() <= time):
            return
        if self._alarm:
            self._alarm.cancel()
        self._alarm = loop.call_at(time, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        self._admit()

    def _count_reply(self, now: float, started: float, row_id: str, tokens: int, reply: LLMReply) -> None:
        self._limit.answered(now, now - started, typical=reply.error is None)
        usage = reply.usage
        if self._tokens and (used := usage.prompt_tokens + usage.completion_tokens):
            self._tokens.take(used - tokens, now)
        if reply.error is None:
            self._breaker.answered(now)
            return
        self._breaker.turned_down(now, row_id)
        if self._breaker.is_hopeless:
            self._stop(
                f"the first {HOPELESS_ROWS} rows were all refused for good, the last one with {reply.error} "
                f"({reply.detail}): correct the recipe or the settings of the model, then run the command again"
            )

    def _count_trouble(self, now: float, started: float, row_id: str, tokens: int, exc: BaseException) -> None:
        if not (isinstance(exc, BackendError) and exc.retryable):
            self._limit.leave(now)
            return
        throttled = isinstance(exc, ThrottledError)
        self._limit.refused(now, now - started, _retry_after(exc))
        if throttled and self._tokens:
            self._tokens.take(-tokens, now)
        self._counts.add(exc)
        self._last_words = first_line(exc)
        self._breaker.failed(now, started, row_id, throttled=throttled)
        self._look_at_server()

    def _look_at_server(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._breaker.is_down(now, self._limit.in_flight):
            self._stop(
                f"no answer for {self._breaker.silent_seconds(now):.0f} seconds (llm.give_up_seconds), and the last "
                f"failure was: {self._last_words}; all answers so far are kept: run the same command again to go on"
            )
        elif self._next_look is None and (look := self._breaker.next_look(now)) < float("inf"):
            self._next_look = loop.call_at(look, self._look_again)

    def _look_again(self) -> None:
        self._next_look = None
        self._look_at_server()

    def _stop(self, message: str) -> None:
        """Whoever waits, now or later, gets this message; what is under way may still be answered."""
        self._stopped_by = self._stopped_by or message
        for turn in (*self._again, *self._fresh):
            if not turn.admitted.done():
                turn.admitted.set_result(False)
        self._again.clear()
        self._fresh.clear()
        for sleeper in self._asleep:
            if not sleeper.done():
                sleeper.set_result(None)

    async def pause(self, seconds: float) -> None:
        """Sleep without a place, no longer than there is hope."""
        if self._stopped_by:
            return
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        alarm = loop.call_later(seconds, _end_sleep, sleeper)
        self._asleep.add(sleeper)
        try:
            await sleeper
        finally:
            alarm.cancel()
            self._asleep.discard(sleeper)

    def seconds_until_next_try(self, exc: BaseException, times: int) -> float:
        """How long a request waits that failed like this so many times."""
        first, most = FAILED_WAIT
        if isinstance(exc, ThrottledError):
            most = min(LONGEST_THROTTLED_WAIT, max(2 * self._limit.latency, 0.05))
            first = most / 4
        if (asked := _retry_after(exc)) is not None:
            return min(asked, self._settings.give_up_seconds) + min(most, RETRY_AFTER_SPREAD) * self._draw()
        return min(most, first * 2.0 ** min(times, 16)) * self._draw()

    def is_worth_a_try(self, failures: int, refusals: int, seconds: float) -> bool:
        """Whether a row with such a past is tried again."""
        refused_for_good = refusals >= MOST_REFUSALS and seconds >= self._settings.give_up_seconds
        return failures < self._settings.max_failures and not refused_for_good

    def count_row_left_out(self) -> None:
        """Once for each row that is given up."""
        self._counts.rows_left_out += 1


class _Tries:
    """What one row has been through since its first failure; tenacity asks it what to do next."""

    def __init__(self, row_id: str, first: BackendError, attempt: Attempt, flow: Flow) -> None:
        self._row_id, self._first, self._attempt, self._flow = row_id, first, attempt, flow
        self._failures = self._refusals = 0
        self._since = asyncio.get_running_loop().time()

    async def go_on(self) -> LLMReply:
        """Drives tenacity by hand: its own asynchronous driver costs more than a request may, and begins with a try."""
        retrying = Retrying(
            retry=self._may_try_again,
            wait=self._seconds_to_wait,
            stop=self._is_used_up,
            retry_error_callback=self._leave_out,
        )
        retrying.begin()
        state = RetryCallState(retrying, None, (), {})
        state.set_exception((type(self._first), self._first, self._first.__traceback__))
        while True:
            step = retrying.iter(state)
            if isinstance(step, DoSleep):
                state.prepare_for_next_attempt()
                await self._flow.pause(step)
            elif isinstance(step, DoAttempt):
                await self._attempt_once(state)
            else:
                reply: LLMReply = step
                return reply

    async def _attempt_once(self, state: RetryCallState) -> None:
        try:
            state.set_result(await self._attempt())
        except BackendError as exc:
            state.set_exception((type(exc), exc, exc.__traceback__))

    def _may_try_again(self, state: RetryCallState) -> bool:
        exc = _exception(state)
        if not (isinstance(exc, BackendError) and exc.retryable):
            return False
        throttled = isinstance(exc, ThrottledError)
        self._refusals += throttled
        self._failures += not throttled
        return True

    def _seconds_to_wait(self, state: RetryCallState) -> float:
        exc = _exception(state)
        times = self._refusals if isinstance(exc, ThrottledError) else self._failures
        return self._flow.seconds_until_next_try(exc, times - 1) if exc else 0.0

    def _is_used_up(self, _: RetryCallState) -> bool:
        seconds = asyncio.get_running_loop().time() - self._since
        return not self._flow.is_worth_a_try(self._failures, self._refusals, seconds)

    def _leave_out(self, state: RetryCallState) -> LLMReply:
        exc = _exception(state)
        self._flow.count_row_left_out()
        return LLMReply(self._row_id, error=_word(exc), detail=first_line(exc) if exc else "")


@dataclass(slots=True)
class _Counts:
    sent: int = 0
    throttled: int = 0
    timed_out: int = 0
    failed: int = 0
    rows_left_out: int = 0
    peak: int = 0

    def add(self, exc: BackendError) -> None:
        word = _word(exc)
        self.throttled += word == "throttled"
        self.timed_out += word == "timed_out"
        self.failed += word == "server_error"


@dataclass(slots=True)
class _Turn:
    """A request that waits for a place: admitted, or told (False) that there will be none."""

    tokens: int
    admitted: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def _retry_after(exc: BaseException) -> float | None:
    return exc.retry_after if isinstance(exc, ThrottledError) else None


def _word(exc: BaseException | None) -> str:
    if isinstance(exc, ThrottledError):
        return "throttled"
    is_late = exc is not None and isinstance(exc.__cause__ or exc.__context__, TimeoutError)
    return "timed_out" if is_late else "server_error"


def _exception(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _end_sleep(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
