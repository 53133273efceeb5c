"""Reads windows of finished requests, proposes lower limits, and keeps or undoes them.

Part of `limiter.py`, which applies them. What looks like too many open requests may be something else: a
server that refuses a third of all requests at random, answers of very different length. So a lower limit is first a
trial. It stays if the refusals went away, or if as much work was done with it as before; else the old limit comes back,
the share that was refused is taken as given, and the next trial of that kind waits longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

Kind = Literal["refusals", "latency"]

WINDOW = 96
"""Finished requests in a window, at least; a window is never smaller than the limit either."""
FEWEST_ANSWERS = 8
FEWEST_IN_A_ROW = 8
NOISE = 0.03
"""A share of refused requests about as high as this is left alone."""
GENTLE_UP_TO = 0.15
"""Up to this share of refusals a limit is first lowered by that share alone."""
CLEAR_CUT = 0.75
"""A limit that is clearly too low, as a share of the requests being worked on."""
DRIFT = 0.1
"""How fast the share of refusals that is taken as given follows what is seen."""
LATENCY_CUT = 0.5
LATENCY_SAMPLE = 48
KEPT_WORK = 0.88
"""A limit that is lower because of latency stays when this share of the work was still done."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a window showed."""

    limit: float
    count: int
    refused: float
    """Share of the requests that were refused."""
    used: float
    """Requests open at once, on average."""
    working: float
    """Of those, the ones that ended with an answer."""
    log_latency: float
    median: float
    low: float
    """Latency that a tenth of the answers stayed below."""


