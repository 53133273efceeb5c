"""A recipe, its models, a journal, flow control and caps, put together: rows in, outcomes out, in plan order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from datagen.backends.protocols import LLM
from datagen.generation.askers import Askers
from datagen.generation.conversation import Generator
from datagen.generation.outcome import Outcome, PlannedRow
from datagen.generation.recipes.load import Recipe
from datagen.generation.rows import RowWriter
from datagen.generation.runtime.journal import Journal
from datagen.generation.runtime.stream import in_order
from datagen.generation.slots import weighted_choice
from datagen.generation.tasks import Tasks
from datagen.settings.generate import GenerateConfig, LLMConfig

ROWS_AHEAD = 8192
"""Finished rows that may wait behind a slow one."""
FIRST_ROWS = 256
"""Rows begun before so many were looked at as show a collapse, at most; then one more for each that is looked at."""
ROWS_THAT_SHOW = 128


@dataclass(frozen=True)
class Settings:
    """What a session follows from."""

    generate: GenerateConfig
    llm: LLMConfig
    seed: int


class Session(Askers):
    """Writes the rows of one run."""

    def __init__(
        self,
        settings: Settings,
        recipe: Recipe,
        journal: Journal,
        llms: Mapping[str, LLM | None],
        tasks: Tasks | None = None,
    ) -> None:
        """Put the parts together; nothing is asked yet.

        Args:
            settings: of the run.
            recipe: what is asked.
            journal: where answers are kept.
            llms: each model by its name, the judge with them where there is one; None reads its answers from the
                journal alone.
            tasks: what a brainstorm has thought up, for recipes that need it.

        Raises:
            ConfigError: the prices cannot be read, or a cap needs one that is not known.
        """
        generate = settings.generate
        super().__init__(settings.llm, generate, journal, llms)
        self._shares, self._seed = generate.resolved_llms, settings.seed
        judge = self.generators.get(generate.judge or "")
        self.writer = RowWriter(recipe, generate, settings.seed, tasks or Tasks(), judge)

    def generator(self, row: PlannedRow) -> Generator:
        """Who writes a row: drawn by the shares."""
        if len(self._shares) == 1:
            return self.generators[next(iter(self._shares))]
        return self.generators[weighted_choice(self._shares, self._seed, "generator", row.row_id)]

    def outcomes(
        self, rows: Iterable[PlannedRow], wanted: Callable[[], int], looked_at: Callable[[], int]
    ) -> AsyncIterator[Outcome]:
        """What becomes of the rows, in their order; rows are pulled as there is room.

        Args:
            rows: planned rows, read lazily.
            wanted: how many may still be unsettled.
            looked_at: how many outcomes were looked at.

        Raises:
            BackendError: the server is down, or refuses the whole run; all answers so far are in the journal.
        """

        def room() -> int:
            return 0 if self.spending.stopped_by else min(wanted(), FIRST_ROWS + max(0, looked_at() - ROWS_THAT_SHOW))

        return in_order(rows, self._write, active=self.active, ahead=self.active + ROWS_AHEAD, wanted=room)

    async def _write(self, row: PlannedRow) -> Outcome:
        return await self.writer.write(row, self.generator(row))

    async def write_other(self, outcome: Outcome, covered: Sequence[str]) -> Outcome:
        """A row once more, with what it may not repeat."""
        return await self.writer.write_other(outcome, self.generator(outcome.row), covered)
