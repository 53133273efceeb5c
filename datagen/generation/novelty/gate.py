"""Novelty over a whole run: a written query or task that says what another says already is refused as it comes.

Called in plan order, by the one place that takes outcomes in: the same rows come out of every run. Three looks, the
cheap ones first: the same normalised text, MinHash of letters with the words compared after it, and (with a teacher)
the cosine of the nearest accepted text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np

from datagen.backends.protocols import Float32
from datagen.generation.novelty.band_index import BandIndex, UInt64, find_meeting, hash_bands
from datagen.generation.novelty.likeness import (
    WordWeights,
    could_be_like,
    make_grams,
    measure_likeness,
    split_terms,
)
from datagen.generation.novelty.vector_index import VectorIndex
from datagen.generation.words import count_query_words, normalise
from datagen.settings.novelty import NoveltySettings

Encode: TypeAlias = Callable[[Sequence[str]], Float32]
NearReason = Literal["duplicate_query", "near_duplicate_query"]
DUPLICATE: Literal["duplicate_query"] = "duplicate_query"
NEAR_DUPLICATE: Literal["near_duplicate_query"] = "near_duplicate_query"

_CHUNK = 1024
_PENDING = 1024
"""Texts kept ready between `check` and `add`; of older ones the work is done again."""
_RECENT = 10_000
"""Texts of the same key are looked for among so many of the newest."""


@dataclass(frozen=True, slots=True)
class Near:
    """Why a text is not new."""

    reason: NearReason
    of_key: str
    of_text: str
    similarity: float
    """1 for a repeated text, else the share of weighted words in common, or the teacher's cosine."""


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """A text made ready to be compared."""

    text: str
    plain: str
    terms: frozenset[str]
    hashes: UInt64
    is_short: bool
    """Then only its repetition is refused, and its vector is zero: near to none."""
    vector: Float32 | None


