"""BM25, held against its formula, and what its index keeps in the cache."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest

from datagen.backends.index_bm25 import Bm25Index, open_bm25, stop_words_of, tokens_of
from datagen.backends.protocols import LexicalIndex
from datagen.progress import SilentProgress
from datagen.settings.sources import LexicalConfig, StopWords

TEXTS = [
    "The cat sat on the mat.",
    "A cat and a dog: the cat won.",
    "Dogs bark at night",
    "the THE the the mat",
    "???",
    "The cat sat on the mat.",
]


def _open(
    cache: Path,
    texts: Sequence[str] = TEXTS,
    **settings: Any,  # Any: settings not yet validated
) -> Bm25Index:
    return open_bm25(
        lambda: iter([pl.Series(texts[:2]), pl.Series(texts[2:], dtype=pl.String)]),
        LexicalConfig.model_validate(settings),
        cache,
        SilentProgress(),
    )


def _plain(query: str, texts: list[str], k1: float = 1.5, b: float = 0.75) -> list[float]:
    """Scores by the formula of Lucene: idf * tf / (tf + k1 * (1 - b + b * length / mean length))."""
    documents = [Counter(tokens) for tokens in tokens_of(pl.Series(texts)).to_list()]
    mean = sum(document.total() for document in documents) / len(documents)
    scores = [0.0] * len(texts)
    for word in tokens_of(pl.Series([query])).to_list()[0]:
        holders = sum(word in document for document in documents)
        idf = np.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        for place, document in enumerate(documents):
            norm = k1 * (1 - b + b * document.total() / mean)
            scores[place] += idf * document[word] / (document[word] + norm)
    return scores


@pytest.mark.parametrize("settings", [{}, {"k1": 0.9, "b": 0.4}], ids=["default", "anserini"])
@pytest.mark.parametrize("query", ["cat", "the cat the mat", "dogs at night, a dog"])
def test_scores_are_those_of_the_formula(tmp_path: Path, query: str, settings: dict[str, Any]) -> None:  # Any: settings
    index: LexicalIndex = _open(tmp_path, **settings)
    scores, positions = index.search([query], len(TEXTS))
    plain = np.asarray(_plain(query, TEXTS, **settings))
    expected = [place for place in np.argsort(-plain, kind="stable").tolist() if plain[place] > 0]
    assert positions.dtype == np.int64
    assert scores.dtype == np.float32
    assert positions[0, : len(expected)].tolist() == expected
    np.testing.assert_allclose(scores[0, : len(expected)], plain[expected], rtol=1e-5)
    assert positions[0, len(expected) :].tolist() == [-1] * (len(TEXTS) - len(expected))
    assert not scores[0, len(expected) :].any()


def test_ties_are_cut_and_ordered_by_position(tmp_path: Path) -> None:
    index = _open(tmp_path, ["same words", "other", "same words", "same words"])
    for k, expected in ((1, [0]), (2, [0, 2]), (3, [0, 2, 3]), (5, [0, 2, 3, -1, -1])):
        assert index.search(["words"], k)[1].tolist() == [expected]


@pytest.mark.parametrize("query", ["", "zebra", "!!!"])
def test_a_query_without_a_known_word_finds_nothing(tmp_path: Path, query: str) -> None:
    scores, positions = _open(tmp_path).search(["cat", query], 2)
    assert positions[0].tolist() == [1, 0]
    assert positions[1].tolist() == [-1, -1]
    assert scores[1].tolist() == [0, 0]


def test_documents_without_a_word_are_never_found(tmp_path: Path) -> None:
    scores, positions = _open(tmp_path, ["!!!", "??"]).search(["cat", "!!!"], 2)
    assert (positions == -1).all()
    assert not scores.any()


def test_stop_words_are_left_out(tmp_path: Path) -> None:
    assert _open(tmp_path).search(["the"], 3)[1][0, 0] == 3
    assert _open(tmp_path, stop_words="english").search(["the"], 3)[1].tolist() == [[-1, -1, -1]]


@pytest.mark.parametrize("language", get_args(StopWords))
def test_every_language_of_stop_words_has_some(tmp_path: Path, language: StopWords) -> None:
    word = min(stop_words_of(language))
    assert _open(tmp_path, ["zebra", word]).search([word], 1)[1].tolist() == [[1]]
    assert _open(tmp_path, ["zebra", word], stop_words=language).search([word], 1)[1].tolist() == [[-1]]


def test_the_index_is_built_once_for_equal_texts_and_settings(tmp_path: Path) -> None:
    first = _open(tmp_path).search(["cat"], 3)
    (folder,) = (tmp_path / "bm25").iterdir()
    vocabulary = folder / "vocab.index.json"
    words = json.loads(vocabulary.read_text(encoding="utf-8"))
    words["feline"] = words.pop("cat")
    vocabulary.write_text(json.dumps(words), encoding="utf-8")
    again = _open(tmp_path).search(["feline"], 3)  # what is in the folder is what is read
    assert [part.tolist() for part in again] == [part.tolist() for part in first]
    _open(tmp_path, k1=1.0)
    _open(tmp_path, TEXTS[::-1])
    assert len(list((tmp_path / "bm25").iterdir())) == 3


def test_an_index_that_was_not_finished_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bm25s

    real = bm25s.BM25.save

    def fail(self: bm25s.BM25, folder: Path, **settings: object) -> None:
        real(self, folder, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(bm25s.BM25, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        _open(tmp_path)
    monkeypatch.undo()
    assert _open(tmp_path).search(["night"], 1)[1].tolist() == [[2]]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("Größe 3.5 mg", ["größe", "3", "5", "mg"], id="german"),
        pytest.param("हिन्दी भाषा", ["हिन्दी", "भाषा"], id="marks stay in their word"),
        pytest.param("日本語です", ["日本", "本語", "語で", "です"], id="pairs of characters"),
        pytest.param("データ AI 法", ["ai", "デー", "ータ", "法"], id="mixed, and a character alone"),
        pytest.param("ภาษา", ["ภา", "าษ", "ษา"], id="thai"),
        pytest.param("ＡＢＣ ﬁn", ["abc", "fin"], id="compatible forms"),
        pytest.param("…", [], id="nothing"),
    ],
)
def test_tokens_of_each_script(text: str, tokens: list[str]) -> None:
    found = tokens_of(pl.Series(["plain words", text, ""])).to_list()
    assert found[0] == ["plain", "words"]
    assert sorted(found[1]) == sorted(tokens)
    assert found[2] == []
