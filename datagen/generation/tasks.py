"""Tasks that a brainstorm has thought up, and which of them a row is written for.

The tasks of a group stand on a ring, each at several places that its text decides; a row takes the next task after its
own place. So a task that is added or removed changes the rows beside it alone.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from datagen import shards
from datagen.errors import InputError
from datagen.generation.outcome import Source
from datagen.generation.slots import uniform

PLACES_OF_A_TASK = 8


@dataclass(frozen=True, slots=True)
class Task:
    """One task."""

    task_id: str
    group: str
    text: str
    topic: str


class Tasks:
    """All tasks of a run, by group."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        """Take them; a group is laid out when a row first asks for it."""
        self._tasks = tuple(tasks)

    def lend(self, source: Source, group: str, seed: int, row_id: str) -> Source:
        """A row's source with the task of this group that it is written for.

        Raises:
            InputError: the group has no task.
        """
        places, tasks = self._rings.get(group, ((), ()))
        if not tasks:
            raise InputError(
                f"no task was thought up for the group {group!r}: run `datagen brainstorm` with more --num"
            )
        task = tasks[bisect(places, uniform(seed, "task", row_id)) % len(tasks)]
        known = {"task": task.text, "group": task.group, "topic": task.topic, "task_id": task.task_id}
        return replace(source, extra={**source.extra, **known})

    @cached_property
    def _rings(self) -> Mapping[str, tuple[tuple[float, ...], tuple[Task, ...]]]:
        rings: dict[str, list[tuple[float, str, Task]]] = {}
        for task in self._tasks:
            ring = rings.setdefault(task.group, [])
            ring += ((uniform(task.text, "place", n), task.task_id, task) for n in range(PLACES_OF_A_TASK))
        laid = {group: sorted(ring, key=lambda stand: stand[:2]) for group, ring in rings.items()}
        return {
            group: (tuple(at for at, _, _ in ring), tuple(task for _, _, task in ring)) for group, ring in laid.items()
        }


def read_tasks(table: Path) -> Tasks:
    """The tasks of a table."""
    frame = shards.read(table, ["task_id", "group", "task", "topic"])
    return Tasks(Task(task_id, group, task, topic or "") for task_id, group, task, topic in frame.iter_rows())
