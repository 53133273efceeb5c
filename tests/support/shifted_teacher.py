"""A teacher whose scores are another's, scaled and shifted: what decides by order and spread must not notice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datagen.backends.protocols import Float32, Role
from datagen.testing import HashingTeacher


class ShiftedTeacher(HashingTeacher):
    """Scores 0.3 s + 0.7 where `HashingTeacher` scores s."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return super().dim + 1

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """Unit vectors of the texts, float32 (n, 65)."""
        vectors = np.sqrt(0.3) * super().encode(texts, role)
        return np.hstack([vectors, np.full((len(texts), 1), np.sqrt(0.7))]).astype(np.float32)
