"""Every error that datagen raises on purpose.

DatagenError                 catch this one to catch them all
├── ConfigError              a setting is unknown, out of range, or contradicts another
├── InputError               the user's data cannot be used as it is
├── RunFolderError           the run folder belongs to another run, version or process
├── StorageError             the disk said no: full, read-only, no permission
└── BackendError             a model, index or server failed; `retryable` says whether waiting may help
    ├── BackendMissingError  a package that the backend needs is not installed
    ├── ModelLoadError       a model could not be found or loaded
    └── ThrottledError       a server asks for fewer requests (429, 503, 529)

A message says what failed, the value, what is allowed and what to do, in one sentence or two.
A bad row is never an error: it is a row in `dropped/` with a reason. A broken backend always is.
"""

from __future__ import annotations

from collections.abc import Iterable


class DatagenError(Exception):
    """Base of all errors that datagen raises on purpose."""


class ConfigError(DatagenError):
    """A setting is unknown, out of range, or contradicts another."""


class InputError(DatagenError):
    """The user's data cannot be used as it is."""


class RunFolderError(DatagenError):
    """The run folder belongs to another run, version or process."""


class StorageError(DatagenError):
    """The disk refused: full, read-only, or no permission."""


class BackendError(DatagenError):
    """A model, index or server failed."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        """Keep whether trying again later may help."""
        super().__init__(message)
        self.retryable = retryable


class BackendMissingError(BackendError):
    """A package that the backend needs is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        """Name what needs the package and the command that installs it."""
        super().__init__(f"{what} needs a package that is not installed: run  pip install 'datagen[{extra}]'")
        self.extra = extra


class ModelLoadError(BackendError):
    """A model could not be found or loaded."""


class ThrottledError(BackendError):
    """A server asks for fewer requests; `retry_after` is its own word on when, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Keep how long the server wants to be left alone, if it says so."""
        super().__init__(message, retryable=True)
        self.retry_after = retry_after


def unknown_choice(what: str, value: object, choices: Iterable[str]) -> ConfigError:
    """An error for a wrong name that lists the right ones.

    Args:
        what: the kind of thing that was named, such as `margin policy`.
        value: what the user wrote.
        choices: what exists.
    """
    return ConfigError(f"unknown {what} {value!r}: choose one of {', '.join(sorted(choices))}")


def some_of(values: Iterable[object], limit: int = 5) -> str:
    """The first few values for a message: `'a', 'b' … (12 in all)`."""
    listed = list(values)
    shown = ", ".join(repr(value) for value in listed[:limit])
    return shown if len(listed) <= limit else f"{shown} … ({len(listed):,} in all)"


def first_line(exc: BaseException) -> str:
    """The first line of an error's message, or its kind when it has none."""
    return next(iter(str(exc).splitlines()), type(exc).__name__)
