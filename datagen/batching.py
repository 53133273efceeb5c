"""`datagen export --batches`: which rows of a run stand in one batch, so that in-batch negatives are hard and right.

Topics are found by k-means over the teacher's vectors of query and positive, kept apart is what `selection.batches`
says, by the same bounds by which mining closed the candidates of the run (`mine.closure`). All vectors and signatures
come from the cache of the run, where mining has left them; what is missing is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from datagen.backends.protocols import Float32
from datagen.backends.registry import Registry
from datagen.cleaning import comparable
from datagen.config import RunConfig, build_config
from datagen.formats.options import BatchOptions
from datagen.formats.ordering import ANSWERS
from datagen.mining.near_queries import join_near_queries
from datagen.mining.near_texts import TextSignatures, open_signatures
from datagen.progress import Progress, SilentProgress
from datagen.runs import Run, load_run
from datagen.selection.arrays import Bool, Float64, Int64, Lists
from datagen.selection.batches import Answers, SharedTexts, arrange_batches
from datagen.vectors import TextVectors, open_vectors

BATCHES_OF_TOPIC = 8
"""Batches that a topic fills on average: with fewer, more rows are left over; with more, topics are wider."""
MOST_TOPICS = 1024
"""Topics of one source: more would make the clustering of a million rows longer than all the rest."""
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class RunBatcher:
    """Puts the rows of a run into batches; what `datagen.formats.export_run` takes as its `batcher`."""

    run: Run
    options: BatchOptions
    progress: Progress

    def number(self, parts: Iterator[tuple[int, pl.DataFrame]]) -> tuple[Int64, Int64]:
        """The split and the batch of each row, both (n_rows,); see `datagen.formats.ordering.Batcher`.

        Raises:
            DatagenError: the teacher cannot be loaded, where vectors are missing; or the run has no table margins.
        """
        rows = _read_rows(self.run, parts, self.progress)
        topics = self._topics(rows)
        batches = np.zeros(len(rows.split), np.int64)
        with self.progress.step("batches", len(batches), "rows") as advance:
            for split in np.unique(rows.split):
                own = np.flatnonzero(rows.split == split)
                conflicts = partial(_conflicts, rows, own)
                size, seed = self.options.batch_size, self.options.seed
                batches[own] = arrange_batches(rows.source[own], topics[own], size, conflicts, seed)
                advance(len(own))
        return rows.split, batches

    def _topics(self, rows: _Rows) -> Int64:
        from datagen.backends.clusters_faiss import cluster_rows

        topics = np.zeros(len(rows.split), np.int64)
        if self.options.batches == "cluster":
            for source in np.unique(rows.source):
                own = np.flatnonzero(rows.source == source)
                wanted = min(MOST_TOPICS, len(own) // (BATCHES_OF_TOPIC * self.options.batch_size))
                topics[own] = cluster_rows(partial(_take_both, rows, own), len(own), wanted, self.options.seed)
        return topics


def open_batcher(run: str | Path, options: BatchOptions | None = None, progress: Progress | None = None) -> RunBatcher:
    """What puts the rows of a run into batches.

        export_run(run, "st-n-tuple", out, batcher=open_batcher(run, BatchOptions(batch_size=64)))

    Raises:
        RunFolderError: the folder holds no run.
    """
    return RunBatcher(load_run(run), options or BatchOptions(), progress or SilentProgress())


@dataclass(frozen=True)
class _Rows:
    """What decides the batches, an entry a row."""

    split: Int64
    source: Int64
    shared: SharedTexts
    queries: tuple[TextVectors, Int64]
    """Their vectors, and where in the store each row's is."""
    positives: tuple[TextVectors, Int64]
    floor: Float64
    reach: Float64
    signatures: TextSignatures | None
    least: float


def _take_both(rows: _Rows, own: Int64, places: Int64) -> Float32:
    """Vectors of query and positive, side by side."""
    return np.hstack([vectors.take(where[own[places]]) for vectors, where in (rows.queries, rows.positives)])


def _conflicts(rows: _Rows, own: Int64, places: Int64) -> Bool:
    """Which rows exclude each other, of those of a split at some places."""
    numbers = own[places]
    queries, positives = (vectors.take(where[numbers]) for vectors, where in (rows.queries, rows.positives))
    signatures = rows.signatures.take(numbers) if rows.signatures else None
    answers = Answers(queries, positives, rows.floor[numbers], rows.reach[numbers], signatures, rows.least)
    return np.asarray(rows.shared.among(numbers) | answers.exclude(), bool)


