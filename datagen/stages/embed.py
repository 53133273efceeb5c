"""Embed: the teacher's vectors of all documents and queries, into the cache."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
        return {
            "teacher": config.teacher.model,
            "query_vectors": backends.teacher_identity("query"),
            "document_vectors": backends.teacher_identity("document"),
            "document_template": config.teacher.document_template,
        }

    def run(self, work: Work) -> Counts:
        """Embed what the store lacks; texts, how many were new, tokens and padding."""
        corpus = work.read("corpus", ["title", "text"])
        documents = render_documents(corpus, work.config.teacher.document_template)
        queries = work.read("queries", ["query"])["query"]
        started = time.monotonic()
        counts = {**_embed(work, queries, "query"), **_embed(work, documents, "document")}
        return {**counts, **_effort(work, counts, time.monotonic() - started)}


def _embed(work: Work, texts: pl.Series, role: Role) -> Counts:
    vectors = open_vectors(work.config, work.backends, role)
    _, new = vectors.ensure(texts, work.backends.teacher, work.progress)
    many = PLURALS[role]
    return {many: len(texts), f"{many}_embedded": new, f"{many}_cached": len(texts) - new, "dim": vectors.dim}


def _effort(work: Work, counts: Counts, seconds: float) -> Counts:
    if not counts["queries_embedded"] + counts["documents_embedded"]:
        return {}
    usage = work.backends.teacher().usage
    return {
        "tokens": usage.tokens,
        "tokens_per_second": round(usage.tokens / max(seconds, 1e-9)),
        "padding_share": round(usage.padding_share, 4),
    }
