"""The log of an engine and the last words in it."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.backends.engine_log import EngineLog, last_words, open_engine_log

LOGGER = "datagen-test-engine"

NO_MEMORY = """\
2026-11-21 13:05:01,100 7 ERROR EngineCore failed to start.
Traceback (most recent call last):
  File "core.py", line 1, in run
    raise ValueError("x")
ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`.
2026-11-21 13:05:02,100 5 INFO [shutdown] MPClient: start
"""
IN_A_WORKER = """\
2026-11-21 13:05:01,100 8 ERROR WorkerProc failed to start.
Traceback (most recent call last):
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
2026-11-21 13:05:01,200 7 ERROR EngineCore failed to start.
Exception: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.
"""
WORKER_KILLED = """\
2026-11-21 13:05:34,112 7 ERROR Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.
RuntimeError: cancelled
2026-11-21 13:05:34,116 5 ERROR AsyncLLM output_handler failed.
vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.
"""
CORE_KILLED = """\
2026-11-21 13:05:18,807 5 WARNING [shutdown] MPClient: engine core exited unexpectedly; starting cleanup
vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.
"""


@pytest.fixture
def log() -> Iterator[EngineLog]:
    log = open_engine_log()
    logging.config.dictConfig(json.loads(log.write_settings(LOGGER).read_text()))
    yield log
    for handler in logging.getLogger(LOGGER).handlers:
        handler.close()
    log.remove()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NO_MEMORY, "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`."),
        (IN_A_WORKER, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."),
        (WORKER_KILLED, "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor."),
        (CORE_KILLED, "engine core exited unexpectedly"),
        ("2026-11-21 13:05:18,807 5 INFO all is well\n", None),
        ("", None),
    ],
    ids=["no memory", "in a worker", "worker killed", "core killed", "all is well", "empty"],
)
def test_last_words_are_the_cause_and_not_what_points_to_it(text: str, words: str | None) -> None:
    assert last_words(text) == words


def test_log_gets_what_the_logger_says_and_the_terminal_nothing(
    log: EngineLog, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger(f"{LOGGER}.core").info("hello")
    assert log.path.read_text().endswith("INFO hello\n")
    assert capfd.readouterr() == ("", "")


def test_log_is_kept_when_something_went_wrong_and_removed_otherwise(log: EngineLog) -> None:
    assert log.explain(RuntimeError("dead\nat line 1")) == "dead", "nothing was logged"
    logging.getLogger(LOGGER).error("ValueError: in passing")
    explained = log.explain(RuntimeError("dead"))
    assert explained == f"dead (its log: {log.path})"
    log.remove()
    assert log.path.is_file()
    other = open_engine_log()
    other.remove()
    assert not other.path.parent.exists()


def test_log_goes_with_its_engine(tmp_path: Path) -> None:
    folder = (log := open_engine_log()).path.parent
    assert folder.is_dir()
    del log
    assert not folder.exists()
