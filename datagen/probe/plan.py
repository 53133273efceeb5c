"""Which queries stand in which batch, and which of their positives and negatives are read: alike for every arm.

Rows are packed as sentence-transformers' NO_DUPLICATES sampler packs them, with two differences. It is decided once
for all arms, so that they read the same queries in the same order. And two rows exclude each other only where one would
give the other a false negative: the same query, or a positive of one among the documents of the other in any arm.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datagen.errors import InputError
from datagen.probe.arms import Arm, Questions
from datagen.settings.probe import ProbeConfig

Lists = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plan:
    """Rows in the order of training, batch after batch; documents by id."""

    queries: list[str]
    positives: list[str]
    negatives: Mapping[str, Lists]
    """For each arm that has some, the negatives of every row, as many in each."""

    def columns(self, arm: str) -> list[Sequence[str]]:
        """What the loss reads of an arm beside the queries: positives, first negatives, second negatives and so on."""
        return [self.positives, *zip(*self.negatives.get(arm, ()), strict=True)]


def plan_rows(questions: Questions, arms: Mapping[str, Arm], config: ProbeConfig, seed: int) -> Plan:
    """The rows of all steps.

    Raises:
        InputError: not even one batch can be made.
    """
    known: list[list[str]] = questions.rows["positives"].to_list()
    texts: list[str] = questions.rows["query"].to_list()
    lists: dict[str, Lists] = {name: arm.negatives.to_list() for name, arm in arms.items() if arm.negatives is not None}
    rows = list(itertools.islice(_batches(texts, known, lists, config, seed), config.steps))
    drawn = [row for batch in rows for row in batch]
    return Plan(
        [texts[row.question] for row in drawn],
        [row.positive for row in drawn],
        {name: [row.negatives[name] for row in drawn] for name in lists},
    )


@dataclass(frozen=True)
class _Row:
    question: int
    positive: str
    negatives: Mapping[str, Sequence[str]]


def _batches(
    texts: Sequence[str], known: Lists, lists: Mapping[str, Lists], config: ProbeConfig, seed: int
) -> Iterator[list[_Row]]:
    """Batches without end: once through all questions, in another order each time."""
    random = np.random.default_rng(seed)
    while True:
        order, draws = random.permutation(len(texts)), random.random((len(texts), 2))
        waiting = [_draw(int(i), draws[i], known, lists, config.negatives) for i in order]
        made = False
        while batch := _pack(waiting, texts, known, config.batch_size):
            made = True
            yield batch
        if not made:
            raise InputError(
                f"of {len(texts):,} queries no {config.batch_size} can stand in one batch without a positive of one "
                "among the documents of another: take a smaller batch size"
            )


def _draw(i: int, draws: np.ndarray, known: Lists, lists: Mapping[str, Lists], wanted: int) -> _Row:
    """The positive of a row, and from the same place of every arm's list its negatives, going on at the front."""
    positive = known[i][int(draws[0] * len(known[i]))]
    negatives = {}
    for name, of_arm in lists.items():
        found = of_arm[i]
        first = int(draws[1] * len(found))
        negatives[name] = [found[(first + j) % len(found)] for j in range(wanted)]
    return _Row(i, positive, negatives)


def _pack(waiting: list[_Row], texts: Sequence[str], known: Lists, size: int) -> list[_Row]:
    """The next batch, whose rows are taken from those that wait; empty when there is no full one."""
    batch: list[_Row] = []
    positives: set[str] = set()
    others: set[str] = set()
    queries: set[str] = set()
    later: list[_Row] = []
    for place, row in enumerate(waiting):
        own = set(known[row.question])
        read = {document for found in row.negatives.values() for document in found}
        if texts[row.question] in queries or own & (positives | others) or read & positives:
            later.append(row)
            continue
        batch.append(row)
        queries.add(texts[row.question])
        positives |= own
        others |= read
        if len(batch) == size:
            waiting[:] = [*later, *waiting[place + 1 :]]
            return batch
    return []
