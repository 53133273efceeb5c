"""How many requests may be open, how fast they go out, and when to give up: rules alone, the time is handed in.

`flow.py` does the waiting. All times are seconds of one clock that never goes back.

The limit of open requests begins at what the user allows and falls on evidence alone, which `trials.py`
weighs: a server that says no (429, 503, 529, failures), or one that only gets slower. Four rules besides:
- While nothing speaks against it the limit grows, by doubling where it was higher before, else by one in 25 answers.
- A place whose request was refused at once stays empty for a moment: else a few places too many would send hundreds of
  requests a second that are all refused.
- When as many requests as may be open were refused in a row, nothing new is sent but what replaces an answered one.
  With nothing open any more everything is held until the server's Retry-After, or else looked at every few seconds.
- An answer to a request that was sent since then ends this.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from datagen.generation.runtime.trials import WINDOW, Trials, Window

GROW_EVERY = 25
"""Answers for one more request at a time, while nothing is known against it."""
SLOWEST_GROWTH = 8
"""… and this many times as many near a limit that was found to be too high again and again."""
LONGEST_CLOSED = 1.0
"""Seconds that the place of a refused request stays empty, at most."""
LONGEST_COOL_DOWN = 5.0
"""Seconds between two looks at a server that refuses everything."""
FEWEST_REFUSED = 8
"""Refusals that stop a limit which doubles, at least."""
ROWS_OF_AN_OUTAGE = 4
"""Failures of fewer rows are the rows' own business."""
HOPELESS_ROWS = 20


