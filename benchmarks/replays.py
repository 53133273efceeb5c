"""Judged sets replayed: each query shows some of its positives, and what a learned margin sees of its candidates.

The features come from the miner itself, so that what a model is fitted on is what it will be asked about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.judged import JudgedSet, shown_positive
from benchmarks.ours import set_vectors
from datagen.backends.index_faiss import FaissFlatIndex
from datagen.backends.protocols import Float32, Int64
from datagen.config import RunConfig
from datagen.documents import text_groups
from datagen.mining.miner import Found, Miner
from datagen.mining.unmarked import bound_unmarked, choose_sample
from datagen.mining.words import open_words
from datagen.progress import SilentProgress
from datagen.selection.arrays import index_in_row, quantile_per_row, sample_rows, starts_of
from datagen.selection.closure import build_closure
from datagen.selection.select import Reason

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]

SHOWN = ((0, 1), (1, 2), (2, 3), (0, 2), (1, 4), (0, 5))
"""Which of a query's positives each replay shows: from one place of their hashed order up to another."""
DEPTH = 400


@dataclass(frozen=True)
class Replays:
    """The candidates of all replays of a set, replay by replay, best first; known positives and copies left out."""

    name: str
    rows: Int64
    """Replay of each candidate, ascending, (n,)."""
    features: Float64
    """(n, len(FEATURES))."""
    hidden: Bool
    """Whether each is a positive that the replay hides, (n,)."""
    log_rank: Float64
    """log2 of 2 and how many non-relevant documents score higher, (n,)."""
    nearness: Float64
    """How far each scores above the shown positive that scores lowest, as a share of that score: what a relative margin
    looks at, (n,)."""
    first: Bool
    """Whether each replay shows what `judged.shown_positive` shows, and hides some, (n_replays,)."""

    def take(self, replays: Bool) -> Replays:
        """Some of the replays, numbered anew."""
        kept = replays[self.rows]
        number = np.cumsum(replays) - 1
        features, hidden, log_rank = self.features[kept], self.hidden[kept], self.log_rank[kept]
        rows, nearness = number[self.rows[kept]], self.nearness[kept]
        return Replays(self.name, rows, features, hidden, log_rank, nearness, self.first[replays])


def replay(judged: JudgedSet, config: RunConfig, most: int, shown: tuple[tuple[int, int], ...] = SHOWN) -> Replays:
    """Mine a set, several times with other positives shown.

    Args:
        judged: the set.
        config: names teacher and cache.
        most: queries that are replayed at most; a hash of their ids chooses.
        shown: which positives each replay shows.
    """
    documents, queries = set_vectors(judged, config)
    number = {document: i for i, document in enumerate(judged.documents)}
    of_query = {query: i for i, query in enumerate(judged.queries)}
    chosen = sorted((query for query in judged.queries if judged.relevant.get(query)), key=_hash)[:most]
    plan = list(_plan(judged, chosen, shown))
    rows = np.repeat(np.arange(len(plan)), [len(known) for _, known, _ in plan])
    known = np.array([number[document] for _, seen, _ in plan for document in seen], np.int64)
    asked = np.array([of_query[query] for query, _, _ in plan])
    relevant = [np.array([number[d] for d in judged.relevant[query]]) for query, _, _ in plan]
    deep = config.mine.model_copy(update={"candidates": DEPTH, "max_candidates": DEPTH})
    found = mine_vectors(judged, config.model_copy(update={"mine": deep}), (documents, queries), asked, (rows, known))
    return _collect(judged.name, found, relevant, np.array([first for _, _, first in plan]))


def _plan(
    judged: JudgedSet, chosen: list[str], shown: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, list[str], bool]]:
    """Each replay: the query, the positives it shows, and whether it is the one that the leak is measured on."""
    for begin, end in shown:
        for query in chosen:
            ordered = sorted(judged.relevant[query], key=lambda document: _hash("known", query, document))
            if len(ordered) > end or (begin, end) == (0, 1):
                yield query, ordered[begin:end], (begin, end) == (0, 1) and len(ordered) > 1


def mine_vectors(
    judged: JudgedSet,
    config: RunConfig,
    vectors: tuple[Float32, Float32],
    asked: Int64,
    pairs: tuple[Int64, Int64],
) -> Found:
    """What the miner finds with these vectors.

    Args:
        judged: the set.
        config: names the cache, and how is mined.
        vectors: of all documents and of all queries of the set.
        asked: the query of each row that is mined, (n_rows,); a query may stand in several.
        pairs: row and document of each positive that is shown.
    """
    texts, queries = pl.Series(list(judged.documents.values())), pl.Series(list(judged.queries.values()))
    document_group, query_group = text_groups([texts], queries)
    words = open_words(config.cache_folder, lambda: [texts, queries], len(texts), SilentProgress())
    closure = build_closure(pairs, query_group[asked], document_group, np.arange(len(asked)))
    index = FaissFlatIndex(vectors[0].shape[1])
    index.add(vectors[0])
    sample = sample_rows(len(texts), config.mine.reference_sample, config.seed)
    miner = Miner(
        config.mine,
        config.mine.num_negatives,
        index,
        len(texts),
        lambda numbers: vectors[0][numbers],
        vectors[0][sample],
        words=words.take,
        sample_words=words.take(sample),
        unmarked=_bound_unmarked(judged, index, vectors[1], document_group),
    )
    return miner.mine(vectors[1][asked], closure, words=words.take(asked + len(texts)))


def _bound_unmarked(judged: JudgedSet, index: FaissFlatIndex, queries: Float32, document_group: Int64) -> float:
    """What a run says of the set that knows one positive of each query."""
    number = {document: i for i, document in enumerate(judged.documents)}
    of_query = [judged.relevant.get(query, set()) for query in judged.queries]
    asked = np.flatnonzero([bool(each) for each in of_query])
    shown = [number[shown_positive(query, each)] for query, each in zip(judged.queries, of_query, strict=True) if each]
    group = np.arange(len(asked)) + document_group.max() + 1
    closure = build_closure((np.arange(len(asked)), np.array(shown)), group, document_group, np.arange(len(asked)))
    some = choose_sample(closure.positives, 0)
    return bound_unmarked(index, queries[asked[some]], closure.take(some))


def _collect(name: str, found: Found, relevant: list[Int64], first: Bool) -> Replays:
    rows, documents = found.candidates.rows, found.candidates.documents
    sizes = np.array([len(documents) for documents in relevant])
    span = int(documents.max()) + 1 if len(documents) else 1
    known = np.repeat(np.arange(len(relevant)), sizes) * span + np.concatenate(relevant)
    positive = np.isin(rows * span + documents, known)
    starts = starts_of(rows, len(relevant))
    others: Int64 = np.cumsum(~positive) - ~positive
    log_rank = np.log2(2 + others - others[np.minimum(starts[:-1], len(others) - 1)][rows])
    kept = np.isin(found.reasons, (Reason.SURPLUS, Reason.MARGIN))
    weakest = quantile_per_row(found.positives.scores, found.positives.starts, 0.0)[rows]
    nearness = (found.candidates.scores - weakest) / np.abs(weakest)
    features = found.features[kept].astype(np.float64)
    return Replays(name, rows[kept], features, positive[kept], log_rank[kept], nearness[kept], first)


def choose_hardest(replays: Replays, eligible: Bool, k: int = 5) -> Int64:
    """Places of the first k eligible candidates of each replay."""
    places = np.flatnonzero(eligible)
    return places[index_in_row(replays.rows[places]) < k]


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()[:8]
