"""The search for negatives of a batch of queries: nearest documents, judged, deeper where too few are left.

Between the index (a backend) and the decisions (`selection`); the stage `mine` feeds it and writes what it finds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from datagen.backends.protocols import Float32, Int64, SearchIndex, VectorSource
from datagen.config import RunConfig
from datagen.errors import BackendError
from datagen.mining.evidence import NEIGHBOURS, Asked, Evidence
from datagen.selection.arrays import Bool, Float64, Lists, pair_products, robust_spread
from datagen.selection.closure import Closure
from datagen.selection.doubt import DoubtModel, DoubtRule, doubted, least_doubted, load_doubt_model
from datagen.selection.margins import MarginRule, PositiveScores, score_limits
from datagen.selection.near import Neighbours, near_copies, share_nearest
from datagen.selection.select import (
    NO_CANDIDATES,
    Candidates,
    Reason,
    Reasons,
    Surroundings,
    eligible_per_query,
    from_search,
    join_candidates,
    judge,
)
from datagen.selection.sparse import SparseRows
from datagen.selection.union import Union, join_unions, order_by_quotas, unite
from datagen.settings.mine import MineConfig

_TOLERANCE = 1e-5
"""Scores so close are one: different products round apart."""
_EXACT_BLOCK = 1024
"""Queries for which the vectors of their candidates of other sources are in memory at once."""
_SPREAD_BLOCK = 1024
"""Queries whose scores over the sample are in memory at once."""
_COPY_DEPTH = 16
"""Documents next to a positive that are looked at for copies of it, at least."""


@dataclass(frozen=True)
class Found:
    """The candidates of a batch, what is said of each, and what the margin was measured with."""

    candidates: Candidates
    reasons: Reasons
    union: Union
    """Which source found each candidate."""
    positives: PositiveScores
    limits: Float64
    """Highest teacher score of a negative of each query, (n_queries,), +inf where nothing limits it."""
    searched: Bool
    """Whether each query was searched, or given what it has, (n_queries,)."""
    features: Float32
    """What the learned margin has seen of each candidate, in the order of `FEATURES`, (n, n_features)."""
    doubts: Float32
    """P(false negative) of each, 0 to 1; NaN where the query has no known positive, (n,)."""

    def take(self, begin: int, end: int) -> Found:
        """What was found for the queries from one number up to another, numbered from 0."""
        first, last = np.searchsorted(self.candidates.rows, [begin, end])
        part = self.candidates.take(slice(first, last))
        union = self.union.take(slice(first, last))
        return Found(
            replace(part, rows=part.rows - begin),
            self.reasons[first:last],
            replace(union, rows=union.rows - begin),
            self.positives.take(begin, end),
            self.limits[begin:end],
            self.searched[begin:end],
            self.features[first:last],
            self.doubts[first:last],
        )


@dataclass(frozen=True)
class Fusion:
    """How the lists of several sources become one; the run's own teacher is the first source."""

    weights: tuple[float, ...] = (1.0,)
    """How much the ranks of each source count."""
    quotas: tuple[int, ...] = (0,)
    """Negatives of a query kept for what each source found."""