class Novelty:
    """What a run has accepted, and what is too close to it."""

    def __init__(self, settings: NoveltySettings, teacher_encode: Encode | None = None) -> None:
        """Hold nothing yet; `teacher_encode` gives vectors (n, dim) of n texts, of any length above 0."""
        self.settings = settings
        self._encode = teacher_encode
        self._known = _Known()
        self._weights = WordWeights()
        self._pending: dict[str, _Text] = {}

    def __len__(self) -> int:
        """How many texts it holds."""
        return len(self._known.texts)

    def check(self, texts: Sequence[str], keys: Sequence[str]) -> list[Near | None]:
        """For each text, in order, what text it repeats; None when it is new.

        A text is compared with the accepted ones and with the new ones before it in the group. Nothing is taken in:
        that is `add`.
        """
        if not texts:
            return []
        ready = self._prepare(texts)
        hashes = np.stack([text.hashes for text in ready])
        shared = self._known.index.find(hashes)
        closest = self._known.find_closest(ready)
        meets = find_meeting(hashes) | (self._encode is not None)
        group = _Known()
        found: list[Near | None] = []
        for text, key, bands, near, may_repeat in zip(ready, keys, shared, closest, meets.tolist(), strict=True):
            said = self._compare(text, bands, near, self._known)
            if may_repeat and said is None and (said := self._compare_within(text, group)) is None:
                group.add(text, key)
            found.append(said)
        if len(self._pending) > _PENDING:
            self._pending.clear()
        self._pending.update((text.text, text) for text in ready)
        return found

    def add(self, text: str, key: str) -> None:
        """Take in an accepted text; `key` names its source or topic."""
        ready = self._pending.pop(text, None) or self._prepare([text])[0]
        self._take(ready, key)

    def load(self, texts: Iterable[str], key: str = "") -> None:
        """Take in the texts of an earlier run."""
        remaining = iter(texts)
        while chunk := list(islice(remaining, _CHUNK)):
            for ready in self._prepare(chunk):
                self._take(ready, key)

    def covered(self, key: str, text: str = "", most: int = 4) -> list[str]:
        """Accepted texts to be named when a rejected one is asked for again: `most` at most, each once.

        First those nearest to the text, then the newest of the same key.
        """
        near = self._find_nearest(text, most) if text else []
        keys, texts = self._known.keys, self._known.texts
        newest = range(len(keys) - 1, max(-1, len(keys) - 1 - _RECENT), -1)
        same = [number for number in newest if keys[number] == key][:most] if key else []
        return list(dict.fromkeys(texts[number] for number in (*near, *same)))[:most]

    def _find_nearest(self, text: str, most: int) -> list[int]:
        ready = self._prepare([text])[0]
        shared = self._known.index.find(ready.hashes[None])[0].most_common(self.settings.most_compared)
        likeness = {
            number: measure_likeness(ready.terms, split_terms(self._known.texts[number]), self._weights)
            for number, _ in shared
        }
        return sorted(likeness, key=lambda number: (-likeness[number], number))[:most]

    def _prepare(self, texts: Sequence[str]) -> list[_Text]:
        vectors: Sequence[Float32 | None] = [None] * len(texts)
        if self._encode is not None:
            raw = np.asarray(self._encode(texts), dtype=np.float32)
            vectors = list(raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), np.finfo(np.float32).tiny))
        return [self._prepare_one(*row) for row in zip(texts, vectors, strict=True)]

    def _prepare_one(self, text: str, vector: Float32 | None) -> _Text:
        plain = normalise(text)
        terms = split_terms(plain)
        is_short = count_query_words(plain) <= self.settings.exact_words
        grams = [] if is_short else make_grams(terms)
        hashes = hash_bands(plain, grams, self.settings.bands, self.settings.rows)
        if is_short and vector is not None:
            vector = np.zeros_like(vector)
        return _Text(text, plain, terms, hashes, is_short, vector)

    def _compare_within(self, text: _Text, group: _Known) -> Near | None:
        bands = group.index.find(text.hashes[None])[0]
        return self._compare(text, bands, group.find_closest([text])[0], group)

    def _compare(self, text: _Text, bands: Counter[int], closest: tuple[int, float], known: _Known) -> Near | None:
        for number, _ in bands.most_common(self.settings.most_compared):
            other = known.texts[number]
            terms = _split_known(other)
            if terms == text.terms and normalise(other) == text.plain:
                return Near(DUPLICATE, known.keys[number], other, 1.0)
            if text.is_short or could_be_like(text.terms, terms) < self.settings.likeness:
                continue
            likeness = measure_likeness(text.terms, terms, self._weights)
            if likeness >= self.settings.likeness:
                return Near(NEAR_DUPLICATE, known.keys[number], other, likeness)
        number, cosine = closest
        if cosine >= self.settings.cosine:
            return Near(NEAR_DUPLICATE, known.keys[number], known.texts[number], cosine)
        return None

    def _take(self, ready: _Text, key: str) -> None:
        self._known.add(ready, key)
        self._weights.add(ready.terms)


@lru_cache(maxsize=8192)
def _split_known(text: str) -> frozenset[str]:
    """Texts of one template are compared again and again."""
    return split_terms(text)


class _Known:
    """Texts that others are compared with, numbered as they were added."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.keys: list[str] = []
        self.index = BandIndex()
        self._vectors = VectorIndex()

    def add(self, ready: _Text, key: str) -> None:
        self.texts.append(ready.text)
        self.keys.append(key)
        self.index.add(ready.hashes)
        if ready.vector is not None:
            self._vectors.add(ready.vector)

    def find_closest(self, ready: Sequence[_Text]) -> list[tuple[int, float]]:
        """Number and cosine of the closest text by vectors, of each; -1 and -1 where there is none."""
        vectors = [text.vector for text in ready if text.vector is not None]
        if not vectors:
            return [(-1, -1.0)] * len(ready)
        numbers, cosines = self._vectors.find(np.stack(vectors))
        return list(zip(numbers.tolist(), cosines.tolist(), strict=True))