class InFlightLimit:
    """Places for requests, as many as the server does good work with, never more than the ceiling."""

    def __init__(self, ceiling: int, *, steady: bool = False) -> None:
        """Begin at the ceiling; a steady limit stays there."""
        self.in_flight = 0
        self.held_seconds = 0.0
        self.latency = math.inf
        """Seconds that an answer takes; infinite before the first one."""
        self._ceiling, self._steady = ceiling, steady
        self._exact = float(ceiling)
        self._places = ceiling
        self._target = float(ceiling)
        self._last_cut = 0.0
        self._growth = 1
        self._hold_until = 0.0
        self._closed: deque[float] = deque()
        self._window = Window(max(WINDOW, ceiling))
        self._trials = Trials()
        self._refused_in_a_row = 0
        self._retry_at = math.inf
        self._dark: _Darkness | None = None
        self._judged = True

    @property
    def limit(self) -> int:
        """Requests that may be open at once now."""
        return self._places

    def has_room(self, now: float) -> bool:
        """Whether one more request may be sent."""
        closed = self._closed
        while closed and closed[0] <= now:
            closed.popleft()
        return self.in_flight + len(closed) < self._places and now >= self._hold_until

    def reopens_at(self, now: float) -> float:
        """When there may be room again without any request ending; infinite when only that can make room."""
        times = [time for time in (self._hold_until, *list(self._closed)[:1]) if time > now]
        return min(times, default=math.inf)

    def enter(self, now: float) -> None:
        """A request takes a place."""
        self._window.pass_time(now, self.in_flight)
        self.in_flight += 1

    def leave(self, now: float) -> None:
        """A request gives its place back and says nothing about the server."""
        self._window.pass_time(now, self.in_flight)
        self.in_flight -= 1

    def answered(self, now: float, seconds: float, *, typical: bool = True) -> None:
        """A request was answered, after so many seconds; an answer that is not typical tells nothing by its time."""
        self.leave(now)
        if self._steady:
            return
        self._refused_in_a_row = 0
        if self._dark and now - seconds >= self._dark.since:
            self._end_darkness(now)
        if typical:
            self.latency = seconds if self.latency == math.inf else 0.95 * self.latency + 0.05 * seconds
            self._window.add_answer(now, seconds)
            self._judge_if_ripe(now)
        if self._places < self._ceiling:
            self._grow()

    def refused(self, now: float, seconds: float, retry_after: float | None = None) -> None:
        """A request was refused or failed, after so many seconds; the server may have said when to come back."""
        self.leave(now)
        if self._steady:
            return
        self._window.add_refusal(now, seconds)
        self._close_place(now, seconds)
        self._judge_if_ripe(now)
        if self._exact < self._target and not self._dark:
            self._stop_doubling(now)
        self._retry_at = math.inf if self._refused_in_a_row == 0 else self._retry_at
        self._refused_in_a_row += 1
        if retry_after is not None:
            self._retry_at = min(self._retry_at, now + retry_after)
        if self._dark or self._refused_in_a_row >= max(self._places, self._trials.run_beyond_chance):
            self._darken(now)

    def _set(self, limit: float) -> None:
        self._exact = min(max(limit, 1.0), float(self._ceiling))
        self._places = int(self._exact + 1e-9)

    def _grow(self) -> None:
        """Up to the target by one with each answer, which doubles the limit within a latency; above it carefully."""
        is_used = self.in_flight + len(self._closed) + 1 >= self._places
        if not is_used or self._trials.is_running or self._dark:
            return
        if self._exact < self._target:
            self._set(self._exact + 1)
        elif not self._trials.is_crowded:
            self._set(self._exact + 1 / (GROW_EVERY * self._growth))
        if self._exact > max(1.25 * self._last_cut, self._last_cut + 4):
            self._growth = 1

    def _stop_doubling(self, now: float) -> None:
        """At the first refusals on the way up: read a window at this limit before going on."""
        window = self._window
        if window.refusals >= FEWEST_REFUSED and self._trials.is_over_baseline(window.refused_share, window.count):
            self._target = self._exact
            self._open_window(now)

    def _stay_near(self) -> None:
        """This limit was found by refusals or latency: look above it ever less often."""
        self._target = self._last_cut = self._exact
        self._growth = min(2 * self._growth, SLOWEST_GROWTH)

    def _close_place(self, now: float, seconds: float) -> None:
        """A server refuses in no time: without this one place too many would send hundreds of requests a second."""
        rest = min(self.latency, LONGEST_CLOSED) * (0.1 if self._trials.baseline > 0 else 1.0) - seconds
        if rest > 0 and not self._dark and self.latency < math.inf:
            self._closed.append(now + rest)

    def _judge_if_ripe(self, now: float) -> None:
        if self._dark or not self._window.is_ripe(now):
            return
        seen = self._window.read(now, self._exact, is_first=self._trials.is_new)
        self._judged = True
        verdict = self._trials.judge(seen, self._ceiling)
        if verdict.limit is not None:
            self._set(verdict.limit)
        if verdict.kept:
            self._stay_near()
        elif verdict.grow_to:
            self._last_cut, self._growth = 0.0, 1
        self._target = verdict.grow_to or self._target
        if verdict.is_change:
            # Answers of all lengths tell about latency, those that were sent before too.
            begun_after = now if verdict.about == "refusals" else -math.inf
            self._open_window(now, opens=now + self.latency, begun_after=begun_after)
        else:
            self._open_window(now)

    def _open_window(self, now: float, *, opens: float = 0.0, begun_after: float = -math.inf) -> None:
        self._window = Window(self._trials.window_size(self._places), opens, begun_after)
        self._window.pass_time(now, self.in_flight)

    def _darken(self, now: float) -> None:
        """A whole limit of requests was refused without one answer: only what is still open may work on."""
        if not self._dark:
            self._dark = _Darkness(now, self._trials.abandon(self._exact))
            self._closed.clear()
            if self._retry_at < math.inf:
                self._hold(now, self._retry_at)
        self._set(max(1, self.in_flight))
        if self.in_flight == 0:
            self._dark.looks += 1
            cool_down = now + min(LONGEST_COOL_DOWN, 1.5 ** min(self._dark.looks, 9))
            self._hold(now, self._retry_at if self._retry_at < math.inf else cool_down)

    def _hold(self, now: float, until: float) -> None:
        self.held_seconds += max(0.0, until - max(now, self._hold_until))
        self._hold_until = max(self._hold_until, until)
        self._retry_at = math.inf

    def _end_darkness(self, now: float) -> None:
        """A request sent in the dark was answered: back to the limit before, at once after an outage."""
        before, was_outage = (self._dark.limit, self._dark.looks > 0) if self._dark else (self._exact, False)
        self._dark = None
        if was_outage:
            self._target = before
        elif self._exact >= before / 2:
            self._target = (self._exact + before) / 2
        else:
            self._target = before if self._judged else before / 2
        self._judged = False
        self._closed.clear()
        self._open_window(now)


