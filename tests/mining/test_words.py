"""Word vectors on disk, beside scikit-learn's TF-IDF."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from datagen.mining import words
from datagen.mining.words import count_words, open_words
from datagen.progress import SilentProgress
from datagen.selection.sparse import all_dots

DOCUMENTS = [
    "The heart pumps blood; the blood carries oxygen.",
    "Oxygen is carried by blood cells",
    "Bones are hard, and the bones grow.",
    "A cell grows",
]
QUERIES = ["what carries oxygen?", "Bones & cells"]


def _slices() -> Iterator[pl.Series]:
    yield pl.Series(DOCUMENTS[:3])
    yield pl.Series(DOCUMENTS[3:])
    yield pl.Series(QUERIES)


def test_cosines_are_those_of_tf_idf(tmp_path: Path) -> None:
    found = open_words(tmp_path, _slices, len(DOCUMENTS), SilentProgress())
    peer = TfidfVectorizer(sublinear_tf=True, analyzer=lambda text: re.findall(r"\w+", text.lower())).fit(DOCUMENTS)
    everything = found.take(np.arange(6))
    known = peer.transform([*DOCUMENTS, *QUERIES]).toarray()
    np.testing.assert_allclose(
        all_dots(everything.take(np.arange(4)), everything.take(np.arange(4))), known[:4] @ known[:4].T, atol=1e-5
    )
    ours = all_dots(everything.take(np.array([4, 5])), everything.take(np.arange(4)))
    # The peer leaves words that no document has out of a query's length; here they count, the same for all documents.
    theirs = known[4:] @ known[:4].T
    np.testing.assert_allclose(ours / ours.max(axis=1)[:, None], theirs / theirs.max(axis=1)[:, None], atol=1e-5)


def test_words_are_counted_once_and_read_ever_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_words(tmp_path, _slices, len(DOCUMENTS), SilentProgress()).take(np.array([4, 0]))
    monkeypatch.setattr(words, "count_words", None)
    again = open_words(tmp_path, _slices, len(DOCUMENTS), SilentProgress()).take(np.array([4, 0]))
    np.testing.assert_array_equal(first.values, again.values)
    np.testing.assert_array_equal(first.columns, again.columns)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_letters_are_words_where_no_spaces_are_written() -> None:
    sizes, columns, counts = count_words(pl.Series(["日本日本", "one  two", "", "?!"]))
    assert sizes.tolist()[:2] == [2, 2]
    assert sorted(counts[:2].tolist()) == [2, 2]
    assert len(columns) == len(counts) == sizes.sum()


def test_a_corpus_without_texts_has_no_vectors(tmp_path: Path) -> None:
    found = open_words(tmp_path, lambda: [pl.Series([], dtype=pl.String)], 0, SilentProgress())
    assert len(found.take(np.empty(0, np.int64))) == 0
