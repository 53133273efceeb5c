"""The eligible candidates of the ledger in the order in which they are taken: the same for denoise and for choose.

Between the tables of a run and the arrays of `selection.choice`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends, Float32, Int64
from datagen.config import DenoiseConfig, RunConfig
from datagen.document_vectors import DocumentVectors, open_document_vectors
from datagen.documents import iterate_documents
from datagen.mining.unmarked import FEWEST, MOST
from datagen.progress import Progress
from datagen.selection.arrays import Float64, UInt64, quantile_per_row, starts_of
from datagen.selection.choice import ChoiceRule, Eligible, LineUp, draw_keys, line_up
from datagen.selection.denoise import DenoiseRule
from datagen.selection.hubs import mean_of_nearest
from datagen.settings.mine import MineConfig
from datagen.store import hash_texts
from datagen.vectors import open_vectors

ELIGIBLE = ("surplus", "reranker")
"""Reasons of candidates that the margin let through, whatever the reranker said of them since."""

_NEIGHBOURS = 10
"""Nearest queries whose cosines say how much of a hub a document is, as in the paper of CSLS."""
_QUERY_SAMPLE = 4096
_BLOCK = 4096


@dataclass(frozen=True)
class Lining:
    """How the candidates of any part of a run's ledger are lined up."""

    rule: ChoiceRule
    seed: int
    hubness: pl.DataFrame | None
    """doc_id and r, the mean cosine of a document to the queries nearest to it; None: not looked at."""

    def line_up(self, ledger: pl.DataFrame) -> LineUp:
        """The eligible candidates of some parts of the ledger, queries numbered in its order.

        `places` are rows of the ledger, which is ordered by query, and within a query by teacher score.
        """
        rows = number_queries(ledger)
        n_rows = int(rows[-1]) + 1 if len(rows) else 0
        places = np.flatnonzero(ledger["reason"].is_in(ELIGIBLE).to_numpy())
        if self.hubness is not None:
            score = 2 * ledger["teacher_score"].to_numpy() - _joined(ledger["doc_id"], self.hubness, "r")
            places = places[np.lexsort((-score[places], rows[places]))]
        drawn = self.rule.method != "top"
        keys = self.keys(ledger[places]) if drawn else np.empty(0, np.uint64)
        scores = ledger["teacher_score"].to_numpy()
        eligible = Eligible(rows[places], n_rows, scores[places], _anchors(ledger, rows, n_rows), keys)
        line = line_up(self.rule, eligible)
        return LineUp(places[line.places], line.rows, line.lanes, line.tiers, line.needs, line.n_rows)

    def keys(self, ledger: pl.DataFrame) -> UInt64:
        """A random number for each row of a ledger, from the seed and its two ids alone."""
        return pair_keys(ledger, self.seed)


def pair_keys(ledger: pl.DataFrame, seed: int) -> UInt64:
    """A random number for each row of a ledger, from the seed and its two ids alone."""
    return draw_keys(seed, *(_hashed(ledger[name]) for name in ("query_id", "doc_id")))


def choice_rule(config: MineConfig) -> ChoiceRule:
    """In what order these settings take candidates, and how many."""
    choice = config.choice
    return ChoiceRule(choice.method, config.needs, choice.pool, choice.simans_a, choice.simans_b)


def denoise_rule(config: DenoiseConfig, unmarked: float | None = None) -> DenoiseRule:
    """What a reranker's scores decide under these settings.

    Args:
        config: the settings.
        unmarked: what `bound_unmarked` says of the run, as the stage `mine` counts it. Where hardly a positive is
            unmarked, a candidate that scores below its positive is a negative; the margin that is wanted below the
            positive grows with the bound, to that of the settings. None where it is not known: all of the margin.
    """
    share = 1.0 if unmarked is None else (unmarked - FEWEST) / (MOST - FEWEST)
    return DenoiseRule(config.margin * share, config.floor_quantile, config.promote_margin)


def number_queries(ledger: pl.DataFrame) -> Int64:
    """The number of each row's query, counted in the order of the ledger, ascending."""
    return ledger["query_id"].rle_id().cast(pl.Int64).to_numpy()


