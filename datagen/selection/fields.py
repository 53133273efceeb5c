"""A user's rules about what is known of the documents: a tenant, a category, a language, an address."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from datagen.selection.arrays import Bool, Int64, Lists

NO_VALUE = -1


@dataclass(frozen=True)
class FieldRule:
    """One field of the documents, and the values that each query's positives have there."""

    codes: Int64
    """A number for the value of each document, (n_documents,); -1 where it has none."""
    values: Lists
    """Codes of the positives of each query; empty where none of them has a value: then the rule says nothing."""

    def shared(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document has the value of a positive of the query beside it, (n,)."""
        codes = self.codes[documents]
        some: Bool = codes != NO_VALUE
        return some & self.values.contains(rows, np.maximum(codes, 0))

    def other(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document has another value than all positives of the query beside it, or none, (n,)."""
        return (self.values.sizes[rows] > 0) & ~self.shared(rows, documents)

    def take(self, rows: Int64) -> FieldRule:
        """The same for these queries, in this order."""
        return replace(self, values=self.values.take(rows))


def build_field_rule(codes: Int64, pairs: tuple[Int64, Int64], n_queries: int) -> FieldRule:
    """The rule of a field.

    Args:
        codes: value of each document as a number from 0, -1 for none, (n_documents,).
        pairs: query number and document number of each known positive, both (n_pairs,).
        n_queries: how many queries there are.
    """
    rows, found = pairs[0], codes[pairs[1]]
    some = found != NO_VALUE
    return FieldRule(codes, Lists.from_pairs(rows[some], found[some], n_queries))
