"""Teachers as they come out of training: the first one, changed a little or wholly. They need no weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from datagen.backends.protocols import Float32, Role
from datagen.testing import HashingTeacher


class SameStudent(HashingTeacher):
    """The teacher under another name."""


class TrainedStudent(HashingTeacher):
    """The teacher, but what it says of each text has moved by a share of its own."""

    share = 0.12

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """Unit vectors."""
        moved = super().encode(texts, role) + self.share * np.stack([_direction(text) for text in texts])
        unit: Float32 = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
        return unit


class OtherStudent(TrainedStudent):
    """Nothing is left of the teacher."""

    share = 50.0


def _direction(text: str) -> Float32:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    direction = np.random.default_rng(seed).standard_normal(64, np.float32)
    unit: Float32 = direction / np.float32(np.linalg.norm(direction))
    return unit