@dataclass(frozen=True)
class Miner:
    """All that stays the same from block to block."""

    config: MineConfig
    wanted: int
    """Candidates without a reason against them that a query needs before its search ends."""
    index: SearchIndex
    n_documents: int
    document_vectors: Callable[[Int64], Float32]
    """Vectors of documents by number, (n, dim)."""
    sample: Float32
    """Vectors of the documents whose scores give a query's spread, (n_sample, dim)."""

    fusion: Fusion = Fusion()
    """How the lists of several sources become one."""
    model: DoubtModel = field(default_factory=load_doubt_model)
    """What tells how likely a candidate is a false negative."""
    rule: DoubtRule | None = None
    """From which chance on none is a negative under the policy `adaptive`; None: as the settings say."""
    words: Callable[[Int64], SparseRows] | None = None
    """Word vectors of documents by number; None: the model goes without."""
    sample_words: SparseRows | None = None
    """Those of the documents of the sample."""
    unmarked: float = float("nan")
    """What `bound_unmarked` says of the run."""

    def mine(
        self,
        queries: Float32,
        closure: Closure,
        others: Sequence[Candidates] = (),
        given: Candidates = NO_CANDIDATES,
        words: SparseRows | None = None,
    ) -> Found:
        """Search a batch of queries; each depth that is asked for reads the index once.

        Args:
            queries: vectors, (n_queries, dim).
            closure: of these queries, in this order.
            others: what the further sources of `fusion` found for them; a query that is searched deeper keeps these.
            given: the nearest documents of some of the queries, by score; those are searched only where these are too
                few. Their floor is that of what is given, which is lower where nearer documents are missing: stricter.
            words: word vectors of the queries.

        Raises:
            BackendError: the index gave scores that are not finite.
        """
        scores = self._positive_scores(queries, closure)
        spread = self._spreads(queries)
        neighbours = self._neighbours(closure)
        around = self._surroundings(neighbours, spread)
        asked = Asked(queries, words, closure.positives, scores.astype(np.float64), neighbours)
        rows, sizes = np.arange(len(queries)), np.bincount(given.rows, minlength=len(queries))
        searched, depths = sizes == 0, np.maximum(self.first_depths(closure.positives), sizes)
        nearest = join_candidates([given, self._nearest(queries, rows[searched], depths[searched])])
        positives = PositiveScores(asked.scores, closure.positives.starts, self._floor(nearest, len(queries)), spread)
        done: list[_Judged] = []
        while len(rows):
            limits = score_limits(margin_rule(self.config), positives)
            judged = self._judge(asked, *self._united(queries, nearest, others), closure, around, limits)
            own = judged.union.found[:, 0]  # what others found does not make the search shallower
            final = self._final(judged, own, rows, searched & (depths >= self._last_depth))
            done.append(self._served(judged.take(final[judged.candidates.rows]), closure))
            rows = rows[~final[rows]]
            others = [other.take(~final[other.rows]) for other in others]
            depths = np.where(searched, np.minimum(depths * 2, self._last_depth), depths)
            nearest = self._nearest(queries, rows, depths[rows])
            late = np.isin(np.arange(len(queries)), rows) & ~searched
            floor = np.where(late, self._floor(nearest, len(queries)), positives.floor)  # what was given had another
            positives, searched = replace(positives, floor=floor), searched | late
        limits = score_limits(margin_rule(self.config), positives)
        return self._ordered(_in_query_order(done, positives, limits, searched))

    def _judge(
        self,
        asked: Asked,
        candidates: Candidates,
        union: Union,
        closure: Closure,
        around: Surroundings,
        limits: Float64,
    ) -> _Judged:
        """What is against each candidate, and how likely it is a false negative."""
        features = self.evidence.measure(asked, candidates, union.ranks[:, 0].astype(np.int64))
        known = closure.positives.sizes[candidates.rows] > 0
        doubts = np.where(known, self.model.probabilities(features), np.nan).astype(np.float32)
        over = candidates.scores.astype(np.float64) > limits[candidates.rows]
        if self.config.margin_policy == "adaptive":
            over = doubted(self.doubt_rule, doubts)
        reasons = judge(candidates, closure, around, over)
        return _Judged(candidates, reasons, union, features.astype(np.float32), doubts)

    def _served(self, judged: _Judged, closure: Closure) -> _Judged:
        """The same with the least doubtful candidates taken where the cut leaves a query short."""
        if self.config.margin_policy != "adaptive":
            return judged
        rows, reasons = judged.candidates.rows, judged.reasons.copy()
        open_ = (reasons == Reason.MARGIN) & ~closure.has_twin[judged.candidates.documents]
        eligible = reasons == Reason.SURPLUS
        reasons[least_doubted(self.doubt_rule, rows, len(closure.positives), eligible, open_, judged.doubts)] = (
            Reason.SURPLUS
        )
        return replace(judged, reasons=reasons)

    @property
    def doubt_rule(self) -> DoubtRule:
        """The cut under the policy `adaptive`."""
        return doubt_rule(self.config) if self.rule is None else self.rule

    @property
    def evidence(self) -> Evidence:
        """What features are measured with."""
        sample, words = (self.sample, self.n_documents), (self.words, self.sample_words)
        return Evidence(self.document_vectors, *sample, *words, self.unmarked)

    def first_depths(self, positives: Lists) -> Int64:
        """Documents looked at first for each query, (n_queries,)."""
        return first_depths(self.config, positives.sizes, self.n_documents)

    @property
    def _last_depth(self) -> int:
        return last_depth(self.config, self.n_documents)

    def _nearest(self, queries: Float32, rows: Int64, depths: Int64) -> Candidates:
        """The nearest documents of some queries of the block, each to its own depth."""
        found = [from_search(np.empty((0, 1), np.float32), np.empty((0, 1), np.int64), rows[:0])]
        for depth in np.unique(depths):
            at_depth = rows[depths == depth]
            scores, positions = self.index.search(queries[at_depth], int(depth))
            if not np.isfinite(scores).all():
                raise BackendError("the search gave scores that are not finite: try --dtype float32 or another teacher")
            found.append(from_search(scores, positions, at_depth))
        return join_candidates(found)

    def _united(self, queries: Float32, nearest: Candidates, others: Sequence[Candidates]) -> tuple[Candidates, Union]:
        """One list a query of what all sources found, each candidate with its exact score."""
        union = unite([nearest, *others], self.fusion.weights)
        if not others:
            return nearest, union
        scores = union.scores[:, 0].copy()
        rest = np.flatnonzero(~union.found[:, 0])
        scores[rest] = self._exact(queries, union.rows[rest], union.documents[rest])
        ranks = union.ranks[np.arange(len(union)), union.best_source(self.fusion.weights)]
        return Candidates(union.rows, union.documents, ranks, scores), union

    def _ordered(self, found: Found) -> Found:
        """The same with the places that quotas keep filled first."""
        quotas = np.asarray(self.fusion.quotas)
        if not quotas.any():
            return found
        eligible = found.reasons == Reason.SURPLUS
        wanted = self.config.num_negatives
        order = order_by_quotas(found.candidates.rows, eligible, found.union.found, quotas, wanted)
        return replace(
            found,
            candidates=found.candidates.take(order),
            reasons=found.reasons[order],
            union=found.union.take(order),
            features=found.features[order],
            doubts=found.doubts[order],
        )

    def _final(self, judged: _Judged, own: Bool, rows: Int64, ended: Bool) -> Bool:
        """Whether each of some queries has enough of its own teacher's candidates, or has ended."""
        eligible = eligible_per_query(judged.candidates.rows[own], judged.reasons[own], len(ended))
        final = np.zeros_like(ended)
        final[rows] = (eligible[rows] >= self.wanted) | ended[rows]
        return final

    def _positive_scores(self, queries: Float32, closure: Closure) -> Float32:
        documents, index = np.unique(closure.positives.values, return_inverse=True)
        return pair_products(queries, self.document_vectors(documents), closure.positives.rows, index)

    def _exact(self, queries: Float32, rows: Int64, documents: Int64) -> Float32:
        """Scores of pairs, ordered by row; the vectors of the documents of some queries are in memory at once."""
        edges = np.searchsorted(rows, np.arange(0, len(queries) + _EXACT_BLOCK, _EXACT_BLOCK))
        parts = [np.empty(0, np.float32)]
        for begin, end in itertools.pairwise(edges):
            numbers, index = np.unique(documents[begin:end], return_inverse=True)
            parts.append(pair_products(queries, self.document_vectors(numbers), rows[begin:end], index))
        return np.concatenate(parts)

    def _floor(self, candidates: Candidates, n_rows: int) -> Float64:
        """Score at the floor rank of each query, which is at most half of the corpus."""
        floor = np.full(n_rows, -np.inf)
        edge = candidates.ranks == min(self.config.floor_rank, self.config.candidates, max(1, self.n_documents // 2))
        floor[candidates.rows[edge]] = candidates.scores[edge]
        return floor

    def _spreads(self, queries: Float32) -> Float64:
        """The robust spread of each query's scores over the sample, in blocks: a score a query and document is much."""
        blocks = range(0, len(queries), _SPREAD_BLOCK)
        return np.concatenate(
            [np.empty(0), *(robust_spread(queries[i : i + _SPREAD_BLOCK] @ self.sample.T) for i in blocks)]
        )

    def _surroundings(self, found: Neighbours | None, spread: Float64) -> Surroundings:
        """The documents around the positives: for the margin the nearest, for the closure the copies among them."""
        reach, nearest = self.config.closure.near_vector, self._near_depth
        none = Lists.from_pairs(np.empty(0, np.int64), np.empty(0, np.int64), len(spread))
        return Surroundings(
            none if found is None or not nearest else share_nearest(found, nearest),
            none if found is None or reach is None else near_copies(found, reach * spread),
        )

    @property
    def _near_depth(self) -> int:
        """Documents next to a positive that the policy `spread` sets aside."""
        share = int(np.ceil(self.config.near_positive_share * self.n_documents))
        limit = self.config.near_positive_limit if self.config.margin_policy == "spread" else 0
        return min(share, limit, self.n_documents)

    def _neighbours(self, closure: Closure) -> Neighbours | None:
        """What lies around the positives, as deep as anything asks for; None without positives."""
        if not len(closure.positives.values):
            return None
        depth = min(1 + max(self._near_depth, _COPY_DEPTH, NEIGHBOURS), self.n_documents)
        positives, index = np.unique(closure.positives.values, return_inverse=True)
        vectors = self.document_vectors(positives)
        scores, documents = self.index.search(vectors, depth)
        own = np.einsum("ij,ij->i", vectors, vectors)
        return Neighbours(index, closure.positives.starts, documents, scores, own)


@dataclass(frozen=True)
class _Judged:
    """Candidates and what is said of each."""

    candidates: Candidates
    reasons: Reasons
    union: Union
    features: Float32
    doubts: Float32

    def take(self, chosen: Bool | Int64) -> _Judged:
        """The chosen candidates, in this order."""
        return _Judged(
            self.candidates.take(chosen),
            self.reasons[chosen],
            self.union.take(chosen),
            self.features[chosen],
            self.doubts[chosen],
        )


def doubt_rule(config: MineConfig) -> DoubtRule:
    """The cut of these settings under the policy `adaptive`."""
    return DoubtRule(config.resolved_margin, config.margin_ceiling, config.wanted)


def margin_rule(config: MineConfig) -> MarginRule:
    """The margin of these settings."""
    return MarginRule(config.margin_policy, config.resolved_margin, config.positive_score, config.positive_quantile)


def first_depths(config: MineConfig, positives: Int64, n_documents: int) -> Int64:
    """Documents looked at first for each query: its candidates and room for its own positives, in powers of two.

    Args:
        config: the settings.
        positives: known positives of each query, (n_queries,).
        n_documents: of the corpus.
    """
    room = 2 ** np.ceil(np.log2(np.maximum(positives, 1))).astype(np.int64)
    return np.minimum(config.candidates + room, n_documents)


def last_depth(config: MineConfig, n_documents: int) -> int:
    """Documents looked at for a query at most."""
    return min(max(config.max_candidates, config.candidates), n_documents)


def candidates_wanted(config: RunConfig) -> int:
    """Eligible candidates of a query after which its search ends: the same for most ways to choose among them."""
    mine = config.mine
    spare = config.denoise.spare_candidates if config.denoise.enabled else 0
    return max(mine.num_negatives + spare, mine.wanted * config.reserve)


def measure_recall(index: SearchIndex, documents: VectorSource, queries: Float32, k: int) -> float:
    """Share of the k nearest documents of some queries that an index finds, 0 to 1; 1 without queries.

    Args:
        index: over the documents.
        documents: all their vectors, read once.
        queries: vectors, (n, dim); n times the number of documents is what this costs.
        k: at most the number of documents.
    """
    if not len(queries):
        return 1.0
    scores, _ = index.search(queries, k)
    best = np.empty((len(queries), 0), np.float32)
    for _, vectors in documents.blocks(1 << 14):
        best = np.hstack([best, queries @ vectors.T])
        best = -np.partition(-best, k - 1, axis=1)[:, :k] if best.shape[1] > k else best
    return float((scores >= best.min(axis=1, keepdims=True) - _TOLERANCE).mean())


def _in_query_order(done: list[_Judged], positives: PositiveScores, limits: Float64, searched: Bool) -> Found:
    order = np.argsort(np.concatenate([part.candidates.rows for part in done]), kind="stable")
    candidates = join_candidates([part.candidates for part in done])
    reasons, features, doubts = (
        np.concatenate(list(column))[order]
        for column in zip(*((part.reasons, part.features, part.doubts) for part in done), strict=True)
    )
    union = join_unions([part.union for part in done]).take(order)
    return Found(candidates, reasons, union, positives, limits, searched, features, doubts)
