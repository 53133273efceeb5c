"""Texts that nobody wrote to be read, told by their letters and words alone: what the stage clean keeps out.

Three signs, each far from what natural text shows (`benchmarks/canary.py --adversarial` measures how far):

- gibberish: the letters follow each other as they do nowhere else in the corpus. The bits a letter, under counts of
  three bytes learned from the whole corpus, lie far above the corpus' own median.
- symbols: more signs than letters.
- stuffed: few words, over and over, by Herdan's C = log(different words) / log(words) (Herdan 1960), which hardly
  depends on the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.selection.arrays import Float64, Int64

SHORTEST_CHARACTERS = 60
"""Shorter texts say too little of how their letters follow each other."""
SHORTEST_WORDS = 30
"""Texts of fewer words may well repeat some of them."""
MOST_BITS = 2.6
"""Bits a letter above the corpus' median from which a text is gibberish: foreign languages stay below 2.4."""
MOST_SYMBOLS = 0.45
"""Share of signs from which a text is none, if it is so far above the corpus' median, too."""
LEAST_RICHNESS = 0.62
"""Herdan's C below which a text is stuffed: natural texts stay above 0.7."""
LEAST_TEXTS = 30
"""A corpus with fewer texts of some length says too little of what is usual."""
MOST_FLAGGED = 0.05
"""Where more of a corpus looks odd, that is what it is like: code, tables, chemistry. Nothing is flagged then."""

_TRIPLES, _PAIRS = 18, 16
"""Bits of the numbers under which three and two bytes are counted."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_UNSEEN = 0.1
"""Count of what was never seen."""
_PART = 4_000_000
"""Bytes of text looked at together, 30 bytes of memory each."""

_Bytes = npt.NDArray[np.uint8]


@dataclass
class Letters:
    """How often each byte follows two others in the texts seen so far."""

    triples: Int64 = field(default_factory=lambda: np.zeros(1 << _TRIPLES, np.int64))
    pairs: Int64 = field(default_factory=lambda: np.zeros(1 << _PAIRS, np.int64))

    def learn(self, texts: pl.Series) -> None:
        """Count the letters of some texts."""
        for letters, _ in _parts(texts):
            triples, pairs = _codes(letters)
            self.triples += np.bincount(triples, minlength=len(self.triples))
            self.pairs += np.bincount(pairs, minlength=len(self.pairs))

    def surprise(self, texts: pl.Series) -> Float64:
        """Mean bits a byte of each text, (n,), each three bytes counted once less often than they were seen.

        So a text that was itself learned from tells nothing of itself; 0 for texts of fewer than three bytes.
        """
        found = [np.empty(0)]
        for letters, sizes in _parts(texts):
            triples, pairs = _codes(letters)
            seen = np.maximum(self.triples[triples] - 1, 0) + _UNSEEN
            bits = np.log2(np.maximum(self.pairs[pairs] - 1, 0) + 64 * _UNSEEN) - np.log2(seen)
            rows = np.repeat(np.arange(len(sizes)), sizes)
            within = rows[2:] == rows[:-2]
            total = np.bincount(rows[2:][within], bits[within], len(sizes))
            found.append(total / np.maximum(sizes - 2, 1))
        return np.concatenate(found)


@dataclass(frozen=True)
class TextSigns:
    """What is measured of texts, each (n,)."""

    characters: Int64
    words: Int64
    different: Int64
    """Different words."""
    symbols: Float64
    """Share of characters that are neither letters nor digits nor white space, 0 to 1."""
    bits: Float64
    """What `Letters.surprise` gives."""


def measure_texts(texts: pl.Series, letters: Letters) -> TextSigns:
    """The signs of some texts."""
    plain = texts.str.to_lowercase()
    words = plain.str.extract_all(r"\w+")
    characters = texts.str.len_chars().cast(pl.Int64).to_numpy()
    signs = texts.str.count_matches(r"[^\w\s]").cast(pl.Int64).to_numpy()
    return TextSigns(
        characters,
        words.list.len().cast(pl.Int64).to_numpy(),
        words.list.n_unique().cast(pl.Int64).to_numpy(),
        signs / np.maximum(characters, 1),
        letters.surprise(texts),
    )


def explain_odd(signs: TextSigns) -> pl.Series:
    """What is wrong with each text as a short sentence; null where nothing is."""
    long = signs.characters >= SHORTEST_CHARACTERS
    if long.sum() < LEAST_TEXTS:
        return pl.Series([None] * len(long), dtype=pl.String)
    usual_bits, usual_symbols = float(np.median(signs.bits[long])), float(np.median(signs.symbols[long]))
    richness = np.log(np.maximum(signs.different, 1)) / np.log(np.maximum(signs.words, 2))
    stuffed = (signs.words >= SHORTEST_WORDS) & (richness < LEAST_RICHNESS)
    symbols = long & (signs.symbols > MOST_SYMBOLS) & (signs.symbols > usual_symbols + MOST_SYMBOLS / 2)
    gibberish = long & (signs.bits > usual_bits + MOST_BITS)
    numbers = pl.DataFrame(
        {
            "words": signs.words,
            "different": signs.different,
            "share": (100 * signs.symbols).round().astype(np.int64),
            "bits": signs.bits.round(1),
        }
    )
    return numbers.select(
        pl.when(pl.Series(symbols))
        .then(pl.format("symbols: {} % of it", "share"))
        .when(pl.Series(gibberish))
        .then(pl.format(f"gibberish: {{}} bits a letter where {usual_bits:.1f} are usual", "bits"))
        .when(pl.Series(stuffed))
        .then(pl.format("stuffed: {} different words in {}", "different", "words"))
        .alias("why")
    )["why"]


def find_odd(slices: Callable[[], Iterable[pl.Series]]) -> pl.Series:
    """What is wrong with each text of a corpus, null where nothing is; all null where too many look odd.

    Args:
        slices: gives the texts, some at a time; called twice.
    """
    letters = Letters()
    for texts in slices():
        letters.learn(texts)
    parts = [measure_texts(texts, letters) for texts in slices()]
    columns = ("characters", "words", "different", "symbols", "bits")
    whole = TextSigns(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
    told = explain_odd(whole)
    flagged = len(told) - told.null_count()
    most = max(1, MOST_FLAGGED * len(told))
    return told if flagged <= most else pl.Series([None] * len(told), dtype=pl.String)


def _parts(texts: pl.Series) -> Iterable[tuple[_Bytes, Int64]]:
    """The bytes of some texts in lower case, digits and white space as one, and how many each text has."""
    plain = texts.str.to_lowercase().str.replace_all(r"\d", "0").str.replace_all(r"\s+", " ").rename("text")
    sizes = plain.str.len_bytes().cast(pl.Int64).to_numpy()
    cuts = np.cumsum(sizes) // _PART
    for begin in np.flatnonzero(np.r_[True, cuts[1:] != cuts[:-1]][: len(cuts)]):
        end = int(np.searchsorted(cuts, cuts[begin], side="right"))
        part = plain.slice(int(begin), end - int(begin))
        yield np.frombuffer("".join(part.to_list()).encode(), np.uint8), sizes[begin:end]


def _codes(letters: _Bytes) -> tuple[Int64, Int64]:
    """A number for each three bytes and for the first two of them, (n - 2,) each."""
    wide = letters.astype(np.uint64)
    pairs = (wide[:-2] << np.uint64(8)) | wide[1:-1]
    mixed = (((pairs << np.uint64(8)) | wide[2:]) * _MIX) >> np.uint64(64 - _TRIPLES)
    return mixed.astype(np.int64), pairs.astype(np.int64)
