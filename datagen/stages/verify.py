"""Verify: does the teacher find the passage again that a query was written from?

Round-trip consistency, from Promptagator (arXiv 2209.11755) and KaLM-Embedding (arXiv 2501.01028): a query that a
generator wrote is kept if its passage is among the k nearest documents. There k was 1 and 20 in one fixed corpus; what
a rank means depends on how many documents compete, so here k grows with the corpus. A negative that was written for a
query must score below the positive, or the teacher would be trained against what it has good reason to believe.

What the user brought is judged on request alone (`verify.check_positives`), and by a milder rule: a positive fails when
neither direction holds, its passage not among the k documents nearest to the query, and its query not among the k
queries nearest to the passage, each k growing with how many there are: 20, or 0.1 % where that is more.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends, Float32, Int64, SearchIndex
from datagen.config import RunConfig, StageName, VerifyConfig
from datagen.document_vectors import DocumentVectors, open_document_vectors, search_demand
from datagen.documents import iterate_documents
from datagen.errors import BackendError, InputError
from datagen.mining.planning import plan_search
from datagen.report.ledger import quantiles
from datagen.run_folder import Counts
from datagen.selection.arrays import Bool, pair_products
from datagen.stages.base import Work
from datagen.tables import GENERATED
from datagen.vectors import TextVectors, open_vectors

ROUND_TRIP = "round_trip"
INCONSISTENT = "inconsistent_positive"
NEGATIVE_ABOVE_POSITIVE = "negative_above_positive"
ROWS_PER_PART = 100_000
QUERY_BLOCK = 4096

_TOLERANCE = 1e-5
"""Scores so close are one: the search and the product of two vectors round apart."""


class Verify:
    """Reads corpus, queries and pairs; writes queries and pairs without what fails, and what failed."""

    name: StageName = "verify"
    reads = ("corpus", "queries", "pairs")
    writes = ("queries", "pairs", "dropped")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The rank asked for, and how the search is made."""
        search = config.mine.model_dump(mode="json", include={"index", "min_recall", "dims"})
        return {
            **config.verify.model_dump(mode="json", exclude={"enabled"}),
            "written": config.verify.enabled,
            **search,
        }

    def run(self, work: Work) -> Counts:
        """Rank, compare and write; checked and dropped per reason, quantiles of the rank of the positives.

        Where there is nothing to check, nothing is written: the tables stay those of the stages before.

        Raises:
            InputError: no query is left.
            BackendError: the index gave scores that are not finite.
        """
        queries, pairs = work.read("queries"), work.read("pairs").with_row_index("pair")
        document_ids = work.read("corpus", ["doc_id"])["doc_id"]
        wanted = work.config.verify.resolved_rank(len(document_ids))
        checked = _pairs_to_check(queries, pairs, document_ids, work.config.verify)
        if checked.is_empty():
            return {"queries_checked": 0, "negatives_checked": 0}
        judged = _judge(_score(work, queries["query"], checked, wanted), work.config.verify)
        lost_queries = judged.filter("query_lost").select("query_id").unique()
        kept = queries.join(lost_queries, on="query_id", how="anti", maintain_order="left")
        if kept.is_empty():
            raise InputError(
                f"the teacher finds the passage of none of the {len(queries):,} queries among the first "
                f"{wanted:,} documents: look at the queries, raise verify.round_trip_rank, or set verify.enabled=false"
            )
        failed = judged.filter(pl.col("query_lost") | pl.col("pair_lost") | pl.col("negative_above"))
        left = pairs.join(failed, on="pair", how="anti", maintain_order="left")
        left = _weighed(left, judged, work.config.verify).drop("pair")
        for table, frame in (("queries", kept), ("pairs", left), ("dropped", _dropped(judged, queries, wanted))):
            work.write(table, shards.slices(frame, ROWS_PER_PART))
        return _counts(judged, wanted)


