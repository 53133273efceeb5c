"""Whether a language model has begun to write the same over and over: an alarm over the last rows of a run.

Fed in plan order with every row that has a text. Three signs: the share of repeats, how small the texts of the window
pack (zlib), and how many bits their first three words have. Real queries never come near the limits, even those made
from templates: `python -m benchmarks.novelty`.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal

from datagen.generation.words import words
from datagen.settings.novelty import NoveltySettings

State = Literal["fine", "rotate", "stop"]

_REPEATS = frozenset({"duplicate_query", "near_duplicate_query"})
_OPENING_WORDS = 3
_MEMORY = 8
"""Windows back in which a text counts as repeated."""
_DIGITS = str.maketrans("123456789", "000000000")


@dataclass(frozen=True, slots=True)
class CollapseSigns:
    """What the last look at the window found."""

    rows: int
    repeats: float
    """Share of rows that repeat an earlier one, by the novelty gate or word by word."""
    compression: float
    """Packed size of the texts as a share of their size; above 0.3 for queries of people, less for templates."""
    entropy: float
    """Bits of the first three words, digits taken as alike; 0 when all begin the same."""


class CollapseWatch:
    """The last rows of a run, looked at every few rows."""

    def __init__(self, settings: NoveltySettings) -> None:
        """Begin with an empty window, which is fine."""
        self._settings = settings
        self._window: deque[tuple[str, str, bool]] = deque(maxlen=settings.window)
        self._past: deque[str] = deque()
        self._seen: Counter[str] = Counter()
        self._rows = 0
        self._alarm_since: int | None = None
        self._state: State = "fine"
        self._why = "nothing looked at yet"
        self.signs: CollapseSigns | None = None
        self.rotations = 0
        """How often a change of topic, persona or wording was called for: once an alarm, again each window it lasts."""

    def add(self, text: str, accepted: bool, reason: str = "") -> None:
        """Take in a row: what was written, whether it was accepted, and why not; rows without text say nothing."""
        found = words(text)
        if not found:
            return
        plain = " ".join(found)
        is_repeat = (not accepted and reason in _REPEATS) or self._seen[plain] > 0
        self._remember(plain)
        self._window.append((text, " ".join(found[:_OPENING_WORDS]).translate(_DIGITS), is_repeat))
        self._rows += 1
        if self._rows % self._settings.every == 0 and len(self._window) >= self._settings.window // 2:
            self._look()

    def state(self) -> State:
        """Whether all is fine, something has to change, or the run has to stop; `stop` stays."""
        return self._state

    def words(self) -> str:
        """Why, in one sentence with the figures."""
        return self._why

    def _remember(self, plain: str) -> None:
        self._past.append(plain)
        self._seen[plain] += 1
        if len(self._past) > _MEMORY * self._settings.window:
            oldest = self._past.popleft()
            self._seen[oldest] -= 1
            if not self._seen[oldest]:
                del self._seen[oldest]

    def _look(self) -> None:
        if self._state == "stop":
            return
        self.signs = signs = _measure(list(self._window))
        alarms, hopeless = self._judge(signs)
        if not alarms:
            self._state, self._alarm_since = "fine", None
            self._why = f"the last {signs.rows} texts vary: {_tell(signs)}"
            return
        if self._alarm_since is None:
            self._alarm_since = self._rows
        lasted = self._rows - self._alarm_since
        self.rotations += lasted % self._settings.window < self._settings.every
        self._state = "stop" if hopeless or lasted >= self._settings.patience else "rotate"
        since = f", for {lasted} rows" if lasted else ""
        self._why = f"the last {signs.rows} texts {' and '.join(alarms)}{since}: {_tell(signs)}"

    def _judge(self, signs: CollapseSigns) -> tuple[list[str], bool]:
        limits = self._settings
        is_full = signs.rows == limits.window
        repeats = signs.repeats >= limits.rotate_repeats
        alike = signs.compression < limits.rotate_compression
        opening = is_full and signs.entropy < limits.rotate_entropy and signs.compression < limits.entropy_compression
        told = {"mostly repeat earlier ones": repeats, "are nearly alike": alike, "begin with the same words": opening}
        hopeless = signs.repeats >= limits.stop_repeats or signs.compression < limits.stop_compression
        return [alarm for alarm, is_on in told.items() if is_on], is_full and hopeless


def _measure(window: list[tuple[str, str, bool]]) -> CollapseSigns:
    joined = "\n".join(text for text, _, _ in window).encode()
    openings = Counter(opening for _, opening, _ in window)
    shares = [count / len(window) for count in openings.values()]
    return CollapseSigns(
        rows=len(window),
        repeats=sum(is_repeat for _, _, is_repeat in window) / len(window),
        compression=len(zlib.compress(joined)) / len(joined),
        entropy=-sum(share * math.log2(share) for share in shares) + 0.0,
    )


def _tell(signs: CollapseSigns) -> str:
    return (
        f"{signs.repeats:.0%} repeats, packed to {signs.compression:.0%} of their size, "
        f"{signs.entropy:.1f} bits in their first three words"
    )
