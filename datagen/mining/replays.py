"""Judged queries mined again as if part of what is known of them were not: what real mining would let through.

In each replay of a query some of its judged positives play the known ones, as many as the query has in the run; the
others are hidden, and a negative that is one of them is a wrong label. Before mining, for the stage `calibrate`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen.backends.protocols import Int64
from datagen.mining.judgements import KNOWN_POSITIVES, RERANKER, Judgements
from datagen.selection.arrays import Bool, Lists, index_in_row, sample_rows, starts_of
from datagen.selection.closure import Pairs

_PAIR = ("query_id", "doc_id")


@dataclass(frozen=True)
class Replays:
    """Which queries are replayed, with what known."""

    queries: Int64
    """Query of the run that each replays, ascending, (n_replays,)."""
    shown: Lists
    """Documents that each takes for its known positives."""
    relevant: Lists
    """All documents that are judged relevant to its query."""
    listed: Lists | None
    """Documents with a label; None: all others are not relevant."""
    source: str
    """Who has judged."""
    found: float = 1.0
    """Share of the relevant documents that who has judged sees, above 0, at most 1."""

    def __len__(self) -> int:
        """How many replays there are."""
        return len(self.queries)

    def wrong(self, rows: Int64, documents: Int64) -> Bool:
        """Whether each document is a hidden positive of the replay beside it, (n,)."""
        return self.relevant.contains(rows, documents) & ~self.shown.contains(rows, documents)

    def judged(self, rows: Int64, documents: Int64) -> Bool:
        """Whether it is known if each document is relevant in the replay beside it, (n,)."""
        return np.ones(len(rows), bool) if self.listed is None else self.listed.contains(rows, documents)

    def pairs(self, names: pl.Series, document_ids: pl.Series) -> pl.DataFrame:
        """The shown positives by id, the replays by these names."""
        return pl.DataFrame(
            {"query_id": names.gather(self.shown.rows), "doc_id": document_ids.gather(self.shown.values)}
        )


def plan_replays(judged: Judgements, known: Pairs, n_queries: int, seed: int, draws: int, most: int) -> Replays:
    """Which replays are made: the first of a query shows what is known in the run, the others other positives.

    Where everything is judged, queries without a hidden positive are left out: no negative of theirs could be wrong,
    and they would make the rate of the others look lower.

    Args:
        judged: what is known beside the run.
        known: the known positives of the run.
        n_queries: of the run.
        seed: of the order in which positives are shown.
        draws: replays of a query at most.
        most: replays in all at most; judged queries beyond get none.
    """
    positives = _pools(judged, known, n_queries, seed)
    shown_each = _shown_each(judged, known, positives.sizes)
    named = np.unique(np.r_[judged.relevant[0], judged.irrelevant[0]])
    times = np.zeros(n_queries, np.int64)
    times[named] = np.clip(positives.sizes[named] // np.maximum(shown_each[named], 1), 1, draws)
    hiding = positives.sizes > shown_each
    if judged.complete and (hiding & (times > 0)).any():
        times[~hiding] = 0
    times = _within(times, most, seed)
    queries = np.repeat(np.arange(n_queries), times)
    rows, place = np.repeat(np.arange(len(queries)), positives.sizes[queries]), positives.take(queries)
    draw, each = index_in_row(queries)[rows], shown_each[queries][rows]
    at = index_in_row(rows)
    seen = (at >= draw * each) & (at < (draw + 1) * each)
    shown = Lists.from_pairs(rows[seen], place.values[seen], len(queries))
    relevant = Lists.from_pairs(rows, place.values, len(queries))
    listed = None if judged.complete else _listed(judged, known, n_queries).take(queries)
    return Replays(queries, shown, relevant, listed, judged.source)


def sample_replays(known: Pairs, n_queries: int, seed: int, most: int) -> Replays:
    """Replays of some queries just as they are in the run, of which nobody has judged anything yet.

    Args:
        known: the known positives of the run.
        n_queries: of the run.
        seed: of the draw.
        most: queries at most, each with a known positive.
    """
    named = np.unique(known[0])
    queries = named[sample_rows(len(named), most, seed)]
    shown = Lists.from_pairs(*known, n_queries).take(queries)
    return Replays(queries, shown, shown, shown, RERANKER)


def sibling_pairs(replays: Replays, families: Int64, known: Pairs) -> Pairs:
    """What answers queries that ask the same as each replayed one, but for that query itself: replay and document.

    Args:
        replays: numbered from 0.
        families: family of each query of the run.
        known: positives of the run, and what may be one.
    """
    asked = pl.DataFrame({"replay": np.arange(len(replays)), "query": replays.queries}).with_columns(
        family=pl.Series(families[replays.queries])
    )
    answers = pl.DataFrame({"other": known[0], "document": known[1], "family": families[known[0]]})
    found = asked.join(answers, on="family").filter(pl.col("query") != pl.col("other"))
    return found["replay"].to_numpy(), found["document"].to_numpy()


def _pools(judged: Judgements, known: Pairs, n_queries: int, seed: int) -> Lists:
    """The positives of each query, the known ones first, the rest in an order of its own; not ascending."""
    both = Lists.from_pairs(np.r_[known[0], judged.relevant[0]], np.r_[known[1], judged.relevant[1]], n_queries)
    rows, documents = both.rows, both.values
    later = ~Lists.from_pairs(*known, n_queries).contains(rows, documents)
    if judged.source == KNOWN_POSITIVES:
        later[:] = True
    drawn = np.random.default_rng(seed).random(len(rows))
    order = np.lexsort((drawn, later, rows))
    return Lists(starts_of(rows, n_queries), documents[order])


def _shown_each(judged: Judgements, known: Pairs, pools: Int64) -> Int64:
    """How many positives a replay of each query shows; where all known ones are the pool, at most half of them."""
    sizes = np.bincount(known[0], minlength=len(pools))
    if judged.source != KNOWN_POSITIVES:
        return sizes
    usual = int(np.median(sizes[sizes > 0]))
    return np.maximum(1, np.minimum(usual, pools // 2))


def _within(times: Int64, most: int, seed: int) -> Int64:
    """Fewer replays of each query where there are too many, and if need be of fewer queries."""
    while times.sum() > most and times.max() > 1:
        times = np.minimum(times, times.max() - 1)
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(times))[:most]
    kept = np.zeros_like(times)
    kept[chosen] = times[chosen]
    return kept


def _listed(judged: Judgements, known: Pairs, n_queries: int) -> Lists:
    parts = zip(judged.relevant, judged.irrelevant, known, strict=True)
    rows, documents = (np.concatenate(part) for part in parts)
    return Lists.from_pairs(rows, documents, n_queries)
