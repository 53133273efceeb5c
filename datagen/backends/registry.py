"""From a name in the settings to a backend: loads one backend file on demand, never before."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np
import polars as pl

from datagen.backends import index_choice
from datagen.backends.index_prefix import PrefixIndex, PrefixVectors, cut
from datagen.backends.models import (
    find_model,
    hash_model,
    hash_user_class,
    is_user_class,
    load_user_class,
    tell_reranker_kind,
)
from datagen.backends.protocols import (
    LLM,
    Closing,
    FillableIndex,
    LexicalIndex,
    Preflight,
    Reranker,
    Role,
    SearchDemand,
    SearchIndex,
    Teacher,
    TokenCounter,
    VectorSource,
)
from datagen.config import DenoiseConfig, RunConfig, StageName, TeacherConfig, fingerprint
from datagen.errors import BackendMissingError, ConfigError, unknown_choice
from datagen.generation.runtime import loop
from datagen.progress import Progress
from datagen.settings.generate import EXTRACTIVE
from datagen.settings.rerank import split_reranker
from datagen.settings.sources import BM25

log = logging.getLogger(__name__)

_LLMS = {"openai": ("llm_openai", "load_openai"), "vllm": ("llm_vllm", "load_vllm")}
_BATCH_LLMS = {"openai": ("llm_batch", "load_batch")}
_INDEXES = {"flat": "index_faiss", "blocked": "index_blocked", "ivf": "index_approximate", "hnsw": "index_approximate"}
_RERANKERS = {
    "maxsim": ("reranker_maxsim", "load_maxsim"),
    "cross-encoder": ("reranker_ce", "load_cross_encoder"),
    "llm": ("reranker_llm", "load_llm_reranker"),
    "vllm": ("reranker_vllm", "load_vllm_reranker"),
}
_NEEDS = {
    "index_bm25": ("BM25", "bm25"),
    "index_approximate": ("search with FAISS", "mine"),
    "index_blocked": ("blocked search", "st"),
    "index_faiss": ("search with FAISS", "faiss"),
    "teacher_st": ("a sentence-transformers teacher", "st"),
    "reranker_ce": ("a cross-encoder", "st"),
    "reranker_maxsim": ("the maxsim reranker", "st"),
    "reranker_llm": ("a language model as reranker", "st"),
    "reranker_vllm": ("a language model as reranker on vLLM", "vllm"),
    "llm_openai": ("an OpenAI-compatible server", "api"),
    "llm_batch": ("the Batch API", "api"),
    "llm_vllm": ("the vLLM engine", "vllm"),
    "devices": ("a teacher or reranker", "st"),
    "tokens": ("counting tokens", "st"),
}
"""What a backend file is for and the extra that brings its packages."""

_ASKED = ("llm", "vllm")
"""Kinds of rerankers whose scores depend on a prompt."""
_UNTOLD = {"prompts", "engine"}
"""Settings of such a reranker that do not change a score: the folder of the prompts (their text does), the engine's."""
_ADD_BLOCK = 65_536


