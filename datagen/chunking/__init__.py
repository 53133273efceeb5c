"""Long documents become passages: the second half of `clean`, where `chunk.max_tokens` is set."""

from __future__ import annotations

from datagen.chunking.frames import Chunker, Chunks, check_ids
from datagen.chunking.pairs import PairPointer

__all__ = ["Chunker", "Chunks", "PairPointer", "check_ids"]
