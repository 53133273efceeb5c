"""Embed: the teacher's vectors of all documents and queries, into the cache, for each teacher."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends, Role
from datagen.config import RunConfig, StageName
from datagen.documents import iterate_documents
from datagen.mining.planning import check_memory
from datagen.run_folder import Counts
from datagen.stages.base import Work
from datagen.vectors import PLURALS, open_vectors


class Embed:
    """Reads corpus and queries; fills the vector store."""

    name: StageName = "embed"
    reads = ("corpus", "queries")
    writes = ()

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The teacher's identity for both roles, and how a document is put together."""
        further = {name: _identity(config, backends, name) for name in config.teachers}
        return {**_identity(config, backends, None), **({"teachers": further} if further else {})}

    def run(self, work: Work) -> Counts:
        """Embed what the store lacks; texts, how many were new, tokens and padding."""
        n_documents = shards.count_rows(work.source("corpus"))
        queries = work.read("queries", ["query"])["query"]
        check_memory(work.config, n_documents, len(queries))
        further = {name: _embed_both(work, queries, n_documents, name) for name in work.config.teachers}
        own = _embed_both(work, queries, n_documents, None)
        return {**own, **({"teachers": further} if further else {})}


def _identity(config: RunConfig, backends: Backends, teacher: str | None) -> dict[str, str]:
    settings = config.teacher_named(teacher)
    return {
        "teacher": settings.model,
        "query_vectors": backends.teacher_identity("query", teacher),
        "document_vectors": backends.teacher_identity("document", teacher),
        "document_template": settings.document_template,
    }


def _embed_both(work: Work, queries: pl.Series, n_documents: int, teacher: str | None) -> Counts:
    documents = iterate_documents(work.source("corpus"), work.config.teacher_named(teacher).document_template)
    started = time.monotonic()
    counts = {
        **_embed(work, [queries], len(queries), "query", teacher),
        **_embed(work, documents, n_documents, "document", teacher),
    }
    return {**counts, **_effort(work, counts, time.monotonic() - started, teacher)}


def _embed(work: Work, slices: Iterable[pl.Series], total: int, role: Role, teacher: str | None) -> Counts:
    """Embed texts some at a time; each slice is sorted by itself, which wastes as little as all of them together."""
    vectors = open_vectors(work.config, work.backends, role, teacher)
    loaded = partial(work.backends.teacher, teacher)
    new = sum(vectors.ensure(texts, loaded, work.progress, max(1, len(texts)) / max(1, total))[1] for texts in slices)
    many = PLURALS[role]
    return {many: total, f"{many}_embedded": new, f"{many}_cached": total - new, "dim": vectors.dim}


def _effort(work: Work, counts: Counts, seconds: float, teacher: str | None) -> Counts:
    if not counts["queries_embedded"] + counts["documents_embedded"]:
        return {}
    usage = work.backends.teacher(teacher).usage
    return {
        "tokens": usage.tokens,
        "tokens_per_second": round(usage.tokens / max(seconds, 1e-9)),
        "padding_share": round(usage.padding_share, 4),
    }