class Registry:
    """The backends of one run, each built on first use."""

    def __init__(self, config: RunConfig) -> None:
        """Keep the settings; nothing is loaded yet."""
        self._config = config
        self._teachers: dict[str | None, Teacher] = {}
        self._llms: dict[str, LLM] = {}
        self._prepared: set[str] = set()

    def _load_teacher(self, settings: TeacherConfig) -> Teacher:
        if is_user_class(settings.model):
            return load_user_class(settings.model, settings, Teacher)
        folder = find_model(settings.model, settings.revision)
        return cast("Teacher", _module("teacher_st").load_teacher(folder, settings))

    @functools.cached_property
    def _reranker(self) -> Reranker:
        settings = self._config.denoise
        if self._is_users_reranker:
            return load_user_class(settings.reranker, settings, Reranker)
        kind, model, revision = self._reranker_model()
        folder = find_model(model, revision)
        module, factory = _RERANKERS[kind]
        return cast("Reranker", getattr(_module(module), factory)(folder, settings))

    def _build_llm(self, name: str) -> LLM:
        if is_user_class(name) and not name.startswith(tuple(f"{kind}:" for kind in _LLMS)):
            return load_user_class(name, self._config.generate, LLM)
        if name == EXTRACTIVE:
            return cast("LLM", _module("llm_extractive").ExtractiveLLM(self._config.generate))
        kind, _, model = name.partition(":")
        lane = self._config.llm.lane
        known = _BATCH_LLMS if lane == "batch" else _LLMS
        if kind not in _LLMS or not model:
            choices = [EXTRACTIVE, *(f"{kind}:MODEL" for kind in _LLMS), "package.module:Class"]
            raise unknown_choice("LLM", name, choices)
        if kind not in known:
            raise ConfigError(f"the lane {lane!r} is for {', '.join(known)}:MODEL alone, not for {name!r}: use online")
        module, factory = known[kind]
        return cast("LLM", getattr(_module(module), factory)(model, self._config.llm))

    def check(self, stage: StageName) -> None:
        """Raise what would stop a stage for lack of a model or a package, before anything is spent on the run.

        Raises:
            DatagenError: what is missing, and the command or setting that mends it.
        """
        if stage in ("brainstorm", "generate"):
            generate = self._config.generate
            self._prepare_llms(generate.models if stage == "generate" else generate.resolved_llms)
        elif stage == "judge":
            self._prepare_llms(self._config.judges)
        elif stage == "clean" and self._config.chunk.enabled:
            self.token_counter()
        elif stage == "embed":
            self._find_teachers()
        elif stage in ("verify", "mine"):
            self._check_index()
            if stage == "mine" and BM25 in self._config.mine.sources.use:
                _module("index_bm25")
        elif stage == "denoise" and not self._is_users_reranker:
            kind, model, revision = self._reranker_model()
            find_model(model, revision)
            _module(_RERANKERS[kind][0])

    def teacher(self, name: str | None = None) -> Teacher:
        """The embedder of the run, or the further one of this name.

        Raises:
            BackendError: it cannot be loaded, or a package is missing.
        """
        if name not in self._teachers:
            self._teachers[name] = self._load_teacher(self._config.teacher_named(name))
        return self._teachers[name]

    def teacher_identity(self, role: Role, name: str | None = None) -> str:
        """Hash of all that decides a vector but the text."""
        settings = self._config.teacher_named(name)
        prompt = settings.query_prompt if role == "query" else settings.document_prompt
        weights = _model_hash(settings.model, settings.revision, settings)
        return fingerprint(weights, role, prompt, settings.max_tokens, settings.backend)

    def token_counter(self) -> TokenCounter:
        """The tokenizer of the teacher, or the one that `chunk.tokenizer` names.

        Raises:
            ConfigError: the teacher is a user's class, which has no known tokenizer.
            BackendError: it cannot be loaded, or a package is missing.
        """
        return cast("TokenCounter", _module("tokens").load_token_counter(self._tokenizer_folder))

    def token_counter_identity(self) -> str:
        """Hash of the tokenizer's file."""
        return str(_module("tokens").hash_tokenizer(self._tokenizer_folder))

    def index(self, documents: VectorSource, progress: Progress, demand: SearchDemand) -> SearchIndex:
        """The index that the settings name or the rule of `index_choice` chooses; position i is document i."""
        dims = self._config.mine.dims
        if dims is None or dims >= documents.dim:
            return self._open_index(documents, progress, demand)
        first = replace(demand, sample=cut(demand.sample, dims))
        return PrefixIndex(self._open_index(PrefixVectors(documents, dims), progress, first), documents, dims)

    def _open_index(self, documents: VectorSource, progress: Progress, demand: SearchDemand) -> SearchIndex:
        name = self._config.mine.index
        if is_user_class(name):
            return _filled(load_user_class(name, documents.dim, FillableIndex), documents, progress)
        if name == "auto":
            sizes = len(documents), demand.n_queries, documents.dim
            installed = {"has_faiss": _is_installed("faiss"), "has_torch": _is_installed("torch")}
            name = index_choice.choose_index(*sizes, **installed)
            log.info("index: %s", name)
        module = _module(_INDEXES[name])
        if name == "flat":
            return _filled(module.FaissFlatIndex(documents.dim), documents, progress)
        if name == "blocked":
            return cast("SearchIndex", module.BlockedIndex(documents, demand.memory, self._config.teacher.device))
        settings = self._config.mine.min_recall, self._config.cache_folder
        index = module.ApproximateIndex(name, documents, demand, *settings)
        index.build(progress)
        return cast("SearchIndex", index)

    def _check_index(self) -> None:
        name = self._config.mine.index
        if is_user_class(name):
            load_user_class(name, 1, FillableIndex)
        elif name not in index_choice.KINDS:
            raise unknown_choice("index", name, [*index_choice.KINDS, "package.module:Class"])
        elif name != "auto":
            _module(_INDEXES[name])
        elif not _is_installed("torch"):
            _module("index_faiss")

    def lexical_index(self, slices: Callable[[], Iterable[pl.Series]], progress: Progress) -> LexicalIndex:
        """The BM25 index over all documents; position i is document i.

        Raises:
            BackendError: a package is missing.
            StorageError: the disk refused.
        """
        opened = _module("index_bm25").open_bm25(slices, self._config.mine.bm25, self._config.cache_folder, progress)
        return cast("LexicalIndex", opened)

    def reranker(self) -> Reranker:
        """The second scorer of the run.

        Raises:
            BackendError: it cannot be loaded, or a package is missing.
        """
        return self._reranker

    def reranker_identity(self) -> str:
        """Hash of all that decides a reranker score but the two texts."""
        settings = self._config.denoise
        kind, model, revision = self._reranker_model()
        asked = []
        if kind in _ASKED:
            asked = [_module("rerank_prompts").read_prompts(settings.llm), settings.llm.model_dump(exclude=_UNTOLD)]
        return fingerprint(kind, _model_hash(model, revision, settings), settings.max_tokens, *asked)

    def llm(self, name: str | None = None) -> LLM:
        """The generator of the run, or the one of this name where it has several.

        Raises:
            ConfigError: the name is unknown.
        """
        name = name or self._config.generate.llm
        if name not in self._llms:
            self._llms[name] = self._build_llm(name)
        return self._llms[name]

    def close(self) -> None:
        """Give back what the generators hold; the next use builds them anew."""
        llms, self._llms, self._prepared = self._llms, {}, set()
        for llm in llms.values():
            if isinstance(llm, Closing):
                loop.run(llm.close())
        reranker = self.__dict__.pop("_reranker", None)
        if reranker is not None and hasattr(reranker, "close"):
            reranker.close()

    def _find_teachers(self) -> None:
        for settings in (self._config.teacher, *self._config.teachers.values()):
            if not is_user_class(settings.model):
                find_model(settings.model, settings.revision)
                _module("teacher_st")

    def _prepare_llms(self, names: Iterable[str]) -> None:
        for name in names:
            llm = self.llm(name)
            if isinstance(llm, Preflight) and name not in self._prepared:
                loop.run(llm.prepare())
                self._prepared.add(name)

    @property
    def _tokenizer_folder(self) -> Path:
        settings, named = self._config.teacher, self._config.chunk.tokenizer
        if named is None and is_user_class(settings.model):
            raise ConfigError(
                f"the teacher {settings.model!r} is a class, whose tokens cannot be counted: name a model for that as "
                "chunk.tokenizer (packaged:NAME, a folder or a hub id), or leave chunk.max_tokens out"
            )
        return find_model(named or settings.model, None if named else settings.revision)

    @property
    def _is_users_reranker(self) -> bool:
        kind, model = split_reranker(self._config.denoise.reranker)
        return kind is None and is_user_class(model)

    def _reranker_model(self) -> tuple[str, str, str | None]:
        """Kind, model and revision: late interaction uses the teacher's own model unless it names another.

        Raises:
            ConfigError: the teacher is a user's class, which gives no token vectors.
            ModelLoadError: the kind is not named, and the model that would tell it is not found.
        """
        kind, name = split_reranker(self._config.denoise.reranker)
        revision = self._config.denoise.revision
        if self._config.denoise.is_own_model:
            if is_user_class(self._config.teacher.model):
                raise ConfigError(
                    f"the reranker 'maxsim' needs token vectors, which the teacher {self._config.teacher.model!r} does "
                    "not give: name a model as maxsim:MODEL, another reranker, or none"
                )
            return "maxsim", self._config.teacher.model, revision or self._config.teacher.revision
        if kind:
            return kind, name, revision
        if self._is_users_reranker:
            return "cross-encoder", name, revision
        return tell_reranker_kind(find_model(name, revision)), name, revision


def _filled(index: FillableIndex, documents: VectorSource, progress: Progress) -> SearchIndex:
    with progress.step("index", len(documents), "documents") as advance:
        for begin in range(0, len(documents), _ADD_BLOCK):
            numbers = np.arange(begin, min(begin + _ADD_BLOCK, len(documents)))
            index.add(documents.take(numbers))
            advance(len(numbers))
    return index


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _model_hash(spec: str, revision: str | None, settings: TeacherConfig | DenoiseConfig) -> str:
    if is_user_class(spec):
        return fingerprint(hash_user_class(spec), revision, settings.dtype)
    devices = _module("devices")
    dtype = devices.choose_dtype(settings.dtype, devices.choose_device(settings.device))
    return f"{hash_model(find_model(spec, revision))}-{dtype}"


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"datagen.backends.{name}")
    except ImportError as exc:
        raise BackendMissingError(*_NEEDS[name]) from exc
