"""What of the environment is secret: never written to a log, never part of what is pushed."""

from __future__ import annotations

import os

_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def secret_values(shortest: int = 8) -> list[str]:
    """Values of at least so many characters of variables whose names end like those of secrets, the longest first."""
    named = (value for name, value in os.environ.items() if name.upper().endswith(_SECRET_NAMES))
    return sorted((value for value in named if len(value) >= shortest), key=len, reverse=True)
