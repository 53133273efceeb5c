"""From the tables of a run to the rows of a recipe: passages, known pairs, or nothing but numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datagen.errors import InputError
from datagen.generation.outcome import PlannedRow, Source
from datagen.generation.passages import count_pairs, count_passages, read_linked, read_pairs
from datagen.generation.recipes.load import Recipe
from datagen.generation.row_plan import find_row, numbered_row, plan_numbered, plan_rows
from datagen.settings.generate import GenerateConfig

PASSAGES, PAIRS = "passages", "pairs"


@dataclass(frozen=True)
class RowSources:
    """What the rows of a run are made of."""

    recipe: Recipe
    settings: GenerateConfig
    seed: int
    table: Callable[[str], Path]
    """The folder of a table, as the stages before left it; raises when there is none."""

    @property
    def is_numbered(self) -> bool:
        """Whether rows are made of nothing that the input holds."""
        return self.recipe.reads not in (PASSAGES, PAIRS)

    def count(self) -> int:
        """How many passages or pairs there are to make rows of; 0 for numbered rows.

        Raises:
            InputError: the recipe reads what the input does not hold.
        """
        if self.is_numbered:
            return 0
        number = count_passages(self.table("corpus")) if self.recipe.reads == PASSAGES else count_pairs(self._pairs())
        if not number:
            raise InputError(
                f"the recipe {self.recipe.name!r} reads {self.recipe.reads}, and the input holds none: look at "
                "`dropped` for what was left out, or name another --recipe"
            )
        return number

    def rows(self) -> Iterator[PlannedRow]:
        """The rows in plan order, pulled lazily.

        Raises:
            ConfigError: rows are numbered and `num` does not say how many.
        """
        if self.is_numbered:
            return plan_numbered(self.settings, self.seed)
        return plan_rows(self._read, self.count(), self.settings, self.seed)

    def expected(self) -> int:
        """Rows wanted, or tried where no number is wanted."""
        return self.settings.num or self.count() * self.settings.queries_per_passage

    def find(self, row_id: str) -> PlannedRow | None:
        """The row of this id."""
        if not self.is_numbered:
            return find_row(self._read(), self.count(), row_id, self.settings, self.seed)
        numbers = range(self.settings.resolved_attempts or 0)
        rows = (numbered_row(number, self.seed) for number in numbers)
        return next((row for row in rows if row.row_id == row_id), None)

    def _read(self) -> Iterator[Source]:
        if self.recipe.reads == PASSAGES:
            return read_linked(self.table("corpus"))
        return read_pairs(self.table("corpus"), self.table("queries"), self._pairs())

    def _pairs(self) -> Path:
        return self.table("pairs")
