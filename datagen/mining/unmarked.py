"""How many positives nobody has marked a query of this run may have: one figure for the learned margin.

Where several passages answer a query equally well, a marked one of them stands first among all with a chance of one in
their number. So the share of queries with a known positive first bounds how many passages answer a query: with 59 % of
them first there are on average at most 1.7. Measured before mining, on a sample of the queries.
"""

from __future__ import annotations

import numpy as np

from datagen.backends.protocols import Float32, Int64, SearchIndex
from datagen.selection.arrays import Lists, sample_rows
from datagen.selection.closure import Closure

SAMPLE = 1024
"""Queries looked at, at most."""
FEWEST, MOST = 1.0, 2.0
"""The bound in octaves, as far as it tells anything: below, none are expected; above, all that a corpus may have."""
_DEPTH = 8
"""Documents looked at for the first that is no copy."""
_DOUBT = 10.0
"""Queries without a positive in first place that are thought to stand beside those that were looked at."""


def choose_sample(positives: Lists, seed: int) -> Int64:
    """Some queries with a known positive, ascending, at most `SAMPLE`.

    Args:
        positives: known positives of each query.
        seed: of the run.
    """
    asked = np.flatnonzero(positives.sizes)
    return asked[sample_rows(len(asked), SAMPLE, seed)]


def bound_unmarked(index: SearchIndex, queries: Float32, closure: Closure) -> float:
    """log2 of how many unmarked positives a query may have on average, `FEWEST` to `MOST`; NaN without queries.

    Copies of a positive, and of the query, are passed over: the closure sees them.

    Args:
        index: over the documents.
        queries: vectors of a sample, (n, dim), n > 0.
        closure: of these queries, each with a known positive.
    """
    if not len(queries):
        return float("nan")
    documents = index.search(queries, min(_DEPTH, len(closure.document_group)))[1]
    n, depth = documents.shape
    rows, flat = np.repeat(np.arange(n), depth), documents.ravel()
    known = closure.positive_text(rows, flat)
    passed = (closure.near_text(rows, flat) | closure.query_text(rows, flat)) & ~known
    first = np.argmin(passed.reshape(n, depth), axis=1)
    share = (np.count_nonzero(known.reshape(n, depth)[np.arange(n), first]) + 1) / (n + _DOUBT)
    bound = np.log2(closure.positives.sizes.mean() * (1 / share - 1)) if share < 1 else FEWEST
    return float(np.clip(bound, FEWEST, MOST))
