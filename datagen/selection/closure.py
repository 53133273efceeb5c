"""What is never a negative, whatever its score: the positives and all that says the same.

Texts are compared through group numbers: two texts have one group when they are equal after normalisation
(`cleaning.comparable`). Closure is transitive over queries of equal text: the positives of one are
positives of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Bool, Int64, Lists


@dataclass(frozen=True)
class Closure:
    """For each query, what must not become its negative."""

    positives: Lists
    """Known positive documents of each query."""
    positive_groups: Lists
    """Text groups of those documents."""
    sibling_groups: Lists
    """Text groups of the positives of all queries of equal text (its own among them)."""
    query_group: Int64
    """Text group of each query, (n_queries,); documents of equal text have the same."""
    document_group: Int64
    """Text group of each document, (n_documents,)."""
    has_twin: Bool
    """Whether another document is in the group of each document, (n_documents,)."""

    def known_positive(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document is a known positive of the query beside it, (n,)."""
        return self.positives.contains(rows, documents)

    def positive_text(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document says the same as a positive of the query beside it, (n,)."""
        return self.positive_groups.contains(rows, self.document_group[documents])

    def sibling_positive(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document says the same as a positive of a query of equal text, (n,)."""
        return self.sibling_groups.contains(rows, self.document_group[documents])

    def query_text(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document says the same as the query beside it, (n,)."""
        return np.equal(self.document_group[documents], self.query_group[rows])

    def take(self, rows: Int64) -> Closure:
        """The closure of these queries, in this order."""
        return Closure(
            self.positives.take(rows),
            self.positive_groups.take(rows),
            self.sibling_groups.take(rows),
            self.query_group[rows],
            self.document_group,
            self.has_twin,
        )


def build_closure(
    pairs: tuple[Int64, Int64],
    query_group: Int64,
    document_group: Int64,
    kin: tuple[Int64, Int64] | None = None,
) -> Closure:
    """The closure of a set of queries.

    Args:
        pairs: query number and document number of each known positive, both (n_pairs,), in any order.
        query_group: text group of each query, (n_queries,), sharing its numbers with the documents'.
        document_group: text group of each document, (n_documents,).
        kin: query number and document number of what is no positive but as little a negative as one, both (n_kin,):
            the other passages of a positive's document.
    """
    rows, documents = pairs
    n_queries = len(query_group)
    near_rows, near = (rows, documents) if kin is None else (np.r_[rows, kin[0]], np.r_[documents, kin[1]])
    groups = document_group[near]
    same_text, family = np.unique(query_group, return_inverse=True)
    of_family = Lists.from_pairs(family[near_rows], groups, len(same_text))
    _, group, members = np.unique(document_group, return_inverse=True, return_counts=True)
    return Closure(
        Lists.from_pairs(rows, documents, n_queries),
        Lists.from_pairs(near_rows, groups, n_queries),
        of_family.take(family),
        query_group,
        document_group,
        members[group] > 1,
    )
