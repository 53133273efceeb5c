"""Negatives that say what a positive says: of their own query, or of a query that asks the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from datagen.audit.findings import NEAR_TEXT, POSITIVE_TEXT, SIBLING_POSITIVE, report_uses
from datagen.audit.material import NEGATIVE, POSITIVE, Material, pairs_of
from datagen.mining.near_queries import join_near_queries
from datagen.mining.near_texts import open_signatures
from datagen.progress import Progress
from datagen.selection.arrays import Bool, Int64, Lists
from datagen.selection.near import NearTexts
from datagen.settings.closure import ClosureConfig


def find_copies(material: Material, config: ClosureConfig, cache: Path, progress: Progress) -> pl.DataFrame:
    """Negatives that equal a positive after normalisation, or nearly repeat one or the query.

    Each negative has the first of the faults positive_text, sibling_positive (a positive of a query that asks the
    same) and near_text.

    Args:
        material: the data set.
        config: from when on texts and queries are nearly the same.
        cache: where signatures of texts are kept.
        progress: shows the comparison.
    """
    uses = material.used_as(NEGATIVE)
    passage_group, query_group = material.groups
    family = join_near_queries(material.queries["query"], query_group, config.near_query).family
    rows, passages = pairs_of(uses)
    positive_rows, positives = material.pairs(POSITIVE)
    groups, positive_groups = passage_group[passages], passage_group[positives]
    own = Lists.from_pairs(positive_rows, positive_groups, len(family)).contains(rows, groups)
    n_families = int(family.max(initial=-1)) + 1
    of_family = Lists.from_pairs(family[positive_rows], positive_groups, n_families).contains(family[rows], groups)
    sibling = of_family & ~own
    near = _near(material, config, family, cache, progress) & ~of_family
    flagged = ((own, POSITIVE_TEXT), (sibling, SIBLING_POSITIVE), (near, NEAR_TEXT))
    return pl.concat(report_uses(uses.filter(pl.Series(flags)), fault) for flags, fault in flagged)


def _near(material: Material, config: ClosureConfig, family: Int64, cache: Path, progress: Progress) -> Bool:
    """Whether each negative nearly repeats a query of its family or a positive of one."""
    rows, passages = material.pairs(NEGATIVE)
    if config.near_text is None or not len(rows):
        return np.zeros(len(rows), bool)
    texts, queries = material.passages["text"], material.queries["query"]
    n_families = int(family.max()) + 1
    positive_rows, positives = material.pairs(POSITIVE)
    query_texts = len(texts) + np.arange(len(queries))
    closed = Lists.from_pairs(np.r_[family[positive_rows], family], np.r_[positives, query_texts], n_families)
    signatures = open_signatures(cache, [texts, queries], len(texts) + len(queries), progress)
    return NearTexts(signatures.take, closed, config.near_text).holds(family[rows], passages)
