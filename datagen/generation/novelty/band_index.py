"""Which known texts share MinHash bands with a new one: millions of texts in 8 bytes a band.

An entry is one number of 64 bits: the hash of a band in the upper 36, the number of the text in the lower 28. Entries
stand in few sorted arrays, each at least four times as long as the next; those of the newest texts in a dict until they
fill an array. Two bands that meet by chance cost one comparison more, no wrong answer.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import rensa

from datagen.errors import DatagenError

UInt64: TypeAlias = npt.NDArray[np.uint64]

_NUMBER_BITS = np.uint64(28)
_NUMBER_MASK = np.uint64((1 << 28) - 1)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FRESH_TEXTS = 1024
_GROWTH = 4
_MOST_IN_BUCKET = 32
_SEED = 1


def hash_bands(plain: str, grams: Sequence[str], bands: int, rows: int) -> UInt64:
    """The hashes of a text, uint64 (1 + bands,) below 2^36: first that of the normalised text, then one for each band.

    A text without grams has the hash of the text for all of them.
    """
    whole = int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "little") >> 28
    hashes = np.full(bands + 1, whole, dtype=np.uint64)
    if grams:
        signature = rensa.RMinHash(num_perm=bands * rows, seed=_SEED)
        signature.update(list(grams))
        minima = np.array(signature.digest(), dtype=np.uint64).reshape(bands, rows)
        mixed = np.arange(1, bands + 1, dtype=np.uint64)
        for row in range(rows):
            mixed = (mixed ^ minima[:, row]) * _MULTIPLIER
            mixed ^= mixed >> np.uint64(29)
        hashes[1:] = (mixed * _MULTIPLIER) >> _NUMBER_BITS
    return hashes


def find_meeting(hashes: UInt64) -> npt.NDArray[np.bool_]:
    """Which rows of hashes (n, 1 + bands) share a hash with another row of them, or with themselves."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return np.asarray((counts[inverse].reshape(hashes.shape) > 1).any(axis=1), dtype=np.bool_)


class BandIndex:
    """Texts by their bands; numbers count from 0 in the order of `add`."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._size = 0
        self._runs: list[UInt64] = []
        self._fresh: dict[int, int] = {}
        """The first of the newest texts that has a band: most bands have one, and a list for each would cost most."""
        self._fresh_others: defaultdict[int, list[int]] = defaultdict(list)
        self._fresh_rows: list[UInt64] = []

    def __len__(self) -> int:
        """How many texts it holds."""
        return self._size

    def add(self, hashes: UInt64) -> int:
        """Take in a text by its hashes; its number."""
        if self._size > int(_NUMBER_MASK):
            raise DatagenError(f"a run can hold at most {int(_NUMBER_MASK):,} texts for novelty: switch novelty off")
        number = self._size
        for value in hashes.tolist():
            if self._fresh.setdefault(value, number) != number:
                self._fresh_others[value].append(number)
        self._fresh_rows.append((hashes << _NUMBER_BITS) | np.uint64(number))
        self._size += 1
        if len(self._fresh_rows) >= _FRESH_TEXTS:
            self._settle()
        return number

    def find(self, hashes: UInt64) -> list[Counter[int]]:
        """For each row of hashes (n, 1 + bands), the numbers of texts that share bands with it, and how many bands.

        The first hash, that of the whole text, counts as much as all others. Of a band that very many texts have, only
        the newest are named.
        """
        found: list[Counter[int]] = [Counter() for _ in range(len(hashes))]
        for row, values in enumerate(hashes.tolist()):
            for column, value in enumerate(values):
                if value in self._fresh:
                    numbers = [self._fresh[value], *self._fresh_others.get(value, ())]
                    _count(found[row], numbers[-_MOST_IN_BUCKET:], 1 if column else len(values))
        if not self._runs:
            return found
        flat = hashes.ravel()
        order = np.argsort(flat)
        for run in self._runs:
            _find_in_run(run, flat, order, found)
        return found

    def _settle(self) -> None:
        run = np.sort(np.concatenate(self._fresh_rows))
        self._fresh.clear()
        self._fresh_others.clear()
        self._fresh_rows.clear()
        while self._runs and len(self._runs[-1]) < _GROWTH * len(run):
            run = np.concatenate((self._runs.pop(), run))
            run.sort(kind="stable")
        self._runs.append(run)


def _find_in_run(run: UInt64, flat: UInt64, order: npt.NDArray[np.intp], found: list[Counter[int]]) -> None:
    """Keys are looked up in their order: neighbours lie near each other in memory."""
    keys = flat[order] << _NUMBER_BITS
    starts = np.searchsorted(run, keys)
    first = run[np.minimum(starts, len(run) - 1)]
    hits = np.flatnonzero(((first & ~_NUMBER_MASK) == keys) & (starts < len(run)))
    if not len(hits):
        return
    ends = np.searchsorted(run, keys[hits] | _NUMBER_MASK, side="right")
    width = len(flat) // len(found)
    places = order[hits]
    for place, start, end in zip(places.tolist(), starts[hits].tolist(), ends.tolist(), strict=True):
        numbers = run[max(start, end - _MOST_IN_BUCKET) : end] & _NUMBER_MASK
        _count(found[place // width], numbers.tolist(), 1 if place % width else width)


def _count(counter: Counter[int], numbers: list[int], weight: int) -> None:
    for number in numbers:
        counter[number] += weight
