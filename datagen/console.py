"""How a run speaks while it works: log lines and progress, on the screen and in a file.

On a terminal a step is a bar with rate and remaining time; elsewhere (a job's log, CI) it is a plain line now and
then. Both go to stderr, so that what a command prints on stdout stays its own.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from datagen.environment import secret_values
from datagen.progress import Advance, Progress, SilentProgress
from datagen.storage import guard_disk, make_folder

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0

_PLAIN_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextlib.contextmanager
def setup_logging(quiet: bool, log_file: Path | None) -> Iterator[None]:
    """Send log lines to stderr, and all of them to a file, while the block runs.

    Args:
        quiet: only warnings and errors on the screen.
        log_file: appended to; None for no file. Other libraries' debug lines are left out of it, because those of
            HTTP clients hold request headers, keys among them.

    Raises:
        StorageError: the file cannot be written.
    """
    handlers = [_screen_handler(quiet)]
    if log_file is not None:
        handlers.append(_file_handler(log_file))
    levels = {"datagen": logging.DEBUG if log_file else logging.INFO, "": logging.INFO if log_file else logging.WARNING}
    before = {name: logging.getLogger(name or None).level for name in levels}
    try:
        _apply(levels)
        for handler in handlers:
            logging.getLogger().addHandler(handler)
        yield
    finally:
        _apply(before)
        for handler in handlers:
            logging.getLogger().removeHandler(handler)
            handler.close()


def make_progress(quiet: bool) -> Progress:
    """What shows long steps: bars on a terminal, plain lines elsewhere, nothing when quiet."""
    if quiet:
        return SilentProgress()
    return BarProgress(_stderr()) if _stderr().is_terminal else LineProgress()


class Pace:
    """How far a step is, how fast it goes, and how long it has left."""

    def __init__(self, label: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock of a step of `total` units; `clock` gives seconds."""
        self.label = label
        self.total = total
        self.unit = unit
        self.done = 0
        self.note = ""
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return self._clock() - self._started

    def describe(self, *, ended: bool = False) -> str:
        """The step in one line: `embed documents: 3,200/15,809 (20 %), 135 documents/s, 1:33 left`."""
        share = self.done / self.total if self.total else 1.0
        rate = self.done / self.seconds if self.seconds > 0 else 0.0
        parts = [f"{self.label}: {self.done:,}/{self.total:,} ({share:.0%})".replace("%", " %")]
        if rate:
            parts.append(f"{_format_rate(rate)} {self.unit}/s")
        if ended:
            parts.append(f"{_format_seconds(self.seconds)} in all")
        elif rate:
            parts.append(f"{_format_seconds((self.total - self.done) / rate)} left")
        return ", ".join([*parts, self.note] if self.note else parts)


class LineProgress:
    """Plain lines: at most one every few seconds, and always a last one."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, seconds_between: float = SECONDS_BETWEEN_LINES
    ) -> None:
        """Keep what gives the seconds, and how many must pass between two lines."""
        self._clock = clock
        self._seconds_between = seconds_between

    @contextlib.contextmanager
    def step(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """Log lines about a step of `total` units while the block runs; the last one comes even if it fails."""
        pace = Pace(label, total, unit, self._clock)
        said = 0.0

        def advance(amount: int, note: str = "") -> None:
            nonlocal said
            pace.done += amount
            pace.note = note or pace.note
            if pace.seconds - said >= self._seconds_between and pace.done < pace.total:
                said = pace.seconds
                log.info(pace.describe())

        try:
            yield advance
        finally:
            log.info(pace.describe(ended=True))


class BarProgress:
    """Bars with rate and remaining time; a step inside another one gets a bar below it."""

    def __init__(self, console: Console) -> None:
        """Keep the terminal to draw on."""
        self._console = console
        self._bars: Bars | None = None

    @contextlib.contextmanager
    def step(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """Draw a bar for a step of `total` units while the block runs; the log file gets one line at the end."""
        pace = Pace(label, total, unit)
        with self._drawing() as bars:
            task = bars.add_task(label, total=total, unit=unit, note="")

            def advance(amount: int, note: str = "") -> None:
                pace.done += amount
                pace.note = note or pace.note
                bars.update(task, advance=amount, note=pace.note)

            try:
                yield advance
            finally:
                log.debug(pace.describe(ended=True))

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[Bars]:
        if self._bars is not None:
            yield self._bars
            return
        with _make_bars(self._console) as bars:
            self._bars = bars
            try:
                yield bars
            finally:
                self._bars = None


def _make_bars(console: Console) -> Bars:
    remaining = TimeRemainingColumn(elapsed_when_finished=True)
    return Bars(TextColumn("{task.description}"), BarColumn(), _CountColumn(""), remaining, console=console)


class _CountColumn(TextColumn):
    """`3,200/15,809 documents, 135/s`."""

    def render(self, task: Task) -> Text:
        """The counts of one bar."""
        speed = task.finished_speed or task.speed
        rate = f", {_format_rate(speed)}/s" if speed else ""
        note = f", {task.fields['note']}" if task.fields["note"] else ""
        return Text(f"{int(task.completed):,}/{int(task.total or 0):,} {task.fields['unit']}{rate}{note}")


class _RedactingFormatter(logging.Formatter):
    """Puts *** where a secret of the environment would be written."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, its traceback included."""
        text = super().format(record)
        for secret in secret_values():
            text = text.replace(secret, "***")
        return text


@functools.cache
def _stderr() -> Console:
    # Shared by log lines and bars, so that a line moves the bar down instead of tearing it.
    return Console(stderr=True)


def _screen_handler(quiet: bool) -> logging.Handler:
    handler: logging.Handler
    if _stderr().is_terminal:
        handler = RichHandler(console=_stderr(), show_path=False, log_time_format="%H:%M:%S", omit_repeated_times=False)
        handler.setFormatter(_RedactingFormatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_RedactingFormatter(_PLAIN_FORMAT, datefmt="%H:%M:%S"))
    handler.setLevel(logging.WARNING if quiet else logging.INFO)
    handler.addFilter(_is_for_the_screen)
    return handler


def _file_handler(path: Path) -> logging.Handler:
    make_folder(path.parent)
    with guard_disk(path):
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_RedactingFormatter(_FILE_FORMAT))
    return handler


def _is_for_the_screen(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.split(".")[0] == "datagen"


def _apply(levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _format_seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
