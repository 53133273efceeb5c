"""Servers without a network, a clock or an event loop, and a client that asks them under an `InFlightLimit`.

A server is told when a request arrives and says when the next one ends, and how.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from datagen.generation.runtime.limiter import InFlightLimit

Draw = Callable[[], float]


@dataclass(frozen=True, order=True)
class Ending:
    """A request ends at this moment, with an answer or a refusal."""

    time: float
    number: int
    row: int = field(compare=False)
    answered: bool = field(compare=False)
    retry_after: float | None = field(compare=False, default=None)


def constant(seconds: float) -> Draw:
    return lambda: seconds


def lognormal(mean: float, sigma: float, seed: int = 0) -> Draw:
    rng = random.Random(seed)
    return lambda: mean * math.exp(rng.gauss(-sigma * sigma / 2, sigma))


@dataclass
class Server:
    """Answers everything; the base of the others. `refuse_seconds` None: a refusal takes as long as an answer."""

    latency: Draw
    refuse_seconds: float | None = None
    retry_after: float | None = None
    endings: list[Ending] = field(default_factory=list)
    arrivals: int = 0

    def arrive(self, now: float, row: int) -> None:
        if self.accepts(now):
            self.end(now + self.latency(), row, answered=True)
        else:
            seconds = self.latency() if self.refuse_seconds is None else self.refuse_seconds
            self.end(now + seconds, row, answered=False)

    def accepts(self, now: float) -> bool:
        return True

    def end(self, time: float, row: int, *, answered: bool) -> None:
        self.arrivals += 1
        heapq.heappush(self.endings, Ending(time, self.arrivals, row, answered, None if answered else self.retry_after))

    def next_time(self) -> float:
        return self.endings[0].time if self.endings else math.inf

    def pop(self) -> Ending:
        return heapq.heappop(self.endings)


@dataclass
class RandomRefusals(Server):
    """Refuses a share of all requests, however few there are."""

    share: float = 0.33
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def accepts(self, now: float) -> bool:
        return self.rng.random() >= self.share


@dataclass
class TokenBucket(Server):
    """Takes so many requests a second, and a burst after a pause."""

    per_second: float = 100.0
    burst: float = 100.0
    level: float = 0.0
    filled_at: float = 0.0

    def accepts(self, now: float) -> bool:
        self.level = min(self.burst, self.level + (now - self.filled_at) * self.per_second)
        self.filled_at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


@dataclass
class MaxConcurrent(Server):
    """Works on so many requests at once and refuses the others."""

    capacity: int = 16
    busy: int = 0

    def accepts(self, now: float) -> bool:
        if self.busy >= self.capacity:
            return False
        self.busy += 1
        return True

    def pop(self) -> Ending:
        ending = super().pop()
        self.busy -= ending.answered
        return ending


@dataclass
class Queueing(Server):
    """Works on so many requests at once; the others wait their turn and are never refused."""

    capacity: int = 16
    busy: int = 0
    queue: deque[int] = field(default_factory=deque)

    def arrive(self, now: float, row: int) -> None:
        if self.busy < self.capacity:
            self.busy += 1
            self.end(now + self.latency(), row, answered=True)
        else:
            self.queue.append(row)

    def pop(self) -> Ending:
        ending = super().pop()
        if self.queue:
            self.end(ending.time + self.latency(), self.queue.popleft(), answered=True)
        else:
            self.busy -= 1
        return ending


@dataclass
class Down(Server):
    """Fails at once between two moments, and breaks what is open at the first one."""

    begin: float = 5.0
    until: float = 25.0

    def arrive(self, now: float, row: int) -> None:
        ends = now + self.latency()
        if self.begin <= now < self.until:
            self.end(now + 0.001, row, answered=False)
        else:
            broken = now < self.begin < ends
            self.end(self.begin if broken else ends, row, answered=not broken)


@dataclass
class Finished:
    """What a simulation showed: when each answer and each refusal came, and the limit after each event."""

    answers: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)

    def seconds(self, share: float = 1.0) -> float:
        """Until this share of the rows was answered: the last ones leave places empty."""
        return self.answers[max(0, int(share * len(self.answers)) - 1)]

    def late_refused_share(self) -> float:
        half = self.seconds() / 2
        refused = sum(time > half for time in self.refusals)
        return refused / max(1, refused + sum(time > half for time in self.answers))

    def late_limits(self) -> list[int]:
        half = self.seconds() / 2
        return [limit for time, limit in self.limits if time > half]


@dataclass
class Client:
    """Asks all rows, second tries first, waiting before them as `Flow` does; `active` rows at most at a time."""

    limit: InFlightLimit
    server: Server
    rows: int
    active: int
    rng: random.Random
    now: float = 0.0
    fresh: int = 0
    again: deque[int] = field(default_factory=deque)
    asleep: list[tuple[float, int]] = field(default_factory=list)
    began: dict[int, float] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    seen: Finished = field(default_factory=Finished)

    def run(self) -> Finished:
        while len(self.seen.answers) < self.rows:
            while self.limit.has_room(self.now) and (row := self._next_row()) is not None:
                self.limit.enter(self.now)
                self.began[row] = self.now
                self.server.arrive(self.now, row)
            self._pass_time()
            assert 1 <= self.limit.limit <= 100_000
        return self.seen

    def _next_row(self) -> int | None:
        if self.again:
            return self.again.popleft()
        if self.fresh < self.rows and self.fresh - len(self.seen.answers) < self.active:
            self.fresh += 1
            return self.fresh
        return None

    def _pass_time(self) -> None:
        waking = self.asleep[0][0] if self.asleep else math.inf
        ending, opening = self.server.next_time(), self.limit.reopens_at(self.now)
        moment = min(waking, ending, opening)
        assert moment < math.inf, "nothing will ever happen again"
        self.now = max(self.now, moment)
        if moment == ending:
            self._end(self.server.pop())
        elif moment == waking:
            self.again.append(heapq.heappop(self.asleep)[1])

    def _end(self, ending: Ending) -> None:
        seconds = self.now - self.began[ending.row]
        if ending.answered:
            self.limit.answered(self.now, seconds)
            self.seen.answers.append(self.now)
        else:
            self.limit.refused(self.now, seconds, ending.retry_after)
            self.seen.refusals.append(self.now)
            heapq.heappush(self.asleep, (self.now + self._wait(ending), ending.row))
        self.seen.limits.append((self.now, self.limit.limit))

    def _wait(self, ending: Ending) -> float:
        times = self.tries[ending.row] = self.tries.get(ending.row, 0) + 1
        most = min(1.0, 2 * self.limit.latency)
        if ending.retry_after is not None:
            return ending.retry_after + min(most, 0.5) * self.rng.random()
        return min(most, most / 4 * 2.0 ** min(times - 1, 9)) * self.rng.random()


def simulate(limit: InFlightLimit, server: Server, rows: int, *, active: int = 0, seed: int = 0) -> Finished:
    """Ask all rows; `active` 0 is as many as `Session` has at work."""
    return Client(limit, server, rows, active or 4 * limit.limit, random.Random(seed)).run()
