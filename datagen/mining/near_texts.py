"""MinHash signatures of texts: which texts of a corpus are nearly the same, without comparing all with all.

Between the texts and the closure (`selection.near`): a signature is computed once a text, kept in the cache under the
text's hash, and compared only with those of the positives that it might copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import rensa

from datagen.backends.protocols import Int64
from datagen.cleaning import comparable
from datagen.progress import Progress
from datagen.selection.near import Signatures
from datagen.store import ArrayStore, hash_texts

UInt64: TypeAlias = npt.NDArray[np.uint64]

WIDTH = 3
"""Words of a shingle."""
VALUES = 128
"""Values of a signature: the share that two have in common is within 0.1 of the Jaccard index of their texts."""

_UNSPACED = "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff])"
_VERSION = f"shingles-{WIDTH}-{VALUES}-r{rensa.RMinHash.ALGORITHM_VERSION}"
_SEED = 1
_PART_LETTERS = 4_000_000
"""Bytes of text hashed at once, 40 bytes of memory each."""
_BASE = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SPACE, _LINE = 32, 10


class TextSignatures:
    """The signatures of numbered texts, read from the cache as they are needed."""

    def __init__(self, store: ArrayStore, places: Int64) -> None:
        """Take the store and the place of each text in it, (n_texts,)."""
        self._store = store
        self._places = places

    def take(self, numbers: Int64) -> Signatures:
        """Signatures of these texts, uint16 (n, 128)."""
        return np.asarray(self._store.take(self._places[numbers]), np.uint16)


def open_signatures(cache: Path, slices: Iterable[pl.Series], n_texts: int, progress: Progress) -> TextSignatures:
    """The signatures of some texts, numbered in their order; those that the cache lacks are computed first.

    Args:
        cache: the folder of vectors and scores.
        slices: the texts, some at a time.
        n_texts: how many there are in all.
        progress: shows the work.
    """
    store = ArrayStore(cache / "signatures" / _VERSION, np.uint16)
    store.refresh()
    keys = [np.empty((0, 2), np.uint64)]
    with progress.step("compare texts", n_texts, "texts") as advance:
        for texts in slices:
            keys.append(hash_texts(texts))
            missing = np.flatnonzero(store.locate(keys[-1]) < 0)
            if len(missing):
                signed = [sign_texts(texts.gather(part)) for part in parts_by_size(missing, texts)]
                store.append(keys[-1][missing], np.concatenate(signed))
            advance(len(texts))
    return TextSignatures(store, store.locate(np.concatenate(keys)))


def sign_texts(texts: pl.Series) -> Signatures:
    """MinHash over every three neighbouring words of each text after normalisation, uint16 (n, 128).

    In scripts without spaces a letter is a word; a text of fewer words is one shingle. The share of equal values
    estimates the Jaccard index (Broder 1997), of which 16 bits are kept (Li and König 2010).
    """
    hashes, starts = hash_shingles(texts)
    digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, starts, VALUES, _SEED)
    return np.array(digests.to_rows(), np.uint64).reshape(-1, VALUES).astype(np.uint16)


def hash_shingles(texts: pl.Series, width: int = WIDTH) -> tuple[UInt64, UInt64]:
    """A hash of 64 bits of each shingle of the texts, text after text, and where each text's begin, (n_texts + 1,).

    A text of fewer than `width` words is one shingle, which only an equal text shares. A shingle's hash is that of its
    letters, the single spaces between its words among them: the difference of two running sums (Rabin and Karp 1987),
    so that no shingle is ever written out.
    """
    plain = comparable(pl.col("text")).str.replace_all(_UNSPACED, " $1 ").str.replace_all(r"\s+", " ").str.strip_chars()
    lines = texts.rename("text").to_frame().select(plain)["text"].str.join("\n").item()
    letters = np.frombuffer(lines.encode(), np.uint8)
    gaps = np.flatnonzero((letters == _SPACE) | (letters == _LINE))
    begins, ends = np.r_[0, gaps + 1], np.r_[gaps, len(letters)]
    text = np.r_[0, np.cumsum(letters[gaps] == _LINE)]
    bounds = np.searchsorted(text, np.arange(len(texts) + 1))
    last = np.minimum(np.arange(len(begins)) + width, bounds[1:][text]) - 1
    whole = (last - np.arange(len(begins)) == width - 1) | (np.arange(len(begins)) == bounds[:-1][text])
    sums = _range_sums(letters, begins[whole], ends[last[whole]])
    return sums, np.searchsorted(text[whole], np.arange(len(texts) + 1)).astype(np.uint64)


def _range_sums(letters: npt.NDArray[np.uint8], begins: Int64, ends: Int64) -> UInt64:
    """Polynomial hash of each range of letters, modulo 2^64, well mixed."""
    size = len(letters) + 1
    inverse = pow(_BASE, -1, 1 << 64)
    powers, unpowers = _powers(_BASE, size), _powers(inverse, size)
    running = np.zeros(size, np.uint64)
    np.cumsum((letters.astype(np.uint64) + np.uint64(1)) * powers[:-1], out=running[1:])
    sums = (running[ends] - running[begins]) * unpowers[begins]
    sums = (sums ^ (sums >> np.uint64(30))) * _MIX
    mixed: UInt64 = sums ^ (sums >> np.uint64(31))
    return mixed


def _powers(base: int, size: int) -> UInt64:
    factors = np.full(size, base, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def parts_by_size(order: Int64, texts: pl.Series) -> Iterator[Int64]:
    """Consecutive parts of an order of texts, each of about as many letters as are hashed at once."""
    sizes = texts.str.len_bytes().to_numpy()[order]
    number = np.cumsum(sizes.astype(np.int64)) // _PART_LETTERS
    yield from (part for part in np.split(order, np.flatnonzero(np.diff(number)) + 1) if len(part))