class RateBucket:
    """An amount a minute, such as requests or tokens, spread evenly but for a burst of one second's worth."""

    def __init__(self, per_minute: int) -> None:
        """Begin full. No minute gets more than this many, but for what an estimate was too low."""
        self._size = max(1.0, per_minute / 60)
        self._per_second = (per_minute - self._size + 1) / 60
        self._level, self._time = self._size, 0.0

    def ready_at(self, amount: float, now: float) -> float:
        """When so much may be taken: now or later. More than a full bucket may be taken from a full one, on credit."""
        self._fill(now)
        missing = min(amount, self._size) - self._level
        return now + missing / self._per_second if missing > 1e-9 else now

    def take(self, amount: float, now: float) -> None:
        """Use it up; a negative amount gives back what was reserved for nothing."""
        self._fill(now)
        self._level = min(self._level - amount, self._size)

    def _fill(self, now: float) -> None:
        self._level = min(self._size, self._level + max(0.0, now - self._time) * self._per_second)
        self._time = now


class Breaker:
    """Says when going on makes no sense."""

    def __init__(self, give_up_seconds: float, timeout_seconds: float) -> None:
        """Wait so long for any answer; requests that are still open get their whole timeout."""
        self._give_up, self._longest = give_up_seconds, max(give_up_seconds, timeout_seconds)
        self._trouble: _Trouble | None = None
        self._last_answer = 0.0
        self._turned_down: set[str] | None = set()

    def answered(self, now: float) -> None:
        """The server answered as it should."""
        self._trouble, self._last_answer = None, now
        self._turned_down = None

    def turned_down(self, now: float, row_id: str) -> None:
        """The server answered that it will never answer this row."""
        self._trouble, self._last_answer = None, now
        if self._turned_down is not None:
            self._turned_down.add(row_id)

    def failed(self, now: float, started: float, row_id: str, *, throttled: bool) -> None:
        """The server refused for now, or failed."""
        if self._trouble is None:
            self._trouble = _Trouble(max(started, self._last_answer), now)
        self._trouble.add(started, row_id, throttled=throttled)

    @property
    def is_hopeless(self) -> bool:
        """Whether the first rows, twenty of them, were all turned down for good."""
        return self._turned_down is not None and len(self._turned_down) >= HOPELESS_ROWS

    def silent_seconds(self, now: float) -> float:
        """For how long there has been nothing but trouble."""
        return now - self._trouble.since if self._trouble else 0.0

    def next_look(self, now: float) -> float:
        """When to ask `is_down` again if nothing happens until then; infinite when there is no need."""
        if self._trouble is None:
            return math.inf
        times = (self._trouble.since + self._give_up, self._trouble.since + self._longest)
        return min((time for time in times if time > now), default=math.inf)

    def is_down(self, now: float, in_flight: int) -> bool:
        """Whether the server has been down for so long that the run should stop.

        A few rows that always fail are no outage, and neither are requests that hung during one: some request sent
        after the first failure must have failed too.
        """
        trouble = self._trouble
        if trouble is None or now - trouble.since < (self._longest if in_flight else self._give_up) - 1e-6:
            return False
        return trouble.throttled or (trouble.looked_again and len(trouble.rows) >= ROWS_OF_AN_OUTAGE)


class _Trouble:
    """Failures since the last answer."""

    def __init__(self, since: float, first_seen: float) -> None:
        self.since, self._first_seen = since, first_seen
        self.rows: set[str] = set()
        self.throttled = self.looked_again = False

    def add(self, started: float, row_id: str, *, throttled: bool) -> None:
        self.rows.add(row_id)
        self.throttled = self.throttled or throttled
        self.looked_again = self.looked_again or started >= self._first_seen


@dataclass(slots=True)
class _Darkness:
    """A time in which everything is refused; `looks` counts the cool-downs since nothing is open any more."""

    since: float
    limit: float
    looks: int = 0
