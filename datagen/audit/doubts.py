"""Negatives that are probably positives nobody has marked: the learned margin, for any data set.

The corpus is all passages of the set. A negative is measured as if mining had found it: beside the nearest passages of
its query, from the same features and with the same model (`selection.doubt`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen.audit.findings import FALSE_NEGATIVE, report_uses
from datagen.audit.material import NEGATIVE, POSITIVE, Material, pairs_of
from datagen.audit.teaching import Teaching
from datagen.backends.protocols import Float32, Int64
from datagen.mining.evidence import NEIGHBOURS, Asked, Evidence
from datagen.mining.unmarked import bound_unmarked, choose_sample
from datagen.mining.words import WordVectors
from datagen.progress import Progress
from datagen.selection.arrays import Float64, Lists, pair_products, sample_rows
from datagen.selection.closure import build_closure
from datagen.selection.doubt import DoubtModel
from datagen.selection.near import Neighbours
from datagen.selection.select import Candidates, from_search

DEPTH = 100
"""Nearest passages that stand beside the negatives of a query."""
_RESAMPLES = 500
_SAMPLE = 4096
"""Passages whose scores give a query's spread."""


@dataclass(frozen=True)
class Doubts:
    """The estimate for each negative of a data set."""

    uses: pl.DataFrame
    """The negatives: rows of `Material.uses`."""
    probability: Float64
    """P(false negative) of each, 0 to 1; NaN where its row has no positive, (n_uses,)."""

    def find(self, most: float) -> pl.DataFrame:
        """Findings on the negatives whose probability is higher; that is their score."""
        above = np.nan_to_num(self.probability) > most
        return report_uses(self.uses.filter(pl.Series(above)), FALSE_NEGATIVE, self.probability[above])

    def estimate(self, seed: int) -> dict[str, float]:
        """The share of false negatives: the mean probability, with a 95 % bootstrap interval over the rows.

        The interval tells how far other rows of the same kind would move the mean, not how far the model is off.
        """
        known = ~np.isnan(self.probability)
        if not known.any():
            return {}
        rows = np.unique(self.uses["row"].to_numpy()[known], return_inverse=True)[1]
        sums, counts = np.bincount(rows, weights=self.probability[known]), np.bincount(rows)
        rng = np.random.default_rng(seed)
        drawn = (rng.integers(0, len(sums), len(sums)) for _ in range(_RESAMPLES))
        low, high = np.quantile([sums[chosen].sum() / counts[chosen].sum() for chosen in drawn], [0.025, 0.975])
        return {"rate": float(sums.sum() / counts.sum()), "low": float(low), "high": float(high)}


@dataclass(frozen=True)
class Doubter:
    """What negatives are measured with."""

    teaching: Teaching
    words: WordVectors
    """Of all passages, then of all queries."""
    model: DoubtModel
    seed: int
    """Of the sample."""

    def measure(self, material: Material, progress: Progress) -> Doubts:
        """The probability of each negative."""
        uses = material.used_as(NEGATIVE)
        probability = np.full(len(uses), np.nan)
        rows, passages = pairs_of(uses)
        positives = Lists.from_pairs(*material.pairs(POSITIVE), len(material.queries))
        some = choose_sample(positives, self.seed)
        passage_group, query_group = material.groups
        closure = build_closure(material.pairs(POSITIVE), query_group, passage_group).take(some)
        evidence = self._evidence(bound_unmarked(self.teaching.index, self.teaching.queries(some), closure))
        with progress.step("doubt negatives", len(material.queries), "queries") as advance:
            for block in self.teaching.blocks():
                begin, end = np.searchsorted(rows, [block[0], block[-1] + 1])
                local = rows[begin:end] - block[0]
                asked = self._ask(block, positives.take(block))
                probability[begin:end] = self._judge(evidence, asked, local, passages[begin:end])
                advance(len(block))
        return Doubts(uses, probability)

    def _evidence(self, unmarked: float) -> Evidence:
        documents = self.teaching.documents
        sample = sample_rows(len(documents), _SAMPLE, self.seed)
        words = self.words.take, self.words.take(sample)
        return Evidence(documents.take, documents.take(sample), len(documents), *words, unmarked)

    def _ask(self, block: Int64, positives: Lists) -> Asked:
        queries, documents = self.teaching.queries(block), self.teaching.documents
        numbers, columns = np.unique(positives.values, return_inverse=True)
        vectors = documents.take(numbers)
        scores = pair_products(queries, vectors, positives.rows, columns).astype(np.float64)
        words = self.words.take(len(documents) + block)
        if not len(numbers):
            return Asked(queries, words, positives, scores, None)
        nearest = self.teaching.index.search(vectors, min(NEIGHBOURS + 1, len(documents)))
        own = np.einsum("ij,ij->i", vectors, vectors)
        around = Neighbours(columns, positives.starts, nearest[1], nearest[0], own)
        return Asked(queries, words, positives, scores, around)

    def _judge(self, evidence: Evidence, asked: Asked, rows: Int64, passages: Int64) -> Float64:
        """The probability of each of some negatives, NaN where its query has no positive."""
        candidates, own_ranks = self._beside_nearest(asked.queries, rows, passages)
        probability = self.model.probabilities(evidence.measure(asked, candidates, own_ranks))
        span = len(self.teaching.documents)
        keys = candidates.rows * span + candidates.documents
        order = np.argsort(keys, kind="stable")
        place = order[np.searchsorted(keys[order], rows * span + passages)]
        return np.asarray(np.where(asked.positives.sizes[rows] > 0, probability[place], np.nan), np.float64)

    def _beside_nearest(self, queries: Float32, rows: Int64, passages: Int64) -> tuple[Candidates, Int64]:
        """The nearest passages of each query and behind them the negatives that are not among them, and the ranks."""
        documents = self.teaching.documents
        depth = min(DEPTH, len(documents))
        found = from_search(*self.teaching.index.search(queries, depth), np.arange(len(queries)))
        listed = Lists.from_pairs(found.rows, found.documents, len(queries))
        others = Lists.from_pairs(rows, passages, len(queries))
        new = ~listed.contains(others.rows, others.values)
        extra_rows, extra = others.rows[new], others.values[new]
        numbers, columns = np.unique(extra, return_inverse=True)
        scores = pair_products(queries, documents.take(numbers), extra_rows, columns)
        both = np.r_[found.rows, extra_rows]
        order = np.argsort(both, kind="stable")
        ranks = np.r_[found.ranks, np.zeros(len(extra), np.int32)][order]
        whole = Candidates(both[order], np.r_[found.documents, extra][order], ranks, np.r_[found.scores, scores][order])
        return whole, ranks.astype(np.int64)
