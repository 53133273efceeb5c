"""What is against each candidate: closure and margin. Every candidate gets a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from datagen.selection.arrays import (
    Bool,
    Float32,
    Int64,
    Lists,
    count_before,
    count_per_row,
    first_of_kind,
    starts_of,
)
from datagen.selection.closure import Closure


class Reason(IntEnum):
    """What is against a candidate; the names are what the ledger says."""

    SURPLUS = 0
    """Nothing: it is eligible, and stays surplus unless it is chosen."""
    KNOWN_POSITIVE = 1
    QUERY_TEXT = 2
    POSITIVE_TEXT = 3
    SIBLING_POSITIVE = 4
    """Says the same as a positive of a query that asks the same."""
    SAME_DOCUMENT = 5
    """Cut from the same longer document as a positive."""
    NEAR_TEXT = 6
    """Repeats the query, or what answers it, in nearly the same words."""
    NEAR_VECTOR = 7
    """For the teacher nearly the same as a positive."""
    EXCLUDED_FIELD = 8
    """Like a positive in a field in which it must not be."""
    OTHER_FIELD = 9
    """Unlike all positives in a field in which it must not be."""
    NEAR_POSITIVE = 10
    """Among the documents nearest to a positive."""
    MARGIN = 11
    REPEATED_TEXT = 12
    """Says the same as a better candidate of the same query."""
    ADVERSARIAL = 13
    """Near to improbably many queries."""

    @property
    def label(self) -> str:
        """The word in the ledger."""
        return self.name.lower()


Reasons = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Candidates:
    """The candidates of a block of queries, query by query, best first."""

    rows: Int64
    """Query of each candidate, numbered within the block, ascending, (n,)."""
    documents: Int64
    """Document of each candidate, (n,)."""
    ranks: npt.NDArray[np.int32]
    """Place in the search result, from 1, known positives counted, (n,)."""
    scores: Float32
    """Teacher score, higher is closer, (n,)."""

    def take(self, chosen: Bool | Int64 | slice) -> Candidates:
        """The chosen candidates, in this order."""
        return Candidates(self.rows[chosen], self.documents[chosen], self.ranks[chosen], self.scores[chosen])


NO_CANDIDATES = Candidates(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))


def from_search(scores: Float32, positions: Int64, rows: Int64) -> Candidates:
    """Candidates of a search result.

    Args:
        scores: (n_queries, k), best first.
        positions: document of each score, (n_queries, k).
        rows: number of each query within the block, (n_queries,), ascending.
    """
    n, k = scores.shape
    ranks = np.tile(np.arange(1, k + 1, dtype=np.int32), n)
    return Candidates(np.repeat(rows, k), positions.ravel(), ranks, scores.ravel())


def join_candidates(parts: Sequence[Candidates]) -> Candidates:
    """All candidates of some parts, at least one, ordered by query; each query's own order is kept."""
    columns = zip(*((part.rows, part.documents, part.ranks, part.scores) for part in parts), strict=True)
    whole = Candidates(*map(np.concatenate, columns))
    return whole.take(np.argsort(whole.rows, kind="stable"))


@dataclass(frozen=True)
class Surroundings:
    """The documents around the positives of each query of a block."""

    near: Lists
    """Those nearest to a positive."""
    copies: Lists
    """Those that are nearly the same as one for the teacher."""


def judge(candidates: Candidates, closure: Closure, around: Surroundings, over: Bool) -> Reasons:
    """What closure and margin say of each candidate: a reason against it, or `SURPLUS` when there is none.

    Where several reasons hold, the first in the order of `Reason` is given.

    Args:
        candidates: the candidates of the block.
        closure: of the block's queries.
        around: what lies around the positives of each query.
        over: whether the margin is against each candidate, (n,).
    """
    rows, documents = candidates.rows, candidates.documents
    reasons = np.full(len(rows), Reason.SURPLUS, np.int8)
    reasons[over] = Reason.MARGIN
    reasons[around.near.contains(rows, documents)] = Reason.NEAR_POSITIVE
    reasons[closure.other_field(rows, documents)] = Reason.OTHER_FIELD
    reasons[closure.excluded_field(rows, documents)] = Reason.EXCLUDED_FIELD
    reasons[around.copies.contains(rows, documents)] = Reason.NEAR_VECTOR
    reasons[np.isin(documents, closure.intruders)] = Reason.ADVERSARIAL
    _apply_closure(reasons, candidates, closure)
    twins = (reasons == Reason.SURPLUS) & closure.has_twin[documents]
    reasons[twins & ~first_of_kind(rows, closure.document_group[documents], twins)] = Reason.REPEATED_TEXT
    return reasons


def _apply_closure(reasons: Reasons, candidates: Candidates, closure: Closure) -> None:
    """Overwrite reasons with those of the closure; a known positive has a positive's text, and that a sibling's."""
    rows, documents = candidates.rows, candidates.documents
    equal = closure.sibling_positive(rows, documents)
    related = np.flatnonzero(equal)
    if closure.near is not None:
        other = np.flatnonzero(~equal)
        reasons[other[closure.near_text(rows[other], documents[other])]] = Reason.NEAR_TEXT
    reasons[closure.same_document(rows, documents)] = Reason.SAME_DOCUMENT
    own = related[closure.positive_text(rows[related], documents[related])]
    reasons[related] = Reason.SIBLING_POSITIVE
    reasons[own] = Reason.POSITIVE_TEXT
    reasons[closure.query_text(rows, documents)] = Reason.QUERY_TEXT
    reasons[own[closure.known_positive(rows[own], documents[own])]] = Reason.KNOWN_POSITIVE


def choose_top(rows: Int64, eligible: Bool, wanted: int, n_rows: int) -> Bool:
    """The first `wanted` eligible candidates of each query, (n,)."""
    return eligible & (count_before(eligible, starts_of(rows, n_rows)) < wanted)


def eligible_per_query(rows: Int64, reasons: Reasons, n_rows: int) -> Int64:
    """How many candidates of each query have no reason against them, (n_rows,)."""
    return count_per_row(reasons == Reason.SURPLUS, starts_of(rows, n_rows))
