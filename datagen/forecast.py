"""`datagen mine-negatives --dry-run`: what the run would take in memory, time and disk.

The input is cleaned, which is cheap, and some texts go through the models to see how fast they are; what that gives is
kept in the cache, so the run itself does not pay for it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen import pipeline, shards
from datagen.backends.protocols import Backends, Role
from datagen.backends.registry import Registry
from datagen.config import RunConfig
from datagen.documents import iterate_documents
from datagen.mining.planning import check_memory, predict_peak
from datagen.progress import SilentProgress
from datagen.report.promise import tell_promise
from datagen.run_folder import RunFolder
from datagen.scores import PairScores, Texts
from datagen.store import hash_texts
from datagen.vectors import TEXT_OVERHEAD, open_vectors

PILOT_DOCUMENTS = 192
PILOT_QUERIES = 16
_LEDGER_ROW = 12
"""Bytes of a ledger row on disk."""
_PACKED = 0.5
"""What packing leaves of texts."""


@dataclass(frozen=True)
class Size:
    """How much there is to do."""

    documents: int
    queries: int
    characters: int
    """Of all documents and queries, each with what a text costs beside its length."""
    missing: int
    """Those of them that the cache has no vectors of."""


@dataclass(frozen=True)
class StageForecast:
    """What one stage would take."""

    stage: str
    seconds: float
    disk: int
    """Bytes written."""


@dataclass(frozen=True)
class Forecast:
    """What a run would take."""

    size: Size
    pairs: int
    """Candidates in the ledger, if no query has to be searched deeper than at first."""
    memory: int
    """Bytes held at the peak."""
    stages: tuple[StageForecast, ...]
    cut: str
    """In words, where the promised rate of wrong labels puts the cut; "" where nothing is promised."""

    @property
    def seconds(self) -> float:
        """All stages together."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def disk(self) -> int:
        """Bytes written by all stages."""
        return sum(stage.disk for stage in self.stages)


def forecast_mining(config: RunConfig, backends: Backends | None = None) -> Forecast:
    """Clean the input, try the models on a few texts, and say what the rest would take.

    Raises:
        DatagenError: as a run would.
    """
    backends = backends or Registry(config)
    pipeline.run(config, backends=backends, until="clean")
    size, documents, queries = _look(config, backends)
    check_memory(config, size.documents, size.queries)
    pairs = size.queries * min(config.mine.candidates + 1, size.documents)
    per_character = _time_teacher(config, backends, documents)
    dim = backends.teacher().dim
    number = 4 if config.teacher.dtype == "float32" else 2
    stages = [
        StageForecast("embed", per_character * size.missing, (size.documents + size.queries) * dim * number),
        StageForecast("mine", _time_product(dim) * size.documents * size.queries, pairs * _LEDGER_ROW),
    ]
    if config.denoise.enabled:
        per_query = _time_reranker(config, backends, documents, queries)
        stages.append(StageForecast("denoise", per_query * size.queries, pairs * _LEDGER_ROW))
    per_document = size.characters / (size.documents + size.queries) - TEXT_OVERHEAD
    exported = size.queries * (config.mine.wanted + 1) * per_document * _PACKED
    memory = predict_peak(config, size.documents, size.queries, dim)
    stages.append(StageForecast("export", 0.0, round(exported)))
    return Forecast(size, pairs, memory, tuple(stages), _tell_cut(config, backends))


def _tell_cut(config: RunConfig, backends: Backends) -> str:
    if not config.calibration.enabled:
        return ""
    found = pipeline.find_counts(config, backends, "calibrate")
    if found is None:
        return (
            "the cut is found at run time, by the stage calibrate, whose time is not in this: it replays some queries"
        )
    return f"calibrated before: negatives up to P(false negative) {found['cut']}. {tell_promise(found)}"


def _look(config: RunConfig, backends: Backends) -> tuple[Size, pl.Series, pl.Series]:
    """How much there is, with documents and queries from all over the run to try the models on."""
    folder = RunFolder(config.out)
    corpus, table = (folder.table(name, ["clean"]) for name in ("corpus", "queries"))
    queries = shards.read(table, ["query"])["query"]
    n_documents = shards.count_rows(corpus)
    spoken, unseen = _characters(config, backends, "query", iter([queries]))
    told, new = _characters(config, backends, "document", iterate_documents(corpus, config.teacher.document_template))
    size = Size(n_documents, len(queries), spoken + told, unseen + new)
    step = max(1, n_documents // PILOT_DOCUMENTS)
    slices = iterate_documents(corpus, config.teacher.document_template)
    documents = pl.concat(texts.gather_every(step) for texts in slices).head(PILOT_DOCUMENTS)
    return size, documents, queries.gather_every(max(1, len(queries) // PILOT_QUERIES)).head(PILOT_QUERIES)


def _characters(config: RunConfig, backends: Backends, role: Role, slices: Iterator[pl.Series]) -> tuple[int, int]:
    """Characters of texts, each with its overhead: of all, and of those without a vector."""
    vectors = open_vectors(config, backends, role)
    both = np.zeros(2, np.int64)
    for texts in slices:
        sizes = texts.str.len_chars().to_numpy().astype(np.int64) + TEXT_OVERHEAD
        both += sizes.sum(), sizes[vectors.locate(hash_texts(texts)) < 0].sum()
    return int(both[0]), int(both[1])


def _time_teacher(config: RunConfig, backends: Backends, documents: pl.Series) -> float:
    """Seconds a character, by those of the documents that have no vector yet; the first few warm the model up."""
    vectors = open_vectors(config, backends, "document")
    new = documents.filter(pl.Series(vectors.locate(hash_texts(documents)) < 0))
    teacher = backends.teacher()
    teacher.encode(documents.head(8).to_list(), "document")
    started = time.monotonic()
    vectors.ensure(new, lambda: teacher, SilentProgress())
    characters = int(new.str.len_chars().sum()) + TEXT_OVERHEAD * len(new)
    return (time.monotonic() - started) / characters if characters else 0.0


def _time_product(dim: int) -> float:
    """Seconds to compare one query with one document, a matrix at a time."""
    left, right = np.ones((1024, dim), np.float32), np.ones((dim, 8192), np.float32)
    np.matmul(left[:64], right)
    started = time.monotonic()
    np.matmul(left, right)
    return (time.monotonic() - started) / (1024 * 8192)


def _time_reranker(config: RunConfig, backends: Backends, documents: pl.Series, queries: pl.Series) -> float:
    """Seconds a query, if each needs its negatives, one round beside them and its positive scored."""
    reranker = backends.reranker()
    scores = PairScores(config.cache_folder, backends.reranker_identity())
    each = config.mine.wanted + 1 + min(reranker.round_size, config.denoise.spare_candidates)
    query, document = np.divmod(np.arange(min(len(queries) * each, len(documents))), each)
    started = time.monotonic()
    pairs = query, np.arange(len(document))
    _, new = scores.ensure(Texts.of(queries), Texts.of(documents), pairs, lambda: reranker, SilentProgress())
    return (time.monotonic() - started) / new * each if new else 0.0
