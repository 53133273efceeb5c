"""Teacher vectors of texts: embedded once, kept in the cache, read from there ever after.

The folder of a store is named by all that decides a vector but the text (weights, role, prompt, length, dtype), the
key of a row is the hash of the text. So a second run embeds only what is new, and a changed model or prompt
can never meet vectors of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from datagen.backends.protocols import Backends, Float32, Int64, PartsTeacher, Role, Teacher
from datagen.config import RunConfig
from datagen.errors import BackendError
from datagen.progress import Progress
from datagen.store import ArrayStore, Keys, hash_texts

PLURALS: dict[Role, str] = {"query": "queries", "document": "documents"}

PART_CHARACTERS = 500_000
"""Text embedded between two commits, what a kill costs at most; more where that would make very many parts."""
TEXT_OVERHEAD = 200
"""Characters that a text counts for beside its own: short texts cost more than their length."""
_MOST_PARTS = 500
_UNIT_TOLERANCE = 0.01


class TextVectors:
    """The vectors of one role of one teacher."""

    def __init__(self, cache: Path, identity: str, role: Role, *, exact: bool) -> None:
        """Name the store; `exact` keeps float32 instead of float16."""
        self.role: Role = role
        dtype = np.dtype(np.float32 if exact else np.float16)
        self._store = ArrayStore(cache / "vectors" / f"{identity}-{role}-{dtype}", dtype)

    @property
    def dim(self) -> int:
        """Length of a vector; 0 before the first is embedded."""
        return self._store.width

    def ensure(
        self, texts: pl.Series, teacher: Callable[[], Teacher], progress: Progress, share: float = 1.0
    ) -> tuple[Int64, int]:
        """Embed the texts that the store lacks.

        Longest texts go first, in parts that are committed one by one, in an order that depends on the missing texts
        alone: a run that was killed goes on with the very batches that an undisturbed one has.

        Args:
            texts: in any order.
            teacher: gives the teacher, where one is needed.
            progress: shows the embedding.
            share: which share of the texts of the run these are, above 0 to 1: the parts of many texts are larger.

        Returns:
            Where each text's vector is in the store, int64 (n,), and how many were embedded now.
        """
        keys = hash_texts(texts)
        self._store.refresh()
        missing = _first_of_each(keys, self._store.locate(keys) < 0)
        if len(missing):
            sizes = texts.str.len_chars().cast(pl.Int64).to_numpy() + TEXT_OVERHEAD
            order = missing[np.lexsort((keys[missing, 1], keys[missing, 0], -sizes[missing]))]
            self._embed(texts, keys, list(parts_of(order, sizes, share)), teacher(), progress)
        return self._store.locate(keys), len(missing)

    def locate(self, keys: Keys) -> Int64:
        """Where the vectors of texts with these hashes are in the store, int64 (n,), -1 where there is none."""
        self._store.refresh()
        return self._store.locate(keys)

    def take(self, positions: Int64) -> Float32:
        """The vectors at these places of the store, float32 (n, dim), rows of unit length."""
        return self._store.take(positions).astype(np.float32, copy=False)

    def identity(self, positions: Int64) -> str:
        """Hash of which vectors these are and in which order, the same in every process."""
        return self._store.identity(positions)

    def _embed(self, texts: pl.Series, keys: Keys, parts: list[Int64], teacher: Teacher, progress: Progress) -> None:
        with progress.step(f"embed {PLURALS[self.role]}", sum(map(len, parts)), "texts") as advance:
            contents = (texts.gather(part).to_list() for part in parts)
            for part, vectors in zip(parts, _encode_parts(teacher, contents, self.role), strict=True):
                _check(vectors, len(part))
                self._store.append(keys[part], vectors)
                advance(len(part))


def open_vectors(config: RunConfig, backends: Backends, role: Role, teacher: str | None = None) -> TextVectors:
    """The vector store of the run's teacher, or of the further one of this name, for one role."""
    exact = config.teacher_named(teacher).dtype == "float32"
    return TextVectors(config.cache_folder, backends.teacher_identity(role, teacher), role, exact=exact)


def parts_of(order: Int64, sizes: Int64, share: float = 1.0) -> Iterator[Int64]:
    """Consecutive parts of an order, each up to a budget of summed sizes (at least one item).

    What is left after some parts is cut into the same further parts: the budget depends on all sizes, whether they
    are in the order or not. `share` says which share of the sizes of the run they are.
    """
    begin = 0
    budget = max(PART_CHARACTERS, int(sizes.sum() / share) // _MOST_PARTS)
    ends = np.cumsum(sizes[order])
    while begin < len(order):
        spent = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, spent + budget, side="right")))
        yield order[begin:end]
        begin = end


def _encode_parts(teacher: Teacher, parts: Iterator[list[str]], role: Role) -> Iterator[Float32]:
    if isinstance(teacher, PartsTeacher):
        return teacher.encode_parts(parts, role)
    return (teacher.encode(part, role) for part in parts)


def _first_of_each(keys: Keys, wanted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Int64:
    frame = pl.DataFrame({"place": np.flatnonzero(wanted), "high": keys[wanted, 0], "low": keys[wanted, 1]})
    return frame.unique(["high", "low"], keep="first", maintain_order=True)["place"].cast(pl.Int64).to_numpy()


def _check(vectors: Float32, expected: int) -> None:
    if vectors.ndim != 2 or len(vectors) != expected:
        raise BackendError(
            f"the teacher gave vectors of shape {vectors.shape} for {expected} texts: one row each is needed"
        )
    lengths = np.linalg.norm(vectors, axis=1)
    if bad := int((~np.isfinite(lengths)).sum()):
        raise BackendError(
            f"the teacher gave vectors with NaN or infinite numbers for {bad} of {expected} texts: "
            "try --dtype float32, or another model"
        )
    if bad := int((np.abs(lengths - 1) > _UNIT_TOLERANCE).sum()):
        raise BackendError(
            f"the teacher gave vectors that are not of unit length for {bad} of {expected} texts (the first has "
            f"{lengths[0]:.3g}): divide each by its length"
        )
