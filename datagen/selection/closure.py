"""What is never a negative, whatever its score: the positives, all that says the same, and what a user rules out.

Texts are compared through group numbers: two texts have one group when they are equal after normalisation
(`cleaning.comparable`); near-copies through their signatures (`selection.near`). Closure is transitive over queries
that ask the same, a family: the positives of one are positives of all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from datagen.selection.arrays import Bool, Int64, Lists
from datagen.selection.fields import FieldRule
from datagen.selection.near import NearTexts

Pairs: TypeAlias = tuple[Int64, Int64]
"""Query number and document number of each pair, both (n_pairs,), in any order."""
NO_PAIRS: Pairs = np.empty(0, np.int64), np.empty(0, np.int64)


@dataclass(frozen=True)
class Closure:
    """For each query, what must not become its negative."""

    positives: Lists
    """Known positive documents of each query."""
    positive_groups: Lists
    """Text groups of those documents."""
    sibling_groups: Lists
    """Text groups of the positives of all queries of the family (its own among them)."""
    kin_groups: Lists
    """Text groups of the other passages of the documents that those positives were cut from."""
    query_group: Int64
    """Text group of each query, (n_queries,); documents of equal text have the same."""
    document_group: Int64
    """Text group of each document, (n_documents,)."""
    has_twin: Bool
    """Whether another document is in the group of each document, (n_documents,)."""
    near: NearTexts | None = None
    """Texts that no negative may nearly repeat."""
    same_fields: tuple[FieldRule, ...] = ()
    """Fields in which a negative is like a positive."""
    unlike_fields: tuple[FieldRule, ...] = ()
    """Fields in which a negative is unlike every positive."""
    intruders: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    """Documents that are no query's negative."""

    def known_positive(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document is a known positive of the query beside it, (n,)."""
        return self.positives.contains(rows, documents)

    def positive_text(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document says the same as a positive of the query beside it, (n,)."""
        return self.positive_groups.contains(rows, self.document_group[documents])

    def sibling_positive(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document says the same as a positive of a query of the family, (n,)."""
        return self.sibling_groups.contains(rows, self.document_group[documents])

    def same_document(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document was cut from the same longer one as a positive of the family, (n,)."""
        return self.kin_groups.contains(rows, self.document_group[documents])

    def query_text(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document says the same as the query beside it, (n,)."""
        return np.equal(self.document_group[documents], self.query_group[rows])

    def near_text(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document nearly repeats the query beside it or a positive of its family, (n,)."""
        return np.zeros(len(rows), bool) if self.near is None else self.near.holds(rows, documents)

    def other_field(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document differs from the positives in a field in which it must not, (n,)."""
        return _any([rule.other(rows, documents) for rule in self.same_fields], len(rows))

    def excluded_field(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document is like a positive in a field in which it must not be, (n,)."""
        return _any([rule.shared(rows, documents) for rule in self.unlike_fields], len(rows))

    def take(self, rows: Int64) -> Closure:
        """The closure of these queries, in this order."""
        return replace(
            self,
            positives=self.positives.take(rows),
            positive_groups=self.positive_groups.take(rows),
            sibling_groups=self.sibling_groups.take(rows),
            kin_groups=self.kin_groups.take(rows),
            query_group=self.query_group[rows],
            near=self.near and self.near.take(rows),
            same_fields=tuple(rule.take(rows) for rule in self.same_fields),
            unlike_fields=tuple(rule.take(rows) for rule in self.unlike_fields),
        )


def build_closure(
    pairs: Pairs,
    query_group: Int64,
    document_group: Int64,
    family: Int64 | None = None,
    doubted: Pairs = NO_PAIRS,
    kin: Pairs = NO_PAIRS,
) -> Closure:
    """The closure of a set of queries, without near-copies and fields.

    Args:
        pairs: the known positives.
        query_group: text group of each query, (n_queries,), sharing its numbers with the documents'.
        document_group: text group of each document, (n_documents,).
        family: a number from 0 for each query, the same for those that ask the same, (n_queries,); by default for
            those of equal text.
        doubted: what may be a positive: neither that nor a negative.
        kin: the other passages of a positive's document that are no negatives.
    """
    n_queries = len(query_group)
    family = np.unique(query_group, return_inverse=True)[1] if family is None else family
    rows, documents = np.r_[pairs[0], doubted[0]], np.r_[pairs[1], doubted[1]]
    groups = document_group[documents]
    _, group, members = np.unique(document_group, return_inverse=True, return_counts=True)
    return Closure(
        Lists.from_pairs(*pairs, n_queries),
        Lists.from_pairs(rows, groups, n_queries),
        _of_family(family, rows, groups),
        _of_family(family, kin[0], document_group[kin[1]]),
        query_group,
        document_group,
        members[group] > 1,
    )


def closed_texts(answers: Pairs, family: Int64, n_documents: int) -> Lists:
    """For each query the texts that no negative may nearly repeat: its own, and those that answer its family.

    Args:
        answers: positives, and what may be one.
        family: as for `build_closure`.
        n_documents: how many documents there are; query i is text n_documents + i.
    """
    found, own = _of_family(family, *answers), np.arange(len(family))
    rows, texts = np.r_[found.rows, own], np.r_[found.values, n_documents + own]
    return Lists.from_pairs(rows, texts, len(family))


def _of_family(family: Int64, rows: Int64, values: Int64) -> Lists:
    """The values of all queries of the family of each query."""
    return Lists.from_pairs(family[rows], values, int(family.max(initial=-1)) + 1).take(family)


def _any(flags: list[Bool], n: int) -> Bool:
    return np.asarray(np.logical_or.reduce([np.zeros(n, bool), *flags]), bool)
