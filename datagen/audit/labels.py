"""Negatives that somebody's judgements call relevant."""

from __future__ import annotations

import polars as pl

from datagen.audit.findings import KNOWN_POSITIVE, report_uses
from datagen.audit.material import NEGATIVE, Material


def find_labelled(material: Material, labels: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, float]]:
    """Negatives that are labelled relevant, by the ids of query and document.

    Args:
        material: the data set.
        labels: query_id, doc_id and relevance.

    Returns:
        Findings, whose score is the relevance; how many negatives are `labelled` at all, and which share of those is
        labelled relevant.
    """
    pair = ["query_id", "doc_id"]
    best = labels.group_by(pair).agg(pl.col("relevance").max())
    judged = material.used_as(NEGATIVE).join(best, on=pair, how="inner", maintain_order="left")
    wrong = judged.filter(pl.col("relevance") > 0)
    findings = report_uses(wrong, KNOWN_POSITIVE, wrong["relevance"].to_numpy())
    return findings, {"labelled_negatives": len(judged), "labelled_relevant_share": len(wrong) / max(1, len(judged))}