class Window:
    """Requests that end after a moment, up to enough of them to judge by."""

    __slots__ = (
        *("_answered_seconds", "_area", "_begun_after", "_last", "_latencies", "_needed", "_oldest", "_open", "_opens"),
        *("_refused_seconds", "_since", "_were_open", "count"),
    )

    def __init__(self, needed: int, opens: float = 0.0, begun_after: float = -math.inf) -> None:
        """Begin empty; what ends before it opens, or was sent under another limit, does not count."""
        self.count = 0
        self._opens, self._begun_after, self._needed = opens, begun_after, needed
        self._latencies: list[float] = []
        self._oldest: list[float] = []
        self._answered_seconds = self._refused_seconds = self._area = self._last = 0.0
        self._open = self._were_open = 0
        self._since = -1.0

    @property
    def refusals(self) -> int:
        """How many were refused so far."""
        return self.count - len(self._latencies)

    @property
    def refused_share(self) -> float:
        """And their share."""
        return self.refusals / self.count if self.count else 0.0

    def pass_time(self, now: float, in_flight: int) -> None:
        """So many requests have been open until now."""
        self._area += in_flight * (now - self._last)
        self._last, self._open = now, in_flight

    def add_answer(self, now: float, seconds: float) -> None:
        """A request was answered after so many seconds."""
        if now >= self._opens and now - seconds >= self._begun_after:
            self._add(now)
            self._answered_seconds += seconds
            self._latencies.append(seconds)
            if now - seconds <= self._since:
                self._oldest.append(seconds)

    def add_refusal(self, now: float, seconds: float) -> None:
        """A request was refused or failed after so many seconds."""
        if now >= self._opens and now - seconds >= self._begun_after:
            self._add(now)
            self._refused_seconds += seconds

    def is_ripe(self, now: float) -> bool:
        """Whether there are enough requests, over one and a half latencies: refusals come back faster than answers."""
        if self.count < self._needed or len(self._latencies) < FEWEST_ANSWERS:
            return False
        return now - self._since >= 1.5 * self._answered_seconds / len(self._latencies)

    def read(self, now: float, limit: float, *, is_first: bool) -> Reading:
        """What the requests show; there must be an answer among them."""
        span = now - self._since
        used = self._area / span if span > 0 else float(self._open)
        useful = self._answered_seconds / max(self._answered_seconds + self._refused_seconds, 1e-9)
        latencies = sorted(max(seconds, 1e-6) for seconds in self._latencies)
        low = latencies[len(latencies) // 10]
        if is_first and len(self._oldest) > self._were_open // 10:
            # Of a burst the short ones end first: the tenth is that of all that were sent, not of those that came back.
            low = sorted(self._oldest)[self._were_open // 10]
        return Reading(
            limit=limit,
            count=self.count,
            refused=self.refused_share,
            used=used,
            working=used * useful,
            log_latency=fmean(math.log(seconds) for seconds in latencies),
            median=latencies[len(latencies) // 2],
            low=low,
        )

    def _add(self, now: float) -> None:
        if self._since < 0:
            self._since, self._area, self._were_open = now, 0.0, self._open
        self.count += 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a window led to: whether a trial's lower limit stays, and the limit from now on (None: as it is)."""

    kept: bool = False
    limit: float | None = None
    grow_to: float = 0.0
    """So far the limit may double at once, up to the first refusals."""
    about: Kind = "refusals"

    @property
    def is_change(self) -> bool:
        """Whether requests sent before now tell nothing about what comes."""
        return self.kept or self.limit is not None


class Trials:
    """What has been learnt from the windows of one run."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self.baseline = 0.0
        """Share of requests that is refused however few are open; 0 if refusals depend on the limit."""
        self.is_crowded = False
        """The server is known to queue, and its queue is long enough."""
        self._is_queueing = False
        self._running: _Trial | None = None
        self._waits: dict[Kind, _Wait] = {"refusals": _Wait(0, 8), "latency": _Wait(24, 72)}
        self._fastest = math.inf
        self._over_in_a_row = 0
        self._trust_below = 0.0
        """Once a lower limit has helped, it is lowered without a trial as long as each time helps."""

    @property
    def is_new(self) -> bool:
        """Whether no window was judged yet."""
        return math.isinf(self._fastest)

    @property
    def is_running(self) -> bool:
        """Whether the limit of now is a trial."""
        return self._running is not None

    def abandon(self, limit: float) -> float:
        """Forget the trial, something stronger sets the limit: the one before it, or else this one."""
        trial, self._running = self._running, None
        return trial.before.limit if trial else limit

    def is_over_baseline(self, refused: float, count: int) -> bool:
        """Whether a share of refusals, among so many requests, is more than what is taken as given."""
        usual = max(self.baseline, NOISE)
        return refused > usual + max(self.baseline, 2.5 * math.sqrt(usual * (1 - usual) / count))

    @property
    def run_beyond_chance(self) -> float:
        """Refusals in a row, without an answer, that the share of now brings about once in a million."""
        share = max(self.baseline, self._running.before.refused if self._running else 0.0)
        return max(FEWEST_IN_A_ROW, 14 / -math.log(share) if 0 < share < 1 else 0.0)

    def window_size(self, limit: int) -> int:
        """Requests that the next window needs: for a trial enough to tell a quarter of the refusals from all."""
        if self._running is None:
            return max(WINDOW, limit)
        if self._running.kind == "latency":
            return LATENCY_SAMPLE
        share = min(self._running.before.refused, self.baseline or 1.0)
        return int(min(max(12 * (1 - share) / share, 32), 2 * WINDOW, max(6 * limit, 32)))

    def judge(self, seen: Reading, ceiling: int) -> Verdict:
        """What follows from a window that was read under the limit of now."""
        is_first, self._fastest = self.is_new, min(self._fastest, seen.low)
        trial, self._running = self._running, None
        if trial is None:
            return self._propose(seen, ceiling, is_first=is_first)
        if self._has_helped(trial, seen):
            return self._keep(trial, seen, ceiling)
        if trial.is_gentle:
            return Verdict(limit=self._try_clearly(trial.before, trial.limit))
        self._waits[trial.kind].lengthen()
        if trial.kind == "refusals":
            self.baseline = min(trial.before.refused, seen.refused)
            self._trust_below = 0.0
        return Verdict(limit=trial.before.limit, grow_to=ceiling if trial.kind == "refusals" else 0, about=trial.kind)

    def _keep(self, trial: _Trial, seen: Reading, ceiling: int) -> Verdict:
        self._waits[trial.kind].end()
        self._is_queueing = trial.kind == "latency"
        if trial.kind == "refusals" and not trial.is_gentle:
            self._trust_below, self.baseline = 1.0, 0.0
        further = self._propose(seen, ceiling, is_first=False)
        if further.limit is None and trial.kind == "refusals":
            back = 0.0 if trial.is_gentle else trial.before.limit
            return Verdict(kept=True, limit=round(max(trial.limit, trial.before.working)), grow_to=back)
        return Verdict(kept=True, limit=further.limit, about=trial.kind)

    def _propose(self, seen: Reading, ceiling: int, *, is_first: bool) -> Verdict:
        for wait in self._waits.values():
            wait.pass_window()
        self._follow(seen, ceiling)
        self._is_queueing = self._is_queueing and seen.limit < ceiling
        self.is_crowded = self._is_queueing and seen.median > 1.5 * self._fastest
        if seen.limit >= 2 and self._is_refused_too_much(seen):
            return self._answer_refusals(seen)
        if self._trust_below > 0 and seen.refused < NOISE:
            self._trust_below = 1.0
        may_queue = seen.limit >= ceiling or self._is_queueing
        if may_queue and not is_first and seen.used >= 0.9 * seen.limit >= 3.6 and self._is_slow(seen):
            return Verdict(limit=self._try(_Trial("latency", seen, seen.limit * LATENCY_CUT)), about="latency")
        return Verdict()

    def _follow(self, seen: Reading, ceiling: int) -> None:
        """Upwards only at the ceiling: under a limit that grows, refusals that come from it would seem usual."""
        is_usual = seen.limit >= ceiling and not self.is_over_baseline(seen.refused, seen.count)
        if self.baseline > 0 and (is_usual or seen.refused < self.baseline):
            self.baseline += DRIFT * (seen.refused - self.baseline)

    def _answer_refusals(self, seen: Reading) -> Verdict:
        # Requests that hang take many places: the limit is never lowered by more than the share that was refused.
        lower = min(round(max(seen.working, seen.limit * (1 - seen.refused))), seen.limit - 1)
        if seen.refused < self._trust_below:
            self._trust_below = seen.refused / 2
            return Verdict(kept=True, limit=lower)
        if seen.refused > GENTLE_UP_TO or self.baseline > 0:
            return Verdict(limit=self._try_clearly(seen, lower))
        return Verdict(limit=self._try(_Trial("refusals", seen, lower, is_gentle=True)))

    def _is_refused_too_much(self, seen: Reading) -> bool:
        self._over_in_a_row = self._over_in_a_row + 1 if self.is_over_baseline(seen.refused, seen.count) else 0
        if self.baseline == 0:
            return self._over_in_a_row > 0
        # One window among many is far above what is usual by chance; two in a row are not.
        return self._over_in_a_row > 1 or (self._waits["refusals"].is_over and seen.refused > NOISE)

    def _share_if_it_helps(self, before: float) -> float:
        """Refusals that depend on the limit go down by three quarters, at least; the others stay."""
        known = self.baseline
        return known + (before - known) / 4 if before > 2 * known else min(before, known) / 4

    def _is_slow(self, seen: Reading) -> bool:
        wait = self._waits["latency"]
        is_extreme = seen.median > 6 * self._fastest and not wait.has_failed
        return is_extreme or (wait.is_over and seen.median > 2 * self._fastest)

    def _try_clearly(self, before: Reading, lower: float) -> float:
        """With clearly fewer requests than are being worked on, refusals that depend on the limit must go away."""
        return self._try(_Trial("refusals", before, max(CLEAR_CUT * lower, 1.0)))

    def _try(self, trial: _Trial) -> float:
        self._running = trial
        return trial.limit

    def _has_helped(self, trial: _Trial, seen: Reading) -> bool:
        before = trial.before
        if trial.kind == "latency":
            work = trial.limit / before.limit * math.exp(before.log_latency - seen.log_latency)
            return work >= KEPT_WORK and not self.is_over_baseline(seen.refused, seen.count)
        return seen.refused < self._share_if_it_helps(before.refused)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A lower limit on probation; a gentle one that fails is followed by one that is clearly low."""

    kind: Kind
    before: Reading
    limit: float
    is_gentle: bool = False


class _Wait:
    """Windows until the next trial of a kind, more after each trial that was for nothing."""

    def __init__(self, first: int, after_failure: int) -> None:
        self._after_failure, self._next = after_failure, after_failure
        self._left = first
        self.has_failed = False

    @property
    def is_over(self) -> bool:
        return self._left <= 0

    def pass_window(self) -> None:
        self._left -= 1

    def end(self) -> None:
        self._left, self._next, self.has_failed = 0, self._after_failure, False

    def lengthen(self) -> None:
        self._left, self._next, self.has_failed = self._next, min(128, 3 * self._next), True
