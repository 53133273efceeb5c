"""What somebody has judged of a run's queries and documents, as numbers: a user's labels, or the known positives.

Where there is neither, `mining.witness` asks the reranker.

Between the files and tables of a run and its replays (`mining.replays`). Whatever else judges gives a frame of the same
columns: query_id, doc_id, relevance.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen.mining.closing import number_pairs
from datagen.selection.closure import NO_PAIRS, Pairs

log = logging.getLogger(__name__)

KNOWN_POSITIVES, LABELS, RERANKER = "known positives", "labels", "reranker"
_PAIR = ["query_id", "doc_id"]


@dataclass(frozen=True)
class Judgements:
    """Judged pairs of query number and document number."""

    relevant: Pairs
    irrelevant: Pairs
    complete: bool
    """Whether all that is not listed for a query that stands here is not relevant to it."""
    source: str
    """Who has judged: `LABELS` or `KNOWN_POSITIVES`."""


def place_labels(labels: pl.DataFrame, dropped: pl.DataFrame) -> pl.DataFrame:
    """Labels with the documents that stand in the corpus for those that were dropped as equal to another.

    Args:
        labels: query_id, doc_id, relevance.
        dropped: of the run.
    """
    merged = dropped.filter(pl.col("stage") == "clean", pl.col("reason") == "duplicate_text").select(
        doc_id="key", stays=pl.col("payload").str.json_path_match("$.same_as")
    )
    moved = labels.join(merged.unique("doc_id"), on="doc_id", how="left", maintain_order="left")
    placed = moved.with_columns(doc_id=pl.coalesce("stays", "doc_id")).filter(pl.col("relevance").is_finite())
    return placed.group_by(_PAIR, maintain_order=True).agg(pl.col("relevance").max())


def number_labels(labels: pl.DataFrame, complete: bool, query_ids: pl.Series, document_ids: pl.Series) -> Judgements:
    """Labels as numbers; those of queries or documents that the run does not have are left out, with a warning."""
    good, bad = labels.filter(pl.col("relevance") > 0), labels.filter(pl.col("relevance") <= 0)
    relevant, irrelevant = (number_pairs(part, query_ids, document_ids) for part in (good, bad))
    unknown = len(labels) - len(relevant[0]) - len(irrelevant[0])
    if unknown:
        log.warning("%d of %d labels name a query or a document that the run does not have", unknown, len(labels))
    return Judgements(relevant, irrelevant, complete, LABELS)


def judge_by_positives(positives: Pairs) -> Judgements:
    """The known positives as judgements: those of queries that have several, the rest taken for not relevant.

    Positives that nobody knows stay unknown, so that the rate found is a lower bound.
    """
    several = np.bincount(positives[0])[positives[0]] > 1
    return Judgements((positives[0][several], positives[1][several]), NO_PAIRS, True, KNOWN_POSITIVES)