def order_settings(config: RunConfig) -> dict[str, Any]:  # Any: JSON settings
    """The settings that decide in which order candidates are taken, and how many are made ready."""
    choice = config.mine.choice
    return {
        **choice.model_dump(mode="json", exclude={"diversity", "hub_cap", "tiers"}),
        "needs": list(config.mine.needs),
        "reserve": config.reserve,
        "seed": config.seed,
    }


def open_lining(config: RunConfig, backends: Backends, progress: Progress, source: Callable[[str], Path]) -> Lining:
    """How the candidates of a run's ledger are lined up.

    Args:
        config: of the run.
        backends: of the run.
        progress: shows the search for hubs, where they are to be avoided.
        source: where the parts of a table are.
    """
    rule = choice_rule(config.mine)
    if config.mine.choice.hubness == "none":
        return Lining(rule, config.seed, None)
    documents = open_named_vectors(config, backends, progress, source)
    queries = _query_sample(config, backends, progress, shards.read(source("queries"), ["query_id", "query"]))
    in_ledger = shards.scan(source("candidates")).select("doc_id").unique().collect()
    ids = documents.ids.join(in_ledger, on="doc_id", how="semi", maintain_order="left")
    r = _hubness(documents.vectors, ids["number"].to_numpy(), queries, progress)
    return Lining(rule, config.seed, ids.select("doc_id", r=pl.Series(r)))


@dataclass(frozen=True)
class NamedVectors:
    """The teacher's vectors of a corpus by document id."""

    ids: pl.DataFrame
    """doc_id and number."""
    vectors: DocumentVectors

    def take(self, doc_ids: pl.Series) -> Float32:
        """Vectors of these documents, float32 (n, dim)."""
        numbers, inverse = np.unique(_joined(doc_ids, self.ids, "number"), return_inverse=True)
        return self.vectors.take(numbers)[inverse]


def open_named_vectors(
    config: RunConfig, backends: Backends, progress: Progress, source: Callable[[str], Path]
) -> NamedVectors:
    """The vectors of the documents of a run; `source` says where the parts of a table are."""
    corpus = source("corpus")
    ids = shards.read(corpus, ["doc_id"]).select("doc_id", number=pl.int_range(pl.len(), dtype=pl.Int64))
    slices = functools.partial(iterate_documents, corpus, config.teacher.document_template)
    return NamedVectors(ids, open_document_vectors(config, backends, slices, progress))


def _anchors(ledger: pl.DataFrame, rows: Int64, n_rows: int) -> Float64:
    """The median teacher score of each query's known positives, (n_rows,); NaN where it has none."""
    known = ledger["reason"].eq("known_positive").to_numpy()
    scores = ledger["teacher_score"].to_numpy()[known].astype(np.float64)
    return quantile_per_row(scores, starts_of(rows[known], n_rows), 0.5)


def _query_sample(config: RunConfig, backends: Backends, progress: Progress, queries: pl.DataFrame) -> Float32:
    """Vectors of the queries with the smallest keys: a sample that does not depend on their order."""
    ids = _hashed(queries["query_id"])
    chosen = np.sort(np.argsort(draw_keys(config.seed, ids, ids), kind="stable")[:_QUERY_SAMPLE])
    vectors = open_vectors(config, backends, "query")
    places, _ = vectors.ensure(queries["query"].gather(chosen), backends.teacher, progress)
    return vectors.take(places)


def _hubness(documents: DocumentVectors, numbers: Int64, queries: Float32, progress: Progress) -> Float32:
    """r(d) of these documents, (n,)."""
    found = np.empty(len(numbers), np.float32)
    with progress.step("find hubs", len(numbers), "documents") as advance:
        for begin in range(0, len(numbers), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            found[block] = mean_of_nearest(documents.take(numbers[block]), queries, _NEIGHBOURS)
            advance(len(numbers[block]))
    return found


def _hashed(ids: pl.Series) -> UInt64:
    """The first 64 bits of the hash of each id; an id that stands often is hashed once."""
    unique = ids.unique()
    return _joined(ids, pl.DataFrame({"id": unique, "key": hash_texts(unique)[:, 0]}), "key")


def _joined(ids: pl.Series, table: pl.DataFrame, column: str) -> np.ndarray[Any, np.dtype[Any]]:  # Any: as the column
    """A column of a table whose first column holds each id once, for each of these ids."""
    frame = pl.DataFrame({table.columns[0]: ids})
    return frame.join(table, on=table.columns[0], how="left", maintain_order="left")[column].to_numpy()
