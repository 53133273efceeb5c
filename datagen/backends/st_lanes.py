"""Runs the batches of a model side by side: between a backend that knows its model and the texts it is given.

While the model computes, the next texts are tokenised in a thread of their own. On processors several batches run side
by side, each on a core of its own: a batch split over the cores waits for the slowest at every one of its many small
steps. On GPUs each device has a copy of the model.
"""

from __future__ import annotations

import functools
import itertools
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

from datagen.backends.protocols import Float32, TokenUsage
from datagen.backends.st_batches import Batch, Block, Part, cut_blocks, map_ahead
from datagen.backends.st_model import give_back_memory

_BLOCKS_AHEAD = 2
_MOST_LANES = 16

M = TypeVar("M")


class Lanes(Generic[M]):
    """Models, one a device, each of which works on so many batches at the same time."""

    def __init__(self, models: Sequence[M], device: torch.device, *, several_callers: bool) -> None:
        """Decide how many batches run at the same time.

        Args:
            models: a copy for each device.
            device: of the first of them.
            several_callers: whether a model stands more than one batch at a time.
        """
        self._threads = torch.get_num_threads()
        lanes = _lanes(models, device, self._threads) if several_callers else list(models)
        self._threads_per_lane = max(1, self._threads // len(lanes))
        self._n_lanes = len(lanes)
        self._free: queue.SimpleQueue[M] = queue.SimpleQueue()
        for model in lanes:
            self._free.put(model)

    def fill(
        self,
        parts: Iterable[Part],
        cut: Callable[[Block], list[Batch]],
        compute: Callable[[M, Batch], Float32],
        usage: TokenUsage,
    ) -> Iterator[Part]:
        """The parts (none of them empty) in their order, each when its last batch has been filled in.

        The parts after the one that is asked for are worked on ahead; no batch holds texts of two parts.

        Args:
            parts: what to compute, drawn as it is needed.
            cut: makes batches of a block of texts; runs in one thread of its own.
            compute: what a model gives for a batch, one row a text.
            usage: advanced by what each batch reads.
        """
        started: deque[Part] = deque()
        share = functools.partial(torch.set_num_threads, self._threads_per_lane)
        run = functools.partial(self._run, compute)
        try:
            with ThreadPoolExecutor(1) as tokenizer, ThreadPoolExecutor(self._n_lanes, initializer=share) as runner:
                blocks = map_ahead(tokenizer, cut, _blocks(parts, started), _BLOCKS_AHEAD)
                for batch in map_ahead(runner, run, itertools.chain.from_iterable(blocks), 2 * self._n_lanes):
                    usage.tokens += batch.usage.tokens
                    usage.padded += batch.usage.padded
                    batch.part.missing -= len(batch.numbers)
                    if not batch.part.missing:
                        give_back_memory()
                        yield started.popleft()
        finally:
            torch.set_num_threads(self._threads)  # what the lanes set is the default of threads that start later

    def _run(self, compute: Callable[[M, Batch], Float32], batch: Batch) -> Batch:
        """Fill in the results of a batch."""
        model = self._free.get()
        try:
            batch.part.found[batch.numbers] = compute(model, batch)
        finally:
            self._free.put(model)
        return batch


def _blocks(parts: Iterable[Part], started: deque[Part]) -> Iterator[Block]:
    for part in parts:
        started.append(part)
        yield from cut_blocks(part)


def _lanes(models: Sequence[M], device: torch.device, threads: int) -> list[M]:
    wanted = max(len(models), min(threads, _MOST_LANES)) if device.type == "cpu" else 2 * len(models)
    return [models[number % len(models)] for number in range(wanted)]