@dataclass(frozen=True)
class _Teacher:
    """The vectors of a run, by number of query and document, and the index where ranks are wanted."""

    queries: TextVectors
    query_places: Int64
    documents: DocumentVectors
    index: SearchIndex | None
    wanted: int

    def score(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Pairs of one block, ordered by query, with `score` and `rank` (0: not reached, or not asked for)."""
        numbers, rows = np.unique(pairs["query"].to_numpy(), return_inverse=True)
        documents, columns = np.unique(pairs["document"].to_numpy(), return_inverse=True)
        queries = self.queries.take(self.query_places[numbers])
        scores = pair_products(queries, self.documents.take(documents), rows, columns)
        ranks = self._ranks(queries, rows, scores)
        return pairs.with_columns(pl.Series("score", scores), pl.Series("rank", ranks))

    def is_far_from_query(self, pairs: pl.DataFrame, wanted: int) -> Bool:
        """Whether each passage has so many queries nearer to it than its own, (n_pairs,)."""
        numbers, columns = np.unique(pairs["document"].to_numpy(), return_inverse=True)
        vectors, own = self.documents.take(numbers), pairs["score"].to_numpy()
        nearer = np.zeros(len(pairs), np.int64)
        for begin in range(0, len(self.query_places), QUERY_BLOCK):
            queries = self.queries.take(self.query_places[begin : begin + QUERY_BLOCK])
            for first in range(0, len(pairs), QUERY_BLOCK):
                part = slice(first, first + QUERY_BLOCK)
                scores = queries @ vectors[columns[part]].T
                nearer[part] += (scores > own[part] + _TOLERANCE).sum(axis=0)
        return nearer >= wanted

    def _ranks(self, queries: Float32, rows: Int64, scores: Float32) -> Int64:
        """One more than the documents that score higher; equal scores share the better rank."""
        if self.index is None:
            return np.zeros(len(rows), np.int64)
        nearest, _ = self.index.search(queries, self.wanted)
        if not np.isfinite(nearest).all():
            raise BackendError("the search gave scores that are not finite: try --dtype float32 or another teacher")
        ranks = 1 + (nearest[rows] > scores[:, None] + _TOLERANCE).sum(axis=1, dtype=np.int64)
        return np.where(ranks <= self.wanted, ranks, 0)


def _pairs_to_check(
    queries: pl.DataFrame, pairs: pl.DataFrame, document_ids: pl.Series, config: VerifyConfig
) -> pl.DataFrame:
    """The pairs of the queries that are checked, by query, with the numbers of both.

    These are generated queries, those with a written negative, and on request those with positives of the user's.
    """
    was_generated, enabled = pl.col("origin") == GENERATED, pl.lit(config.enabled)
    of_query = queries.select("query_id", generated=was_generated & enabled, own=~was_generated).with_row_index("query")
    of_document = document_ids.alias("doc_id").to_frame().with_row_index("document")
    positive = pl.col("relevance") > 0
    numbered = pairs.join(of_query, on="query_id").join(of_document, on="doc_id")
    marked = numbered.with_columns(
        pl.col("query", "document").cast(pl.Int64),
        positive=positive,
        written_negative=~positive & (pl.col("source") == GENERATED) & enabled,
        own=pl.col("own") & positive & pl.lit(config.check_positives != "off"),
    ).with_columns(ranked=pl.col("generated") | pl.col("own").any().over("query"))
    concerned = pl.col("ranked") | pl.col("written_negative").any().over("query")
    return marked.filter(concerned).sort("query", "pair")


def _score(work: Work, texts: pl.Series, checked: pl.DataFrame, wanted: int) -> pl.DataFrame:
    """The checked pairs with score, rank, and whether each is one of the user's that fails in both directions."""
    queries = open_vectors(work.config, work.backends, "query")
    places, _ = queries.ensure(texts, work.backends.teacher, work.progress)
    texts_of = partial(iterate_documents, work.source("corpus"), work.config.teacher.document_template)
    documents = open_document_vectors(work.config, work.backends, texts_of, work.progress)
    plain = _Teacher(queries, places, documents, None, wanted)
    plan = plan_search(work.config, documents.dim, wanted, work.partial / "plan.json")
    parts = list(_blocks(work, plain, checked.filter(~pl.col("ranked")), plan.queries))
    ranked = checked.filter("ranked")
    if len(ranked):
        demand = search_demand(work.config.seed, queries, places, wanted, plan.index)
        index = work.backends.index(documents, work.progress, demand)
        parts += _blocks(work, _Teacher(queries, places, documents, index, wanted), ranked, plan.queries)
    scored = pl.concat(parts)
    doubtful = (scored["own"] & (scored["rank"] == 0)).to_numpy()
    doubtful[doubtful] = plain.is_far_from_query(scored.filter(doubtful), work.config.verify.resolved_rank(len(places)))
    return scored.with_columns(inconsistent=pl.Series(doubtful))


def _weighed(pairs: pl.DataFrame, judged: pl.DataFrame, config: VerifyConfig) -> pl.DataFrame:
    """The pairs with a lower relevance where they fail and are not dropped."""
    if config.check_positives != "weigh":
        return pairs
    failed = pl.col("pair").is_in(judged.filter("inconsistent")["pair"].implode())
    return pairs.with_columns(
        relevance=pl.col("relevance") * pl.when(failed).then(config.positive_weight).otherwise(1.0)
    )


def _blocks(work: Work, teacher: _Teacher, pairs: pl.DataFrame, at_once: int) -> Iterator[pl.DataFrame]:
    numbers = pairs["query"].unique().sort().to_numpy()
    firsts = numbers[::at_once]
    edges = [*pairs["query"].search_sorted(firsts).to_list(), len(pairs)]
    with work.progress.step("verify", len(pairs), "pairs") as advance:
        for begin, end in itertools.pairwise(edges):
            yield teacher.score(pairs.slice(begin, end - begin))
            advance(end - begin)


def _judge(scored: pl.DataFrame, config: VerifyConfig) -> pl.DataFrame:
    """The pairs with what is wrong with each, and the score of the best positive left to its query."""
    dropped = pl.col("inconsistent") & pl.lit(config.check_positives == "drop")
    missed = pl.col("generated") & pl.col("positive") & (pl.col("rank") == 0) | dropped
    found = pl.col("positive") & ~pl.col("missed")
    above = pl.col("written_negative") & (pl.col("score") >= pl.col("positive_score"))
    return (
        scored.sort("pair")
        .with_columns(missed=missed)
        .with_columns(
            query_lost=pl.col("missed").any().over("query") & ~found.any().over("query"),
            positive_score=pl.col("score").filter(found).max().over("query"),
        )
        .with_columns(
            pair_lost=pl.col("missed") & ~pl.col("query_lost"),
            negative_above=above.fill_null(False) & ~pl.col("query_lost"),
        )
    )


def _dropped(judged: pl.DataFrame, queries: pl.DataFrame, wanted: int) -> pl.DataFrame:
    """Queries whose passages were all missed, keyed by query_id, then single pairs, keyed by both ids."""
    lost = judged.filter(pl.col("query_lost") & pl.col("positive"))
    positives = lost.group_by("query_id", maintain_order=True).agg(
        pl.col("generated").first(), positives=pl.struct("doc_id", "rank", "score")
    )
    missing = pl.when("generated").then(pl.lit(ROUND_TRIP)).otherwise(pl.lit(INCONSISTENT))
    texts = queries.select("query_id", "query")
    whole = positives.join(texts, on="query_id", how="left", maintain_order="left").with_columns(wanted_rank=wanted)
    pair = pl.concat_str("query_id", "doc_id", separator="\t")
    single = judged.with_columns(wanted_rank=wanted)
    missed = ["query_id", "doc_id", "rank", "score", "wanted_rank"]
    compared = ["query_id", "doc_id", "score", "positive_score"]
    return pl.concat(
        [
            _drop(whole, pl.col("query_id"), missing, ["query", "positives", "wanted_rank"]),
            _drop(single.filter("pair_lost"), pair, missing, missed),
            _drop(single.filter("negative_above"), pair, pl.lit(NEGATIVE_ABOVE_POSITIVE), compared),
        ]
    )


def _drop(rows: pl.DataFrame, key: pl.Expr, reason: pl.Expr, payload: list[str]) -> pl.DataFrame:
    return rows.select(
        stage=pl.lit(Verify.name), key=key, reason=reason, payload=pl.struct(payload).struct.json_encode()
    )


def _counts(judged: pl.DataFrame, wanted: int) -> Counts:
    per_query = judged.filter("generated").group_by("query_id").agg(pl.col("query_lost").first())
    positives = judged.filter(pl.col("generated") & pl.col("positive"))
    ranks = positives.select(rank=pl.when(pl.col("rank") == 0).then(wanted + 1).otherwise("rank"))
    queries = len(per_query), int(per_query["query_lost"].sum())
    pairs = len(positives), int(positives["pair_lost"].sum())
    negatives = int(judged["written_negative"].sum()), int(judged["negative_above"].sum())
    own = judged.filter("own")
    dropped = int((own["missed"] & (own["pair_lost"] | own["query_lost"])).sum())
    told = {
        "generated queries": (*queries, ROUND_TRIP),
        "positives of the others": (pairs[0] - int(positives["query_lost"].sum()), pairs[1], ROUND_TRIP),
        "written negatives": (*negatives, NEGATIVE_ABOVE_POSITIVE),
        **({"positives of your own": (len(own), dropped, INCONSISTENT)} if len(own) else {}),
    }
    checked = {"own_positives_checked": len(own), "own_positives_inconsistent": int(own["inconsistent"].sum())}
    return {
        "wanted_rank": wanted,
        "queries_checked": queries[0],
        "queries_dropped": queries[1],
        "positives_checked": pairs[0],
        "positives_dropped": pairs[1],
        "negatives_checked": negatives[0],
        "negatives_dropped": negatives[1],
        **(checked if len(own) else {}),
        "rank_of_positives": quantiles(ranks.lazy(), "rank"),
        "tables": {
            name: {"given": given, "kept": given - lost, "dropped": {reason: lost} if lost else {}}
            for name, (given, lost, reason) in told.items()
        },
    }
