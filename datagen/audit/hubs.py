"""Passages that are negatives of improbably many queries, and how unevenly passages serve."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from datagen.audit.findings import HUB, report_uses
from datagen.audit.material import NEGATIVE, Material
from datagen.selection.hubs import measure_hubs

_CHANCE = 0.01
"""Chance that a data set whose negatives are drawn evenly has any hub at all."""


def find_hubs(material: Material) -> tuple[pl.DataFrame, dict[str, Any]]:  # Any: numbers
    """The uses of hubs beyond what even use explains, and how uneven the use is.

    Drawn evenly, a passage would serve a number of rows that is Poisson distributed around the mean. A hub serves
    more than `limit`, which with 99 % chance none of the passages would; its first `limit` uses, in the order of
    the rows, are no findings. The score is how many rows it serves.

    Returns:
        Findings; `gini` and `top_share` (`selection.hubs.measure_hubs`), `limit`, and the number of hubs.
    """
    uses = material.used_as(NEGATIVE).with_columns(rows=pl.len().over("passage"))
    counts = uses["passage"].value_counts()["count"].cast(pl.Int64).to_numpy()
    n_passages = len(material.passages)
    limit = most_by_chance(len(uses) / max(1, n_passages), n_passages)
    gini, top_share = measure_hubs(counts, n_passages)
    number = pl.int_range(pl.len()).over("passage")
    beyond = uses.filter((pl.col("rows") > limit) & (number >= limit))
    findings = report_uses(beyond, HUB, beyond["rows"].cast(pl.Int64).to_numpy(), f"even use explains {limit:,} rows")
    return findings, {"gini": gini, "top_share": top_share, "limit": limit, "hubs": int((counts > limit).sum())}


def most_by_chance(mean: float, n_passages: int) -> int:
    """The use that none of so many passages exceeds, with 99 % chance, when uses are Poisson with this mean."""
    log_chance, total, use = -mean, np.exp(-mean), 0
    while 1 - total > _CHANCE / max(1, n_passages) and use < mean + 40 * np.sqrt(mean) + 40:
        use += 1
        log_chance += np.log(mean / use)
        total += np.exp(log_chance)
    return use
