"""Negatives that a reranker finds too close to the positive: the rule of the stage `denoise`, for any data set."""

from __future__ import annotations

import numpy as np
import polars as pl

from datagen.audit.findings import RERANKER, report_uses
from datagen.audit.material import NEGATIVE, POSITIVE, Material, pairs_of
from datagen.backends.protocols import Backends, Float32, Int64
from datagen.config import RunConfig
from datagen.mining.lineup import denoise_rule
from datagen.progress import Progress
from datagen.scores import PairScores, Texts
from datagen.selection.arrays import starts_of
from datagen.selection.denoise import measure_scale, middle_scores, reranker_limits

_ROWS = 8192
"""Rows whose texts are Python strings at once."""


def find_by_reranker(material: Material, config: RunConfig, backends: Backends, progress: Progress) -> pl.DataFrame:
    """Negatives whose reranker score is above what `denoise` allows; the score is the reranker's.

    Args:
        material: the data set, with at least one positive.
        config: names the reranker, its margin and the cache.
        backends: where the reranker comes from.
        progress: shows the scoring.
    """
    n_rows = len(material.queries)
    scores = _score(material, config, backends, progress)
    is_positive = material.uses["role"].eq(POSITIVE).to_numpy()
    rows = material.uses["row"].to_numpy()
    positives = scores[is_positive].astype(np.float64), starts_of(rows[is_positive], n_rows)
    middles = middle_scores(*positives)
    scale = measure_scale(middles[~np.isnan(middles)])
    below, _ = reranker_limits(denoise_rule(config.denoise), scale, *positives)
    uses, found = material.used_as(NEGATIVE), scores[~is_positive]
    doubted = found > below[pairs_of(uses)[0]]
    return report_uses(uses.filter(pl.Series(doubted)), RERANKER, found[doubted], config.denoise.reranker)


def _score(material: Material, config: RunConfig, backends: Backends, progress: Progress) -> Float32:
    """The reranker's score of each use, some rows at a time."""
    store = PairScores(config.cache_folder, backends.reranker_identity())
    rows, passages = pairs_of(material.uses)
    found = [np.empty(0, np.float32)]
    for begin in range(0, len(material.queries), _ROWS):
        part = slice(*np.searchsorted(rows, [begin, begin + _ROWS]))
        numbers, columns = np.unique(passages[part], return_inverse=True)
        texts = _texts(material.queries["query"].slice(begin, _ROWS)), _texts(material.passages["text"], numbers)
        pairs = rows[part] - begin, columns
        found.append(store.ensure(*texts, pairs, backends.reranker, progress)[0])
    return np.concatenate(found)


def _texts(texts: pl.Series, numbers: Int64 | None = None) -> Texts:
    return Texts.of(texts if numbers is None else texts.gather(numbers))
