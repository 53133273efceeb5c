"""Embed: the teacher's vectors of all documents and queries, into the cache, for each teacher."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import polars as pl

from datagen.backends.protocols import Backends, Role
from datagen.config import RunConfig, StageName
from datagen.documents import render_documents
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
        corpus = work.read("corpus", ["title", "text"])
        queries = work.read("queries", ["query"])["query"]
        further = {name: _embed_both(work, queries, corpus, name) for name in work.config.teachers}
        return {**_embed_both(work, queries, corpus, None), **({"teachers": further} if further else {})}


def _identity(config: RunConfig, backends: Backends, teacher: str | None) -> dict[str, str]:
    settings = config.teacher_named(teacher)
    return {
        "teacher": settings.model,
        "query_vectors": backends.teacher_identity("query", teacher),
        "document_vectors": backends.teacher_identity("document", teacher),
        "document_template": settings.document_template,
    }


def _embed_both(work: Work, queries: pl.Series, corpus: pl.DataFrame, teacher: str | None) -> Counts:
    documents = render_documents(corpus, work.config.teacher_named(teacher).document_template)
    started = time.monotonic()
    counts = {**_embed(work, queries, "query", teacher), **_embed(work, documents, "document", teacher)}
    return {**counts, **_effort(work, counts, time.monotonic() - started, teacher)}


def _embed(work: Work, texts: pl.Series, role: Role, teacher: str | None) -> Counts:
    vectors = open_vectors(work.config, work.backends, role, teacher)
    _, new = vectors.ensure(texts, partial(work.backends.teacher, teacher), work.progress)
    many = PLURALS[role]
    return {many: len(texts), f"{many}_embedded": new, f"{many}_cached": len(texts) - new, "dim": vectors.dim}


def _effort(work: Work, counts: Counts, seconds: float, teacher: str | None) -> Counts:
    if not counts["queries_embedded"] + counts["documents_embedded"]:
        return {}
    usage = work.backends.teacher(teacher).usage
    return {
        "tokens": usage.tokens,
        "tokens_per_second": round(usage.tokens / max(seconds, 1e-9)),
        "padding_share": round(usage.padding_share, 4),
    }
