"""The accepted text nearest to a new one by the teacher's vectors: exact, over a matrix that grows in blocks."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from datagen.backends.protocols import Float32, Int64

Float16: TypeAlias = npt.NDArray[np.float16]

_BLOCK = 8192


class VectorIndex:
    """Unit vectors in float16, 2 bytes a dimension; numbers count from 0 in the order of `add`."""

    def __init__(self) -> None:
        """Hold nothing; the first vector says how long all are."""
        self._size = 0
        self._blocks: list[Float16] = []

    def add(self, vector: Float32) -> None:
        """Take in a unit vector, float32 (dim,)."""
        if self._size == _BLOCK * len(self._blocks):
            self._blocks.append(np.empty((_BLOCK, len(vector)), dtype=np.float16))
        self._blocks[-1][self._size % _BLOCK] = vector
        self._size += 1

    def find(self, vectors: Float32) -> tuple[Int64, Float32]:
        """The nearest of each unit vector (n, dim): its number, -1 where nothing is held, and the cosine, -1 to 1.

        Of equally near ones the first.
        """
        numbers = np.full(len(vectors), -1, dtype=np.int64)
        cosines = np.full(len(vectors), -1, dtype=np.float32)
        for place, block in enumerate(self._blocks):
            filled = block[: self._size - place * _BLOCK].astype(np.float32)
            scores = vectors @ filled.T
            best = scores.argmax(axis=1)
            value = scores[np.arange(len(vectors)), best]
            closer = value > cosines
            numbers[closer] = best[closer] + place * _BLOCK
            cosines[closer] = value[closer]
        return numbers, cosines
