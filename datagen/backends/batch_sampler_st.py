"""Batches of an export as the trainers of sentence-transformers read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import SequentialSampler

from datagen.backends.protocols import Int64
from datagen.errors import ConfigError


class PlannedBatches(DefaultBatchSampler):
    """The batches of a column, in another order in each epoch; with `drop_last` without those that are not full."""

    def __init__(
        self,
        dataset: Sized,
        batch_size: int,
        drop_last: bool,
        valid_label_columns: list[str] | None = None,
        generator: torch.Generator | None = None,
        seed: int = 0,
        *,
        numbers: Int64,
    ) -> None:
        """Take what the trainer gives a sampler.

        Args:
            dataset: the rows.
            batch_size: rows of a batch that is full.
            drop_last: leave out batches that are not full.
            valid_label_columns: as the trainer gives it; not used.
            generator: as the trainer gives it; not used.
            seed: of the order of batches.
            numbers: the batch of each row, (n_rows,).

        Raises:
            ConfigError: a batch has more rows than `batch_size`.
        """
        super().__init__(
            SequentialSampler(dataset),
            batch_size,
            drop_last,
            valid_label_columns,
            generator,
            seed,
        )
        order = np.argsort(numbers, kind="stable")
        batches = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
        largest = max(map(len, batches))
        if largest > batch_size:
            raise ConfigError(
                f"the rows stand in batches of {largest}, and the trainer reads {batch_size} at a time: give it a "
                f"batch size of {largest} (per_device_train_batch_size, per_device_eval_batch_size), or export with "
                f"--batch-size {batch_size}"
            )
        self._batches = [batch.tolist() for batch in batches if len(batch) == batch_size or not drop_last]

    def __iter__(self) -> Iterator[list[int]]:
        """The rows of each batch."""
        for place in np.random.default_rng([self.seed, self.epoch]).permutation(len(self._batches)):
            yield self._batches[place]

    def __len__(self) -> int:
        """How many batches there are."""
        return len(self._batches)


@dataclass(frozen=True)
class Planner:
    """Gives the trainer a sampler for a dataset; the trainer pickles it with its arguments at every checkpoint."""

    numbers: Mapping[int, Int64]
    """The batch of each row, by how many rows there are."""

    def __call__(self, dataset: Sized, *args: Any, **kwargs: Any) -> PlannedBatches:  # Any: what the trainer gives
        """The sampler of a dataset, told by its number of rows.

        Raises:
            ConfigError: there are no batches for so many rows.
        """
        found = self.numbers.get(len(dataset))
        if found is None:
            raise ConfigError(
                f"the trainer reads {len(dataset):,} rows, and there are batches for "
                f"{' and '.join(f'{size:,}' for size in self.numbers)}: give datagen.batch_sampler the column `batch` "
                "of every dataset that the trainer is given, as it stands after rows were taken out"
            )
        return PlannedBatches(dataset, *args, **kwargs, numbers=found)


def make_planner(columns: Sequence[Sequence[int]]) -> Planner:
    """What gives the trainer a sampler for a dataset: see `datagen.batch_sampler`.

    Raises:
        ConfigError: two columns are equally long.
    """
    numbers = {len(column): np.asarray(column, np.int64) for column in columns}
    if len(numbers) < len(columns):
        raise ConfigError(
            "two data sets of equally many rows cannot be told apart: give datagen.batch_sampler one of them, and "
            "take a row from the other"
        )
    return Planner(numbers)
