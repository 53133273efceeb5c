"""Export: the ledger's decisions joined with the texts, one row a query, in parquet shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends
from datagen.config import RunConfig, StageName
from datagen.documents import take_documents
from datagen.report.ledger import IS_NEGATIVE, IS_POSITIVE, short_queries
from datagen.run_folder import Counts
from datagen.selection.arrays import Float64, Int64
from datagen.selection.soft_labels import FOLDS, SoftLabels, fit_soft_labels
from datagen.stages.base import Work
from datagen.store import hash_texts
from datagen.tables import NEGATIVE, POSITIVE


class Export:
    """Reads ledger, queries and corpus; writes the training shards."""

    name: StageName = "export"
    reads = ("candidates", "queries", "corpus")
    writes = ("train", "dropped")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The shard size, how a document is put together, and when a query is short of negatives."""
        return {
            **config.export.model_dump(mode="json"),
            "document_template": config.teacher.document_template,
            "wanted": config.mine.wanted,
        }

    def run(self, work: Work) -> Counts:
        """Write the shards, and which queries lack negatives and why; rows, files, bytes."""
        rows = work.write("train", _shards(work, _fit_labels(work) if work.config.export.soft_labels else None))
        files = list((work.partial / "train").glob("*.parquet"))
        short = _short(work)
        work.write("dropped", [_short_rows(short)])
        by_reason = {f"short_by_{reason}": rows for reason, rows in short["reason"].value_counts(sort=True).iter_rows()}
        return {"rows": rows, "files": len(files), "bytes": sum(path.stat().st_size for path in files), **by_reason}


def _short(work: Work) -> pl.DataFrame:
    queries = work.read("queries", ["query_id"])
    return short_queries(shards.scan(work.source("candidates")), queries, work.config.mine.wanted)


def _short_rows(short: pl.DataFrame) -> pl.DataFrame:
    """A row for each query that lacks negatives: what is missing is a drop, and has its reason."""
    payload = pl.struct("negatives", "candidates", "by_reason").struct.json_encode()
    return short.select(
        stage=pl.lit("export"),
        key="query_id",
        reason=pl.lit("short_of_negatives: ") + pl.col("reason"),
        payload=payload,
    )


_SCORES = ("teacher_score", "reranker_score")


@dataclass(frozen=True)
class Labeller:
    """Gives each exported row its soft label."""

    scorers: tuple[str, ...]
    """Columns of the scores that are fused: those that the run has."""
    labels: SoftLabels

    def add(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of a ledger with the column `soft_label`, null where a score is missing."""
        labels = self.labels.label(_score_matrix(rows, self.scorers), _folds(rows))
        return rows.with_columns(pl.Series("soft_label", labels, pl.Float32, nan_to_null=True))


def _fit_labels(work: Work) -> Labeller:
    """The labeller of a run: fitted on its known positives against its negatives."""
    kept = shards.scan(work.source("candidates")).filter(IS_NEGATIVE | (pl.col("reason") == "known_positive"))
    rows = kept.select("query_id", *_SCORES, positive=~IS_NEGATIVE).collect()
    scorers = tuple(name for name in _SCORES if name == "teacher_score" or rows[name].count())
    fitted = fit_soft_labels(_score_matrix(rows, scorers), rows["positive"].to_numpy(), _folds(rows))
    return Labeller(scorers, fitted)


def _score_matrix(rows: pl.DataFrame, scorers: tuple[str, ...]) -> Float64:
    return np.stack([rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in scorers], axis=1)


def _folds(rows: pl.DataFrame) -> Int64:
    """The fold of each row's query, by the hash of its id."""
    ids = rows["query_id"].unique()
    folds = pl.DataFrame({"query_id": ids, "fold": (hash_texts(ids)[:, 0] % np.uint64(FOLDS)).astype(np.int64)})
    return rows.select("query_id").join(folds, on="query_id", how="left", maintain_order="left")["fold"].to_numpy()


def _shards(work: Work, labeller: Labeller | None) -> Iterator[pl.DataFrame]:
    queries = work.read("queries", ["query_id", "query", "instruction"])
    ledger = shards.scan(work.source("candidates")).filter(IS_NEGATIVE | IS_POSITIVE)
    with work.progress.step("export", len(queries), "queries") as advance:
        for part in shards.slices(queries, work.config.export.rows_per_shard):
            ids = part.lazy().select("query_id")
            chosen = ledger.join(ids, on="query_id", how="semi", maintain_order="left").collect()
            template = work.config.teacher.document_template
            documents = take_documents(work.source("corpus"), template, chosen["doc_id"])
            labelled = labeller.add(chosen) if labeller else chosen.with_columns(soft_label=None)
            yield _training_rows(part, labelled, documents)
            advance(len(part))


def _training_rows(queries: pl.DataFrame, chosen: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """One row for each query, in the order of the queries; lists in the order of the ledger, best first."""
    chosen = chosen.join(documents, on="doc_id", how="left", maintain_order="left")
    rows = queries
    for name, wanted, kind in (("positives", IS_POSITIVE, POSITIVE), ("negatives", IS_NEGATIVE, NEGATIVE)):
        fields = [kind.field(i).name for i in range(kind.num_fields)]
        lists = chosen.filter(wanted).group_by("query_id", maintain_order=True).agg(pl.struct(fields).alias(name))
        rows = rows.join(lists, on="query_id", how="left", maintain_order="left")
    return rows.with_columns(pl.col("positives", "negatives").fill_null([]))
