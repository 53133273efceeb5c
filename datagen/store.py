"""Rows of numbers kept under the hash of what produced them: teacher vectors and reranker scores.

A store is a folder of parts, each two numpy files: `NAME.rows.npy` (memory-mapped) and, written last,
`NAME.keys.npy`. A part without its keys does not exist. Parts are only ever added, so that processes may
share a store without locks; of a key that stands twice, the row that was seen first is read.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.storage import make_folder, replacing

Keys: TypeAlias = npt.NDArray[np.uint64]
"""128-bit hashes as uint64 (n, 2)."""
Positions: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[Any]  # Any: float16 or float32, as the store was opened


_ROWS_AT_ONCE = 4096
"""Rows read between two releases of the pages that they lie on, which may each be several times as long as a row."""


def hash_texts(texts: Iterable[str]) -> Keys:
    """BLAKE2b-128 of each text, uint64 (n, 2)."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64).reshape(-1, 2)


def hash_pairs(first: Keys, second: Keys) -> Keys:
    """A key for each pair of keys; (a, b) and (b, a) differ."""
    both = np.ascontiguousarray(np.hstack([first, second]).astype("<u8"))
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in both)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64).reshape(-1, 2)


class ArrayStore:
    """Rows of one width and type under 128-bit keys; the width is that of the first rows added."""

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        """Name the folder and the type of the numbers; `refresh` reads what is there."""
        self.folder = folder
        self.dtype = np.dtype(dtype)
        self._parts: list[Rows] = []
        self._starts: list[int] = [0]
        self._keys: list[Keys] = []
        self._known: set[str] = set()

    def refresh(self) -> None:
        """Take in the parts that were added since, by this process or another."""
        names = sorted(path.name.removesuffix(".keys.npy") for path in self.folder.glob("*.keys.npy"))
        for name in names:
            if name not in self._known:
                self._load(name)

    @property
    def width(self) -> int:
        """Numbers in a row; 0 while the store is empty."""
        return int(self._parts[0].shape[1]) if self._parts else 0

    def append(self, keys: Keys, rows: Rows) -> None:
        """Add rows (n, width) under their keys, synced to disk when this returns."""
        make_folder(self.folder)
        name = hashlib.blake2b(np.ascontiguousarray(keys).tobytes(), digest_size=12).hexdigest()
        for suffix, array in (("rows", rows.astype(self.dtype, copy=False)), ("keys", keys)):
            with replacing(self.folder / f"{name}.{suffix}.npy") as temporary, temporary.open("wb") as file:
                np.save(file, array, allow_pickle=False)
        self.refresh()

    def locate(self, keys: Keys) -> Positions:
        """Where each key's row is, int64 (n,), -1 where there is none."""
        known = np.concatenate(self._keys) if self._keys else np.empty((0, 2), np.uint64)
        table = _key_frame(known).with_row_index("position").unique(["high", "low"], keep="first")
        found = _key_frame(keys).join(table, on=["high", "low"], how="left", maintain_order="left")
        return found["position"].cast(pl.Int64).fill_null(-1).to_numpy()

    def take(self, positions: Positions) -> Rows:
        """The rows at these positions, (n, width), read from the memory map, of which nothing stays in memory."""
        out = np.empty((len(positions), self.width), self.dtype)
        order = np.argsort(positions, kind="stable")
        edges = np.searchsorted(positions[order], self._starts)
        for part in np.flatnonzero(np.diff(edges)):
            for begin in range(edges[part], edges[part + 1], _ROWS_AT_ONCE):
                chosen = order[begin : min(begin + _ROWS_AT_ONCE, edges[part + 1])]
                out[chosen] = self._parts[part][positions[chosen] - self._starts[part]]
                _release(self._parts[part])
        return out

    def identity(self, positions: Positions) -> str:
        """Hash of which rows these are and in which order, the same in every process."""
        digest = hashlib.blake2b(self.folder.name.encode(), digest_size=12)
        known = np.concatenate(self._keys) if self._keys else np.empty((0, 2), np.uint64)
        for begin in range(0, len(positions), _ROWS_AT_ONCE):
            digest.update(known[positions[begin : begin + _ROWS_AT_ONCE]].tobytes())
        return digest.hexdigest()

    def _load(self, name: str) -> None:
        rows = np.load(self.folder / f"{name}.rows.npy", mmap_mode="r", allow_pickle=False)
        self._keys.append(np.load(self.folder / f"{name}.keys.npy", allow_pickle=False))
        self._parts.append(rows)
        self._starts.append(self._starts[-1] + len(rows))
        self._known.add(name)


def _release(rows: Rows) -> None:
    """Unmap the pages of a memory map that were read: they stay in the system's file cache, not in this process."""
    pages = getattr(rows, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def _key_frame(keys: Keys) -> pl.DataFrame:
    return pl.DataFrame({"high": keys[:, 0], "low": keys[:, 1]})
