"""Where an engine in processes of its own says what it does, and how its last words are found again."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path

from datagen.errors import first_line

_CAUSES = (
    re.compile(r"Worker proc .* died unexpectedly.*"),
    re.compile(r"^(?:\w+\.)*[A-Z]\w*(?:Error|Exception): .*\S", re.MULTILINE),
    re.compile(r"engine core exited unexpectedly"),
)
"""What tells why an engine ended, best first: a process was killed, an exception with its words, it is gone."""
_POINTERS = ("root cause", "stack trace")
"""In an exception that only points to another one."""


class EngineLog:
    """A file of log lines in the temporary folder; gone with this object unless something went wrong."""

    def __init__(self, folder: Path) -> None:
        """Take a folder of its own; see `open_engine_log`."""
        self._folder = folder
        self._finalizer = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / "engine.log"

    def write_settings(self, logger: str = "vllm") -> Path:
        """A file of logging settings (JSON, as `logging.config.dictConfig` reads them) that send a logger here."""
        handler = {
            "class": "logging.FileHandler",
            "filename": str(self.path),
            "encoding": "utf-8",
            "delay": True,
            "formatter": "plain",
        }
        level = os.environ.get("VLLM_LOGGING_LEVEL", logging.getLevelName(logging.INFO))
        settings = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
            "handlers": {"file": handler},
            "loggers": {logger: {"handlers": ["file"], "level": level, "propagate": False}},
        }
        path = self._folder / "logging.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return path

    def explain(self, exc: BaseException) -> str:
        """What went wrong, in one line: the words of the log, or those of the exception; the log is then kept."""
        if not self.path.is_file():
            return first_line(exc)
        self._finalizer.detach()
        return f"{last_words(self.path.read_text(encoding='utf-8')) or first_line(exc)} (its log: {self.path})"

    def remove(self) -> None:
        """Remove the file now; without effect on a log that is kept."""
        self._finalizer()


def open_engine_log() -> EngineLog:
    """A log in a new folder."""
    return EngineLog(Path(tempfile.mkdtemp(prefix="datagen-engine-")))


def last_words(log: str) -> str | None:
    """The last words of an engine in its log, one line; None when it tells of no end."""
    for cause in _CAUSES:
        for words in reversed(cause.findall(log)):
            if not any(pointer in words for pointer in _POINTERS):
                return str(words)
    return None
