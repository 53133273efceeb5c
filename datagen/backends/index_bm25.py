"""Documents that share words with a query, by BM25: built once with bm25s, kept in the cache, read from a memory map.

Words are runs of letters, marks and digits, lower case, whatever the language. Scripts that put no space between
words give every two neighbouring characters instead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import bm25s
import numpy as np
import polars as pl

from datagen.backends.protocols import Float32, Int64
from datagen.config import fingerprint
from datagen.progress import Progress
from datagen.settings.sources import LexicalConfig, StopWords
from datagen.storage import guard_disk, make_folder, remove_folder, rename_folder
from datagen.store import hash_texts

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_WORD = rf"{_UNSPACED}+|[\w--{_UNSPACED}]+"
_TOKENIZER = 1
"""Raised when `tokens_of` gives other tokens, so that kept indexes are built anew."""


class Bm25Index:
    """BM25 over all documents, after Lucene: each score of a word and a document was computed when it was built."""

    def __init__(self, bm25: bm25s.BM25) -> None:
        """Take an index that was loaded."""
        self._bm25 = bm25

    def search(self, queries: Sequence[str], k: int) -> tuple[Float32, Int64]:
        """Scores and positions of the k best, both (n, k), best first, ties by position.

        Documents that share no word with a query are not found: its row ends with positions -1 and scores 0.
        """
        scores, positions = np.zeros((len(queries), k), np.float32), np.full((len(queries), k), -1, np.int64)
        if not self._bm25.vocab_dict:
            return scores, positions
        for row, tokens in enumerate(tokens_of(pl.Series(queries, dtype=pl.String)).to_list()):
            found = self._bm25.get_scores_from_ids(self._bm25.get_tokens_ids(tokens))
            best = _best(found, k)
            scores[row, : len(best)], positions[row, : len(best)] = found[best], best
        return scores, positions


def open_bm25(
    slices: Callable[[], Iterable[pl.Series]], settings: LexicalConfig, cache: Path, progress: Progress
) -> Bm25Index:
    """The index over a corpus, position i being its document i; built where the cache has none.

    Building holds a few kilobytes a document; what is built is mapped into memory, not read.

    Args:
        slices: gives the documents in row order, some at a time; called again where the index is to be built.
        settings: of BM25.
        cache: the folder that indexes are kept in.
        progress: shows the building.

    Raises:
        StorageError: the disk refused.
    """
    content, n_documents = hashlib.sha256(), 0
    for texts in slices():
        content.update(hash_texts(texts).tobytes())
        n_documents += len(texts)
    name = fingerprint(settings.model_dump(), _TOKENIZER, bm25s.__version__, content.hexdigest())
    folder = cache / "bm25" / name
    if not folder.exists():
        with progress.step("index words", n_documents, "documents") as advance:
            _build(slices(), settings, folder, advance)
    return Bm25Index(bm25s.BM25.load(folder, mmap=True))


def tokens_of(texts: pl.Series) -> pl.Series:
    """The words of each text, list[str] (n,), in any order."""
    words = texts.str.normalize("NFKC").str.to_lowercase().str.extract_all(_WORD).rename("word")
    if not texts.str.contains(_UNSPACED).any():
        return words
    rows = words.to_frame().with_row_index("row").explode("word").drop_nulls()
    is_run = pl.col("word").str.contains(f"^{_UNSPACED}{{3}}")
    runs = rows.filter(is_run)
    pairs = [runs.with_columns(pl.col("word").str.slice(start).str.extract_all("..")) for start in (0, 1)]
    pieces = pl.concat([rows.filter(~is_run), *(part.explode("word") for part in pairs)])
    lists = pieces.group_by("row").agg("word")
    every_row = words.to_frame().with_row_index("row").select("row")
    return every_row.join(lists, on="row", how="left", maintain_order="left")["word"].fill_null([])


def stop_words_of(language: StopWords | None) -> frozenset[str]:
    """The most common words of a language, lower case; none for None."""
    if language is None:
        return frozenset()
    return frozenset(getattr(bm25s.stopwords, f"STOPWORDS_{'EN' if language == 'english' else language.upper()}"))


def _build(slices: Iterable[pl.Series], settings: LexicalConfig, folder: Path, advance: Callable[[int], None]) -> None:
    bm25 = bm25s.BM25(method="lucene", k1=settings.k1, b=settings.b, backend="numpy")
    numbered = _number_words(slices, stop_words_of(settings.stop_words), advance)
    with np.errstate(invalid="ignore"):  # the mean length is 0 where no document has a word
        bm25.index(numbered, create_empty_token=False, show_progress=False)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    remove_folder(unfinished)
    make_folder(folder.parent)
    with guard_disk(folder):
        bm25.save(unfinished, show_progress=False)
    rename_folder(unfinished, folder)


def _number_words(
    slices: Iterable[pl.Series], stop_words: frozenset[str], advance: Callable[[int], None]
) -> tuple[list[list[int]], dict[str, int]]:
    """The numbers of each document's words, and the number of each word."""
    numbers: dict[str, int] = {}
    documents: list[list[int]] = []
    for texts in slices:
        documents += [
            [numbers.setdefault(word, len(numbers)) for word in words if word not in stop_words]
            for words in tokens_of(texts).to_list()
        ]
        advance(len(texts))
    return documents, numbers


def _best(scores: Float32, k: int) -> Int64:
    """Places of the k highest scores above 0, best first, ties by place."""
    edge = np.partition(scores, -k)[-k] if k < len(scores) else 0
    places = np.flatnonzero((scores >= edge) & (scores > 0))
    return places[np.argsort(-scores[places], kind="stable")[:k]]
