"""What a long step tells the person who waits: a protocol for the stages, and the silent version."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Advance(Protocol):
    """Takes in how much was done."""

    def __call__(self, amount: int, note: str = "") -> None:
        """Count `amount` units as done; a note that is not empty is shown beside the count until the next one."""
        ...


class Progress(Protocol):
    """Shows how far a step is."""

    def step(self, label: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Show a step of `total` units while the block runs; call the given function with each amount done."""
        ...


class SilentProgress:
    """Shows nothing."""

    @contextlib.contextmanager
    def step(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """Accept and forget each amount."""
        yield _forget


def _forget(amount: int, note: str = "") -> None:
    """Take no note."""
