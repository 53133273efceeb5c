"""From names in the settings to backends, and what is said before anything is spent."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from datagen.backends.protocols import Float32, Int64, SearchDemand, Telling
from datagen.backends.registry import Registry
from datagen.config import StageName, build_config
from datagen.errors import BackendMissingError, ConfigError, ModelLoadError
from datagen.progress import SilentProgress
from datagen.testing import HashingTeacher, OverlapReranker


def _registry(**over: Any) -> Registry:  # Any: nested settings
    return Registry(build_config({"out": "run", "input": {"beir": "x"}, **over}))


def test_a_users_classes_are_built_with_their_settings() -> None:
    registry = _registry(
        teacher={"model": "datagen.testing:HashingTeacher"}, denoise={"reranker": "datagen.testing:OverlapReranker"}
    )
    teacher, reranker = registry.teacher(), registry.reranker()
    assert isinstance(teacher, HashingTeacher)
    assert isinstance(reranker, OverlapReranker)
    assert teacher.settings.model == "datagen.testing:HashingTeacher"
    assert registry.teacher() is teacher
    for stage in ("embed", "mine", "denoise"):
        registry.check(stage)


@pytest.mark.parametrize(
    ("stage", "over", "words"),
    [
        ("embed", {"teacher": {"model": "./nowhere"}}, "'./nowhere' does not exist"),
        ("denoise", {"denoise": {"reranker": "./nowhere"}}, "'./nowhere' does not exist"),
        ("denoise", {"denoise": {"reranker": "maxsim:./nowhere"}}, "'./nowhere' does not exist"),
        ("denoise", {"denoise": {"reranker": "cross-encoder:./nowhere"}}, "'./nowhere' does not exist"),
    ],
)
def test_a_model_that_is_not_there_is_told_before_the_run(
    stage: StageName,
    over: dict[str, Any],  # Any: nested settings
    words: str,
) -> None:
    with pytest.raises(ModelLoadError, match=words):
        _registry(**over).check(stage)


def test_maxsim_beside_a_users_teacher_says_what_to_name_instead() -> None:
    registry = _registry(teacher={"model": "datagen.testing:HashingTeacher"})
    with pytest.raises(ConfigError, match="'maxsim' needs token vectors.* name a model as maxsim:MODEL"):
        registry.check("denoise")
    with pytest.raises(ConfigError, match="'maxsim' needs token vectors"):
        registry.reranker_identity()


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("embed", r"a sentence-transformers teacher needs .* pip install 'datagen\[st\]'"),
        ("mine", r"search with FAISS needs .* pip install 'datagen\[faiss\]'"),
        ("denoise", r"the maxsim reranker needs .* pip install 'datagen\[st\]'"),
    ],
)
def test_a_missing_package_is_told_before_the_run(
    monkeypatch: pytest.MonkeyPatch, stage: StageName, words: str
) -> None:
    real = importlib.import_module

    def refuse(name: str) -> ModuleType:
        if name.startswith("datagen.backends."):
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(BackendMissingError, match=words):
        _registry(mine={"index": "flat"}).check(stage)


def test_auto_needs_one_library_that_can_search(monkeypatch: pytest.MonkeyPatch) -> None:
    _registry().check("mine")
    monkeypatch.setattr("datagen.backends.registry._is_installed", lambda name: False)
    monkeypatch.setitem(sys.modules, "datagen.backends.index_faiss", None)
    with pytest.raises(BackendMissingError, match=r"search with FAISS needs .* pip install 'datagen\[faiss\]'"):
        _registry().check("mine")


class Documents:
    """Random vectors as a source gives them."""

    def __init__(self, n: int) -> None:
        vectors = np.random.default_rng(0).standard_normal((n, 16)).astype(np.float32)
        self.vectors: Float32 = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.dim, self.identity = 16, f"random-{n}"

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, numbers: Int64) -> Float32:
        return self.vectors[numbers]

    def blocks(self, rows: int) -> Iterator[tuple[Int64, Float32]]:
        for begin in range(0, len(self), rows):
            numbers = np.arange(begin, min(begin + rows, len(self)))
            yield numbers, self.take(numbers)


class OwnIndex:
    """A user's index: all products at once."""

    def __init__(self, dim: int) -> None:
        self.vectors = np.empty((0, dim), np.float32)

    def add(self, vectors: Float32) -> None:
        self.vectors = np.concatenate([self.vectors, vectors])

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        scores = vectors @ self.vectors.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, best, axis=1), best


@pytest.mark.parametrize("name", ["auto", "flat", "blocked", "ivf", "hnsw", "test_registry:OwnIndex"])
def test_every_index_that_can_be_named_finds_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "test_registry", sys.modules[__name__])
    documents = Documents(3000)
    queries = documents.vectors[:200]
    registry = _registry(cache=str(tmp_path), mine={"index": name})
    registry.check("mine")
    index = registry.index(documents, SilentProgress(), SearchDemand(200, 10, queries[:50], 2**28))
    scores, positions = index.search(queries, 10)
    assert positions[:, 0].tolist() == list(range(200))
    last = -np.sort(-(queries @ documents.vectors.T), axis=1)[:, 9:10]
    assert (scores >= last - 1e-6).mean() > 0.9
    if isinstance(index, Telling):
        assert index.facts["index"] == ("flat" if name == "auto" else name)
    assert bool(list(tmp_path.rglob("*.faiss"))) == (name in ("ivf", "hnsw"))


def test_identities_change_with_what_decides_a_vector_or_score() -> None:
    plain = _registry()
    assert plain.teacher_identity("query") != plain.teacher_identity("document")
    for section, key, value in (
        ("teacher", "query_prompt", "q: "),
        ("teacher", "max_tokens", 64),
        ("teacher", "dtype", "float16"),
        ("teacher", "backend", "onnx"),
    ):
        assert _registry(**{section: {key: value}}).teacher_identity("query") != plain.teacher_identity("query")
    assert _registry(teacher={"batch_tokens": 999}).teacher_identity("query") == plain.teacher_identity("query")
    assert _registry(denoise={"max_tokens": 64}).reranker_identity() != plain.reranker_identity()
    assert _registry(denoise={"round_size": 3}).reranker_identity() == plain.reranker_identity()


def test_further_teachers_have_settings_and_identities_of_their_own() -> None:
    second = {"model": "datagen.testing:HashingTeacher", "query_prompt": "find: "}
    registry = _registry(teacher={"model": "datagen.testing:HashingTeacher"}, teachers={"second": second})
    assert registry.teacher("second") is registry.teacher("second")
    assert registry.teacher("second") is not registry.teacher()
    assert registry.teacher_identity("document", "second") == registry.teacher_identity("document")
    assert registry.teacher_identity("query", "second") != registry.teacher_identity("query")
    registry.check("embed")
    with pytest.raises(ModelLoadError, match=r"'\./nowhere' does not exist"):
        _registry(teacher=second, teachers={"third": {"model": "./nowhere"}}).check("embed")


def test_bm25_is_asked_for_before_the_run_only_where_it_is_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def refuse(name: str) -> ModuleType:
        if name == "datagen.backends.index_bm25":
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    _registry().check("mine")
    with pytest.raises(BackendMissingError, match=r"BM25 needs .* pip install 'datagen\[bm25\]'"):
        _registry(mine={"sources": {"use": ["dense", "bm25"]}}).check("mine")
