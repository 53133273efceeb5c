"""Rows with the values that suit their passage: what a language model may choose among, before it writes.

Who finds them, by a teacher's vectors, is told from outside. What was offered is kept beside the answers, because the
question follows from it: a run goes on, and is read again, with the same offers on any machine and by any teacher.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from datagen.generation.outcome import PlannedRow, Source
from datagen.generation.recipes.load import Recipe
from datagen.generation.runtime.journal import Journal
from datagen.generation.slots import digest

Nearest: TypeAlias = Callable[[Sequence[Source], Sequence[str], int], Sequence[Sequence[str]]]
"""For each passage so many of the values, nearest first."""
BY_TEACHER, DRAWN = "by teacher", "drawn"
ROWS_AT_ONCE = 256

_NOTES = "offers"
_FINDER = "finder"


@dataclass(frozen=True)
class Offers:
    """What the rows of a run are offered."""

    recipe: Recipe
    seed: int
    journal: Journal
    nearest: Nearest | None = None
    """Who finds what was never found; None where that is not wanted, or not possible."""

    def attach(self, rows: Iterable[PlannedRow]) -> Iterator[PlannedRow]:
        """The rows in their order, pulled lazily, some at a time, each with what it is offered."""
        source = iter(rows)
        while batch := list(itertools.islice(source, ROWS_AT_ONCE)):
            yield from self._attached(batch)

    def _attached(self, rows: list[PlannedRow]) -> list[PlannedRow]:
        askers = [self.recipe.for_row(self.seed, row.row_id) for row in rows]
        offered: list[Sequence[str]] = [()] * len(rows)
        for asker in dict.fromkeys(askers):
            values, count = asker.chooser.nearest if asker.chooser else ((), 0)
            places = [place for place, of_row in enumerate(askers) if of_row is asker]
            if count:
                for place, found in zip(
                    places, self._find([rows[p].source for p in places], values, count), strict=True
                ):
                    offered[place] = found
        return [replace(row, offered=tuple(found)) for row, found in zip(rows, offered, strict=True)]

    def _find(self, sources: list[Source], values: Sequence[str], count: int) -> list[Sequence[str]]:
        """The values for each passage: as they were kept, or found and kept now; none where nobody can find them."""
        kind = f"{_NOTES} {digest(count, *values).hex()}"
        names = [digest(source.title or "", source.text, size=12).hex() for source in sources]
        kept = {name: self.journal.find_note(kind, name) for name in dict.fromkeys(names)}
        missing = {name: source for name, source in zip(names, sources, strict=True) if kept[name] is None}
        if missing and self.nearest:
            found = self.nearest(list(missing.values()), values, count)
            notes = {name: json.dumps(list(best)) for name, best in zip(missing, found, strict=True)}
            self.journal.write_notes(kind, notes)
            kept |= notes
        return [json.loads(kept[name] or "[]") for name in names]


def wants_nearest(recipe: Recipe) -> bool:
    """Whether some rows of a recipe are offered what is nearest to their passage."""
    return any(part.chooser and part.chooser.nearest[1] for part in recipe.askers)


def begun_with(journal: Journal) -> str:
    """How a run has begun, `BY_TEACHER` or `DRAWN`, so that it goes on so; empty when it has not."""
    return journal.find_note(_NOTES, _FINDER) or ""


def note_beginning(journal: Journal, how: str) -> None:
    """Keep how a run has begun."""
    journal.write_note(_NOTES, _FINDER, how)
