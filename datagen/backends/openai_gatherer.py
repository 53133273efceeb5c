"""Requests of the batch lane, put together until a batch of them is worth submitting; no connection is made here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from datagen.backends.openai_api import Dialect


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How requests are put together; the defaults are OpenAI's."""

    most_lines: int = 50_000
    most_bytes: int = 100_000_000
    quiet_seconds: float = 2.0
    """A batch is submitted when no request has come for so long."""
    in_flight: int = 50_000


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch: its name there, and its line in the file, which ends with a newline."""

    custom_id: str
    content: bytes


class Gatherer:
    """Puts lines together until none has come for a while or there are as many as fit."""

    def __init__(self, limits: BatchLimits, submit: Callable[[list[Line], Dialect], None]) -> None:
        """Keep what is done with the lines that are together."""
        self._limits, self._submit = limits, submit
        self._lines: list[Line] = []
        self._bytes = 0
        self._sent = Dialect()
        self._last_came = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: Line, sent: Dialect) -> None:
        """Take in a line; all lines of a batch are put in the same dialect."""
        if self._bytes + len(line.content) > self._limits.most_bytes or sent != self._sent:
            self._flush()
        self._lines.append(line)
        self._bytes += len(line.content)
        self._sent = sent
        if len(self._lines) >= self._limits.most_lines:
            self._flush()
        loop = asyncio.get_running_loop()
        self._last_came = loop.time()
        self._timer = self._timer or loop.call_later(self._limits.quiet_seconds, self._flush_when_quiet)

    def stop(self) -> None:
        """Submit nothing more."""
        self._lines = []
        if self._timer is not None:
            self._timer.cancel()

    def _flush_when_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._last_came + self._limits.quiet_seconds
        waits = due > loop.time()
        self._timer = loop.call_at(due, self._flush_when_quiet) if waits else None
        if not waits:
            self._flush()

    def _flush(self) -> None:
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            self._submit(lines, self._sent)
