"""What is never a negative, made from the tables of a run: before mining, once for all queries.

Texts, ids and fields become numbers here; `selection.closure` says what follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl

from datagen.documents import cut_from_same, join_parents, text_groups
from datagen.mining.document_fields import code_field
from datagen.mining.near_queries import QueryFamilies, join_near_queries
from datagen.mining.near_texts import open_signatures
from datagen.progress import Progress
from datagen.selection.arrays import Lists
from datagen.selection.closure import Closure, Pairs, build_closure, closed_texts
from datagen.selection.fields import FieldRule, build_field_rule
from datagen.selection.near import NearTexts
from datagen.settings.mine import MineConfig


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of query_id and doc_id."""

    positives: pl.DataFrame
    """Known positives."""
    doubted: pl.DataFrame
    """Pairs that may be positives: neither that nor negatives."""


@dataclass(frozen=True)
class Closing:
    """The settings of a closure, and where signatures of texts are kept."""

    config: MineConfig
    cache: Path
    progress: Progress

    def close(
        self,
        corpus: pl.DataFrame,
        queries: pl.DataFrame,
        documents: Callable[[], Iterable[pl.Series]],
        pairs: LabelledPairs,
        families: QueryFamilies | None = None,
    ) -> tuple[Closure, QueryFamilies]:
        """The closure of all queries, and which of them ask the same.

        Args:
            corpus: doc_id, origin and meta, and where there are rules on fields language and title.
            queries: query_id and query.
            documents: gives the texts of the corpus in row order, some at a time.
            pairs: what is known of queries and documents.
            families: which queries ask the same; None: those that say nearly the same.

        Raises:
            ConfigError: a rule names a field that no document has.
        """
        positives = number_pairs(pairs.positives, queries["query_id"], corpus["doc_id"])
        doubted = number_pairs(pairs.doubted, queries["query_id"], corpus["doc_id"])
        same, unlike = self._field_rules(corpus, positives, len(queries))
        text_group, query_group = text_groups(documents(), queries["query"])
        document_group = join_parents(pl.Series(text_group), corpus)
        if families is None:
            families = join_near_queries(queries["query"], query_group, self.config.closure.near_query)
        groups, kin = (query_group, document_group.to_numpy()), self._kin(positives, corpus)
        closure = build_closure(positives, *groups, families.family, doubted, kin)
        answers = np.r_[positives[0], doubted[0]], np.r_[positives[1], doubted[1]]
        closed = closed_texts(answers, families.family, len(corpus))
        near = self._near_texts(chain(documents(), [queries["query"]]), len(corpus) + len(queries), closed)
        return replace(closure, near=near, same_fields=same, unlike_fields=unlike), families

    def _kin(self, positives: Pairs, corpus: pl.DataFrame) -> Pairs:
        """The passages beside each known positive in its document that are no negatives."""
        allowed = {"ignore": pl.lit(value=True), "adjacent": pl.col("apart") <= 1, "allow": pl.lit(value=False)}
        rows = pl.DataFrame({"query": positives[0], "document": positives[1]})
        near = cut_from_same(rows["document"], corpus).filter(allowed[self.config.rules.same_doc])
        kin = rows.join(near, on="document").unique(["query", "kin"])
        return kin["query"].to_numpy(), kin["kin"].to_numpy()

    def _field_rules(
        self, corpus: pl.DataFrame, positives: Pairs, n_queries: int
    ) -> tuple[tuple[FieldRule, ...], tuple[FieldRule, ...]]:
        """The rules on fields that must be like a positive's, and on those that must not."""
        rules = self.config.rules
        same, unlike = (
            tuple(build_field_rule(code_field(corpus, name), positives, n_queries) for name in names)
            for names in (rules.same_field, rules.exclude_same)
        )
        return same, unlike

    def _near_texts(self, texts: Iterable[pl.Series], n_texts: int, closed: Lists) -> NearTexts | None:
        """The texts are those of the documents and then of the queries."""
        least = self.config.closure.near_text
        if least is None:
            return None
        return NearTexts(open_signatures(self.cache, texts, n_texts, self.progress).take, closed, least)


def number_pairs(pairs: pl.DataFrame, query_ids: pl.Series, document_ids: pl.Series) -> Pairs:
    """Query number and document number of each pair."""
    queries = pl.DataFrame({"query_id": query_ids}).with_row_index("query")
    documents = pl.DataFrame({"doc_id": document_ids}).with_row_index("document")
    joined = pairs.join(queries, on="query_id").join(documents, on="doc_id")
    return joined["query"].cast(pl.Int64).to_numpy(), joined["document"].cast(pl.Int64).to_numpy()
