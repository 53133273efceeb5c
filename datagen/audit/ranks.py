"""Positives that the teacher does not find: round-trip consistency as in the stage `verify`, for any data set."""

from __future__ import annotations

import numpy as np
import polars as pl

from datagen.audit.findings import ROUND_TRIP, report_uses
from datagen.audit.material import POSITIVE, Material, pairs_of
from datagen.audit.teaching import Teaching
from datagen.errors import BackendError
from datagen.progress import Progress
from datagen.selection.arrays import Bool, Float32, Int64, Lists, pair_products, starts_of

_TOLERANCE = 1e-5
"""Scores so close are one: the search and the product of two vectors round apart."""
_MOST_OTHERS = 1024
"""Other positives of a row that are looked past, at most."""


def find_missed(material: Material, teaching: Teaching, wanted: int, progress: Progress) -> pl.DataFrame:
    """Positives with `wanted` or more passages above them that are no positives of their row.

    The score is the teacher's. An empty text has no rank and is left out.

    Raises:
        BackendError: the search gave scores that are not finite.
    """
    uses = material.used_as(POSITIVE)
    rows, passages = pairs_of(uses)
    missed, scores = np.zeros(len(uses), bool), np.zeros(len(uses), np.float32)
    with progress.step("find positives", len(material.queries), "queries") as advance:
        for block in teaching.blocks():
            begin, end = np.searchsorted(rows, [block[0], block[-1] + 1])
            local = rows[begin:end] - block[0]
            missed[begin:end], scores[begin:end] = _missed(teaching, block, local, passages[begin:end], wanted)
            advance(len(block))
    detail = f"not among the first {wanted:,} of {len(material.passages):,} passages"
    return report_uses(uses.filter(pl.Series(missed)), ROUND_TRIP, scores[missed], detail)


def _missed(teaching: Teaching, block: Int64, rows: Int64, passages: Int64, wanted: int) -> tuple[Bool, Float32]:
    queries = teaching.queries(block)
    numbers, columns = np.unique(passages, return_inverse=True)
    scores = pair_products(queries, teaching.documents.take(numbers), rows, columns)
    sizes = Lists.from_pairs(rows, passages, len(block)).sizes
    depth = min(wanted + min(int(sizes.max(initial=0)), _MOST_OTHERS), len(teaching.documents))
    nearest, _ = teaching.index.search(queries, depth)
    if not np.isfinite(nearest).all():
        raise BackendError("the search gave scores that are not finite: try --dtype float32 or another teacher")
    above = (nearest[rows] > scores[:, None] + _TOLERANCE).sum(axis=1)
    return np.asarray(above - _own_above(rows, scores, len(block)) >= wanted), scores


def _own_above(rows: Int64, scores: Float32, n_rows: int) -> Int64:
    """How many positives of the same row score higher than each, (n,); rows ascend."""
    order = np.lexsort((-scores, rows))
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows)) - starts_of(rows, n_rows)[rows]
    return place
