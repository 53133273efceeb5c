"""Hubs, documents near to very many queries: how unevenly documents serve as negatives, and two remedies.

A cap on how many queries a document may serve is met by deferred acceptance over all queries at once; CSLS lowers
what hubs score before anything is chosen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datagen.selection.arrays import Bool, Float32, Int64, UInt64, index_in_row, places_of, starts_of
from datagen.selection.choice import LineUp, choose_first

_PLACE_BITS = 16


def claims(line: LineUp, keys: UInt64) -> UInt64:
    """How strong the claim of each query on the document beside it is, the lowest number first, (n,).

    The query in whose line the document stands further in front has the stronger claim; equal claims are drawn. So
    the outcome does not change with the teacher's scale or the order of the queries.

    Args:
        line: the candidates.
        keys: what `draw_keys` gives for each, (n,).
    """
    place: UInt64 = np.minimum(index_in_row(line.rows), 2**_PLACE_BITS - 1).astype(np.uint64)
    high, low = np.uint64(64 - _PLACE_BITS), np.uint64(_PLACE_BITS)
    claim: UInt64 = (place << high) | (keys >> low)
    return claim


def choose_within(line: LineUp, documents: Int64, claim: UInt64, cap: int) -> Bool:
    """Those that are taken when a document may serve `cap` queries at most, (n,).

    Deferred acceptance (Gale and Shapley 1962, with capacities on both sides): each query asks for what it would take;
    each document keeps the `cap` strongest claims it has had so far; a query that is refused asks for the next of its
    line. The outcome is stable (no query misses a document that it would rather take and that has a weaker claim, or
    room), no query is better off in another stable one, and it does not depend on the order of the queries.

    A query whose line runs out stays short. Line, documents and claims take 34 bytes a candidate, its own state 2 more
    and 9 a document: 360 MB for 200,000 queries of 50 candidates.

    Args:
        line: the candidates of all queries.
        documents: document of each, (n,).
        claim: of each, different for the queries that share a document, (n,).
        cap: queries a document may serve.
    """
    starts = starts_of(line.rows, line.n_rows)
    open_, held = np.ones(len(line.rows), bool), np.zeros(len(line.rows), bool)
    weakest = np.full(int(documents.max(initial=-1)) + 1, np.iinfo(np.uint64).max, np.uint64)
    rows = np.arange(line.n_rows)
    while len(rows):
        places = places_of(starts, rows)
        open_[places] &= claim[places] <= weakest[documents[places]]
        places = places[open_[places]]
        part = line.take(places)
        queries, renumbered = np.unique(part.rows, return_inverse=True)
        asked = places[choose_first(replace(part, rows=renumbered, n_rows=len(queries)))]
        new = asked[~held[asked]]
        held[new] = True
        refused = _refused(held, documents, claim, documents[new], weakest, cap)
        held[refused] = open_[refused] = False
        rows = np.unique(line.rows[refused])
    return held


def _refused(held: Bool, documents: Int64, claim: UInt64, asked: Int64, weakest: UInt64, cap: int) -> Int64:
    """The held candidates that the documents asked for must give up; sets `weakest` to what a full one still keeps."""
    touched = np.zeros(len(weakest), bool)
    touched[asked] = True
    rivals = np.flatnonzero(held)
    rivals = rivals[touched[documents[rivals]]]
    rivals = rivals[np.lexsort((claim[rivals], documents[rivals]))]
    place = index_in_row(documents[rivals])
    last = rivals[place == cap - 1]
    weakest[documents[last]] = claim[last]
    return rivals[place >= cap]


def measure_hubs(uses: Int64, n_documents: int) -> tuple[float, float]:
    """How unevenly documents are used.

    Args:
        uses: how often each document that is used at all is, (n_used,).
        n_documents: all documents, used or not.

    Returns:
        The Gini coefficient over all documents (0: all equally often, towards 1: one alone), and the share of all uses
        that the most used 1 % of the documents (at least one) have; 0 and 0 without uses.
    """
    if not len(uses):
        return 0.0, 0.0
    ordered = np.sort(uses)
    ranks = np.arange(n_documents - len(uses) + 1, n_documents + 1)
    gini = 2 * float(ranks @ ordered) / (n_documents * float(ordered.sum())) - (n_documents + 1) / n_documents
    top = ordered[-max(1, n_documents // 100) :]
    return gini, float(top.sum() / ordered.sum())


def mean_of_nearest(documents: Float32, queries: Float32, k: int) -> Float32:
    """r(d) of CSLS: the mean cosine of each document to its k nearest queries, (n_documents,).

    CSLS (Conneau et al., ICLR 2018) scores 2 s(q,d) - r(q) - r(d). r(q) is the same for all documents of a query, does
    not change their order, and is left out.

    Args:
        documents: unit vectors, (n_documents, dim).
        queries: unit vectors of a sample, (n_queries, dim), not empty.
        k: neighbours; all queries where there are fewer.
    """
    products = documents @ queries.T
    k = min(k, len(queries))
    return np.asarray(np.partition(products, len(queries) - k, axis=1)[:, -k:].mean(axis=1), np.float32)
