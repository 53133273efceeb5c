"""Brainstorm: tasks that rows are then written for, where a recipe works that way."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from datagen.backends.protocols import Backends
from datagen.config import RunConfig, StageName
from datagen.errors import InputError
from datagen.generation.novelty.gate import Novelty
from datagen.generation.outcome import Outcome
from datagen.generation.output import GrowingTable, as_json
from datagen.generation.recipes.load import Recipe, load_recipe
from datagen.generation.row_plan import numbered_row
from datagen.generation.rows import TASKS
from datagen.generation.runtime import loop
from datagen.generation.runtime.journal import open_journal
from datagen.generation.session import Session, Settings
from datagen.generation.slots import digest
from datagen.progress import Advance
from datagen.run_folder import Counts
from datagen.stages.base import Work

log = logging.getLogger(__name__)

TASKS_OF_AN_ANSWER = 20
"""More tasks of one answer are left out: what comes late in a long list is thin."""
ROW_NAMES = "brainstorm"


class Brainstorm:
    """Writes tasks, each with its group, and what was left out."""

    name: StageName = "brainstorm"
    reads: tuple[str, ...] = ()
    writes = ("tasks", "dropped")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """How many tasks are wanted, who thinks them up, and what the recipe holds."""
        generate = config.generate
        asked = generate.model_dump(
            mode="json", include={"llm", "llms", "temperature", "top_p", "answer_tokens", "reasks"}
        )
        recipe = load_recipe(generate.resolved_recipe, generate.prompts)
        return {**config.brainstorm.model_dump(), **asked, "prompts": recipe.fingerprint(), "seed": config.seed}

    def run(self, work: Work) -> Counts:
        """Ask until there are enough different tasks; asked, kept, repeated, unusable, tokens and money.

        Raises:
            InputError: no task came of it.
        """
        recipe = load_recipe(work.config.generate.resolved_recipe, work.config.generate.prompts)
        if recipe.brainstorm is None:
            raise InputError(f"the recipe {recipe.name!r} needs no tasks: run `datagen generate` at once")
        found = _Tasks(work, recipe)
        llms = {
            name: None if work.journal_only else work.backends.llm(name) for name in work.config.generate.resolved_llms
        }
        with open_journal(work.around.folder.path) as journal:
            settings = Settings(work.config.generate, work.config.llm, work.config.seed)
            session = Session(settings, recipe.brainstorm, journal, llms)
            with work.progress.step("think up tasks", work.config.brainstorm.num, "tasks") as advance:
                loop.run(_think(session, found, work, advance))
        found.close()
        if not found.kept:
            raise InputError(f"no task came of {found.asked:,} questions ({found.reasons}): try another --llm")
        return {**found.counts(), **session.counts()}


async def _think(session: Session, found: _Tasks, work: Work, advance: Advance) -> None:
    seed, cap = work.config.seed, work.config.brainstorm.max_attempts
    rows = (numbered_row(number, seed, ROW_NAMES) for number in range(cap))
    async for outcome in session.outcomes(rows, found.wanted, lambda: found.asked):
        before = found.kept
        found.add(outcome)
        advance(found.kept - before, session.price_of_one(found.kept))


class _Tasks:
    """The tasks kept so far, in the order of the questions."""

    def __init__(self, work: Work, recipe: Recipe) -> None:
        self._num = work.config.brainstorm.num
        self._without = {name for name, part in recipe.parts.items() if part.reads == TASKS}
        self._most = min(TASKS_OF_AN_ANSWER, math.ceil(self._num / max(1, len(self._without))))
        self._table = GrowingTable(work.partial, "tasks", [], work.stage)
        self._dropped = GrowingTable(work.partial, "dropped", [], work.stage)
        self._novelty = Novelty(work.config.generate.novelty)
        self.asked = self.kept = self.repeated = 0
        self.reasons: dict[str, int] = {}

    def wanted(self) -> int:
        """How many questions may be open: until there are enough tasks, and some for each group."""
        return max(math.ceil((self._num - self.kept) / self._most), len(self._without))

    def add(self, outcome: Outcome) -> None:
        """Keep the new tasks of an answer."""
        self.asked += 1
        if outcome.written is None or outcome.reason:
            self._drop(outcome, outcome.reason, "")
            return
        group = str(outcome.slots.get("group", ""))
        if self.kept >= self._num and group not in self._without:
            return
        for task in outcome.written.tasks[: self._most]:
            if self._novelty.check([task], [group])[0]:
                self.repeated += 1
                self._drop(outcome, "repeated_task", task)
            else:
                self._keep(outcome, task, group)

    def _keep(self, outcome: Outcome, task: str, group: str) -> None:
        self.kept += 1
        self._without.discard(group)
        self._novelty.add(task, group)
        self._table.add(
            {
                "task_id": f"t-{digest(group, task).hex()}",
                "group": group,
                "task": task,
                "topic": str(outcome.slots.get("topic", "")),
                "generator": outcome.generator,
                "row_id": outcome.row_id,
            }
        )

    def _drop(self, outcome: Outcome, reason: str, task: str) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        payload = as_json({"slots": dict(outcome.slots), "task": task})
        self._dropped.add({"stage": ROW_NAMES, "key": outcome.row_id, "reason": reason, "payload": payload})

    def close(self) -> None:
        """Write what is still in memory."""
        self._table.flush(last=True)
        self._dropped.flush(last=True)

    def counts(self) -> Counts:
        """Totals."""
        return {
            "asked": self.asked,
            "accepted": self.kept,
            "repeated": self.repeated,
            "rejected_by_reason": self.reasons,
        }