def _read_rows(run: Run, parts: Iterator[tuple[int, pl.DataFrame]], progress: Progress) -> _Rows:
    """One pass over the rows, of which the texts are not kept."""
    config = build_config(dict(run.settings))
    reader = _Reader(config, progress)
    least, slices = config.mine.closure.near_text, reader.read(parts)
    signatures = open_signatures(config.cache_folder, slices, 0, SilentProgress()) if least else None
    reader.exhaust(slices)
    facts = reader.facts()
    queries = open_vectors(config, reader.backends, "query")
    return _Rows(
        facts["split"].to_numpy(),
        _sources(run, facts),
        _shared(facts, config.mine.closure.near_query),
        (queries, queries.ensure(facts["query"], reader.backends.teacher, progress)[0]),
        (reader.documents, facts["place"].to_numpy()),
        *_bounds(run, facts, config.mine.closure.near_vector),
        signatures,
        least or 1.0,
    )


class _Reader:
    """Takes down what is needed of rows as they go by."""

    def __init__(self, config: RunConfig, progress: Progress) -> None:
        self.backends = Registry(config)
        self.documents = open_vectors(config, self.backends, "document")
        self._progress = progress
        self._facts = [pl.DataFrame(schema=_FACTS)]

    def read(self, parts: Iterator[tuple[int, pl.DataFrame]]) -> Iterator[pl.Series]:
        """The texts of the positives, many at a time."""
        waiting: list[pl.DataFrame] = []
        for split, rows in parts:
            waiting.append(_facts_of(rows, split))
            if sum(map(len, waiting)) >= _ROWS_AT_ONCE:
                yield self._keep(pl.concat(waiting))
                waiting = []
        if waiting:
            yield self._keep(pl.concat(waiting))

    def exhaust(self, slices: Iterator[pl.Series]) -> None:
        """Read what nobody has read yet."""
        for _ in slices:
            pass

    def facts(self) -> pl.DataFrame:
        """What was taken down, a row each."""
        return pl.concat(self._facts)

    def _keep(self, rows: pl.DataFrame) -> pl.Series:
        places, _ = self.documents.ensure(rows["text"], self.backends.teacher, self._progress)
        self._facts.append(rows.drop("text").with_columns(place=pl.Series(places, dtype=pl.Int64)).cast(_FACTS))
        return rows["text"]


_FACTS = pl.Schema(
    [
        ("query_id", pl.String()),
        ("query", pl.String()),
        ("doc_id", pl.String()),
        ("split", pl.Int64()),
        ("positives", pl.List(pl.Int64)),
        ("read", pl.List(pl.Int64)),
        ("place", pl.Int64()),
    ]
)


def _facts_of(rows: pl.DataFrame, split: int) -> pl.DataFrame:
    """Of each row its query, its positive, and numbers for the documents that answer its query or that it reads."""
    number = (pl.element().hash() // 2).cast(pl.Int64)
    own, negative = pl.col("positives").list.first().struct, pl.element().struct.field("doc_id")
    return rows.select(
        "query_id",
        "query",
        own.field("doc_id"),
        own.field("text"),
        split=pl.lit(split, pl.Int64),
        positives=pl.col(ANSWERS).list.eval(number).list.unique().list.sort(),
        read=pl.col("negatives").list.eval(negative).list.eval(number).list.unique().list.sort(),
    ).select("query_id", "query", "doc_id", "split", "positives", "read", "text")


def _shared(facts: pl.DataFrame, near_query: float | None) -> SharedTexts:
    groups = facts.select(comparable(pl.col("query")).rank("dense").cast(pl.Int64)).to_series().to_numpy()
    family = join_near_queries(facts["query"], groups, near_query).family
    return SharedTexts(family, _as_lists(facts["positives"]), _as_lists(facts["read"]))


def _as_lists(lists: pl.Series) -> Lists:
    starts = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy().astype(np.int64))])
    return Lists(starts, lists.explode(empty_as_null=False).to_numpy())


def _bounds(run: Run, facts: pl.DataFrame, near_vector: float | None) -> tuple[Float64, Float64]:
    """What a positive scores at least for its query, and how far below it a passage may score and copy it."""
    margins = run.scan("margins").select("query_id", "spread", "floor").collect()
    known = facts.select("query_id").join(margins, on="query_id", how="left", maintain_order="left")
    spread, floor = known.select(pl.col("spread").fill_null(0.0), pl.col("floor").fill_null(-1.0)).cast(pl.Float64)
    reach = np.full(len(facts), -1.0) if near_vector is None else near_vector * spread.to_numpy()
    return floor.to_numpy(), reach


def _sources(run: Run, facts: pl.DataFrame) -> Int64:
    """A number for where query and positive of each row come from."""
    both = facts.select("query_id", "doc_id")
    for table, key in (("queries", "query_id"), ("corpus", "doc_id")):
        origins = run.scan(table).select(key, pl.col("origin").alias(table))
        own = origins.join(both.lazy().select(key).unique(), on=key, how="semi").collect()
        both = both.join(own, on=key, how="left", maintain_order="left")
    return both.select(pl.struct("queries", "corpus").rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
