from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from datagen import console
from datagen.console import BarProgress, LineProgress, Pace, make_progress, setup_logging
from datagen.errors import StorageError
from datagen.progress import SilentProgress


class FakeClock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(
        console, "_stderr", lambda: Console(file=screen, force_terminal=True, width=100, color_system=None)
    )
    return screen


def test_pace_says_share_rate_and_remaining_time(clock: FakeClock) -> None:
    pace = Pace("embed documents", 15_809, "documents", clock)
    pace.done = 3_200
    clock.now += 23.7
    assert pace.describe() == "embed documents: 3,200/15,809 (20 %), 135 documents/s, 1:33 left"


def test_pace_says_hours_and_slow_rates_when_a_step_is_long(clock: FakeClock) -> None:
    pace = Pace("ask", 10_000, "requests", clock)
    pace.done = 100
    clock.now += 80
    assert pace.describe() == "ask: 100/10,000 (1 %), 1.2 requests/s, 2:12:00 left"


@pytest.mark.parametrize(
    ("total", "done", "expected"),
    [
        pytest.param(0, 0, "x: 0/0 (100 %), 0:02 in all", id="nothing-to-do"),
        pytest.param(10, 0, "x: 0/10 (0 %), 0:02 in all", id="nothing-done"),
        pytest.param(10, 10, "x: 10/10 (100 %), 5.0 rows/s, 0:02 in all", id="all-done"),
    ],
)
def test_pace_ends_with_the_whole_time(clock: FakeClock, total: int, done: int, expected: str) -> None:
    pace = Pace("x", total, "rows", clock)
    pace.done = done
    clock.now += 2
    assert pace.describe(ended=True) == expected


def test_lines_come_every_five_seconds_and_at_the_end(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "datagen")
    with LineProgress(clock).step("mine", 30, "queries") as advance:
        for _ in range(30):
            clock.now += 1
            advance(1)
    assert [message.split(" (")[0] for message in caplog.messages] == [
        *(f"mine: {done}/30" for done in (5, 10, 15, 20, 25)),
        "mine: 30/30",
    ]


def test_lines_end_with_how_far_a_failed_step_came(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "datagen")
    with contextlib.suppress(RuntimeError), LineProgress(clock).step("mine", 30, "queries") as advance:
        clock.now += 1
        advance(3)
        raise RuntimeError("lost")
    assert caplog.messages == ["mine: 3/30 (10 %), 3.0 queries/s, 0:01 in all"]


def test_bars_show_counts_and_units_on_a_terminal(terminal: io.StringIO) -> None:
    progress = make_progress(quiet=False)
    assert isinstance(progress, BarProgress)
    with progress.step("embed documents", 4_000, "documents") as advance:
        advance(4_000)
    assert "embed documents" in terminal.getvalue()
    assert "4,000/4,000 documents" in terminal.getvalue()


def test_bars_stand_together_when_a_step_has_steps_inside(terminal: io.StringIO) -> None:
    progress = make_progress(quiet=False)
    with progress.step("outer", 2, "blocks") as advance:
        with progress.step("inner", 7, "rows") as advance_inner:
            advance_inner(7)
        advance(2)
    with progress.step("next", 1, "files") as advance:
        advance(1)
    last_lines = terminal.getvalue()
    assert all(text in last_lines for text in ("2/2 blocks", "7/7 rows", "1/1 files"))


def test_progress_is_lines_when_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_stderr", lambda: Console(file=io.StringIO()))
    assert isinstance(make_progress(quiet=False), LineProgress)


def test_progress_is_silent_when_quiet() -> None:
    assert isinstance(make_progress(quiet=True), SilentProgress)


def test_log_lines_reach_a_terminal_beside_the_bars(terminal: io.StringIO) -> None:
    with setup_logging(quiet=False, log_file=None):
        logging.getLogger("datagen.stages").info("kept [all] rows")
    assert "kept [all] rows" in terminal.getvalue()


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        pytest.param(False, ["datagen info", "datagen warning", "other warning"], id="speaking"),
        pytest.param(True, ["datagen warning", "other warning"], id="quiet"),
    ],
)
def test_screen_shows_own_news_and_all_warnings(
    capsys: pytest.CaptureFixture[str], quiet: bool, expected: list[str]
) -> None:
    with setup_logging(quiet, None):
        _say_everything()
    assert [line.split(maxsplit=2)[2] for line in capsys.readouterr().err.splitlines()] == expected


def test_log_file_holds_everything_but_foreign_debug_lines(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "run.log"
    with setup_logging(quiet=True, log_file=file):
        _say_everything()
    said = [line.split(": ", 1)[1] for line in file.read_text(encoding="utf-8").splitlines()]
    assert said == ["datagen debug", "datagen info", "datagen warning", "other info", "other warning"]


def test_log_file_is_appended_to_when_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "run.log"
    for text in ("first", "second"):
        with setup_logging(quiet=True, log_file=file):
            logging.getLogger("datagen").info(text)
    assert [line.split(": ", 1)[1] for line in file.read_text(encoding="utf-8").splitlines()] == ["first", "second"]


def test_secrets_of_the_environment_are_never_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    monkeypatch.setenv("SHORT_TOKEN", "on")
    file = tmp_path / "run.log"
    with setup_logging(quiet=False, log_file=file):
        try:
            raise ValueError("refused: sk-0123456789")
        except ValueError:
            logging.getLogger("datagen").exception("calling on %s", "sk-0123456789")
    for text in (file.read_text(encoding="utf-8"), capsys.readouterr().err):
        assert "calling on ***" in text
        assert "ValueError: refused: ***" in text
        assert "sk-0123456789" not in text


def test_logging_is_as_before_when_the_block_ends() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("datagen").level)
    with setup_logging(quiet=False, log_file=None):
        assert len(root.handlers) == len(before[0]) + 1
    assert (list(root.handlers), root.level, logging.getLogger("datagen").level) == before


def test_log_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"), setup_logging(quiet=False, log_file=tmp_path):
        pass


def _say_everything() -> None:
    for name in ("datagen", "other"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s %s", name, logging.getLevelName(level).lower())
