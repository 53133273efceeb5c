"""The search for passages that are near to improbably many queries: before mining, on a sample of the queries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from datagen.backends.protocols import Float32, Int64, SearchIndex
from datagen.run_folder import Counts
from datagen.selection.intruders import Intruders, find_intruders

SAMPLE = 4096
"""Queries looked at, at most."""
DEPTH = 10
"""Documents that are near to a query."""
LISTED = 20
"""Intruders named in the report, at most."""


def search_intruders(
    index: SearchIndex, vectors: Callable[[Int64], Float32], family: Int64, positives: Int64, size: tuple[int, int]
) -> Intruders:
    """The intruders of a corpus, found with one query of each family.

    Args:
        index: over the documents.
        vectors: of queries by number.
        family: of each query, (n_queries,): those of one family ask the same.
        positives: documents that are a known positive of a query: no intruders, as somebody vouches for them.
        size: documents of the corpus, and the seed of the run.
    """
    n_documents, seed = size
    firsts = np.unique(family, return_index=True)[1]
    if len(firsts) > SAMPLE:
        firsts = np.sort(np.random.default_rng(seed).choice(firsts, SAMPLE, replace=False))
    queries = vectors(firsts)
    _, nearest = index.search(queries, min(DEPTH, n_documents))
    found = find_intruders(nearest, queries, n_documents)
    return found.take(~np.isin(found.documents, positives))


def tell_intruders(found: Intruders, document_ids: pl.Series) -> Counts:
    """The first intruders by id, each with why; nothing where there are none."""
    if not len(found.documents):
        return {}
    ids, near = document_ids.gather(found.documents[:LISTED]), found.near[:LISTED].tolist()
    rows = zip(ids, near, strict=True)
    told = [{"doc_id": doc_id, "why": f"near to {n:,} of {found.queries:,} queries"} for doc_id, n in rows]
    return {"adversarial": told}
