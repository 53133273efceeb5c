"""The documents that may still be among the k best of some queries, by rounded scores.

One candidate is one 64-bit number, so that a plain sort orders all of them by query, best first: 15 bits of query,
16 bits of score (turned round), 32 bits of document. Scores are handled as integers of the same order as the numbers
that they stand for, which is cheaper to compare than bfloat16.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from datagen.backends.exact import Numbers, best_first
from datagen.backends.protocols import Float32, Int64

Integers: TypeAlias = npt.NDArray[np.signedinteger[Any]]  # Any: 16 or 32 bits, as the product's number type
Bool: TypeAlias = npt.NDArray[np.bool_]
Bits = TypeVar("Bits", torch.Tensor, Integers)

_MOST = 8
"""Candidates kept for each wanted document, on average, before exact scores are asked for."""
_SPARE = 256


def ordered(bits: Bits) -> Bits:
    """The bits of floating-point numbers as integers in the same order; its own inverse."""
    width = 8 * bits.itemsize
    turned: Bits = bits ^ ((bits >> (width - 1)) & (2 ** (width - 1) - 1))
    return turned


class Survivors:
    """What is left for each of some queries."""

    def __init__(self, n_queries: int, k: int, dtype: torch.dtype) -> None:
        """Start with nothing; `dtype` is that of the products."""
        self._k, self._dtype = k, dtype
        self._shift = 8 * (dtype.itemsize - 2)
        self._integers: Any = np.int16 if dtype.itemsize == 2 else np.int32  # Any: a type of numpy
        self.limits: Integers = np.full(n_queries, np.iinfo(self._integers).min, self._integers)
        """The lowest score worth keeping, as an ordered integer, (n_queries,)."""
        self.errors: Float32 = np.zeros(n_queries, np.float32)
        """What a product may be off by before it is rounded itself, (n_queries,)."""
        self._floors = np.full(n_queries, -np.inf, np.float32)
        self._kept = np.empty(0, np.int64)
        self._added: list[Int64] = []
        self._n_added = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return not len(self._kept) and not self._n_added

    @property
    def has_negative_limits(self) -> bool:
        """Whether scores must be brought into order before they are compared: above zero they are as they are."""
        return bool((self.limits < 0).any())

    @property
    def is_overfull(self) -> bool:
        """Whether rounded scores alone do not tell enough candidates apart."""
        return len(self._kept) > len(self.limits) * (_MOST * self._k + _SPARE)

    def start(self, kth: Integers) -> None:
        """Set limits from the k-th highest score of some documents, as ordered integers, (n_queries,)."""
        self._raise_limits(kth >> self._shift, np.arange(len(kth)))

    def add(self, rows: Int64, scores: Integers, numbers: Int64) -> None:
        """Take in candidates: query, ordered score, document; all (n,)."""
        self._added.append((rows << 48) | ((32_767 - (scores >> self._shift).astype(np.int64)) << 32) | numbers)
        self._n_added += len(rows)
        if 2 * self._n_added > len(self._kept):
            self._compact()

    def close(self) -> tuple[npt.NDArray[np.uint16], Numbers]:
        """Query and document of all candidates, query by query."""
        self._compact()
        return (self._kept >> 48).astype(np.uint16), self._kept.astype(np.uint32)

    def full_rows(self, rows: npt.NDArray[np.uint16]) -> Bool:
        """Which candidates belong to queries that have very many."""
        counts = np.bincount(rows, minlength=len(self.limits))
        full: Bool = (counts > _MOST // 2 * self._k)[rows]
        return full

    def replace(self, full: Bool, scores: Float32) -> None:
        """Keep only the k best of those queries whose candidates were scored exactly, and raise their limits."""
        keys = self._kept[full]
        rows = (keys >> 48).astype(np.uint16)
        order = best_first(rows, keys.astype(np.uint32), scores)
        counts = np.bincount(rows, minlength=len(self.limits))
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        best = np.arange(len(order)) - starts < self._k
        last = np.arange(len(order)) - starts == self._k - 1
        at = rows[order][last]
        self._floors[at] = np.maximum(self._floors[at], scores[order][last] - self.errors[at])
        self._kept = np.sort(np.concatenate([self._kept[~full], keys[order][best]]))
        self._set_limits(at)

    def _compact(self) -> None:
        """Sort, raise each limit to what the k-th best tells, and drop what is below."""
        keys = np.sort(np.concatenate([self._kept, *self._added]))
        self._added, self._n_added = [], 0
        rows = keys >> 48
        starts = np.searchsorted(rows, np.arange(len(self.limits) + 1))
        enough = np.flatnonzero(np.diff(starts) >= self._k)
        scores = 32_767 - ((keys >> 32) & 0xFFFF)
        self._raise_limits(scores[starts[enough] + self._k - 1], enough)
        self._kept = keys[scores >= (self.limits >> self._shift)[rows]]

    def _raise_limits(self, kth: Integers, rows: Int64) -> None:
        """Limits of some queries from the upper 16 bits of their k-th best score so far."""
        bits = ordered((kth.astype(np.int64) << self._shift).astype(self._integers))
        values = torch.from_numpy(bits).view(self._dtype).float().numpy()
        rounding = np.abs(values) * np.float32(torch.finfo(self._dtype).eps / 2)
        self._floors[rows] = np.maximum(self._floors[rows], values - rounding - 2 * self.errors[rows])
        self._set_limits(rows)

    def _set_limits(self, rows: Int64) -> None:
        """Rounding keeps order: what is at least a floor is at least the rounded floor when it is rounded."""
        floors = torch.from_numpy(self._floors[rows]).to(self._dtype)
        integers = torch.int16 if self._dtype.itemsize == 2 else torch.int32
        limits = ordered(floors.view(integers).numpy())
        self.limits[rows] = limits - (limits == 0)  # minus zero is as good as zero
