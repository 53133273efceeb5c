"""Can positives be told from negatives without reading the query? A student would learn that instead of relevance.

A classifier that sees a passage alone, by its length and by its style, judged on passages it was not fitted on.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

import numpy as np
import polars as pl

from datagen.audit.material import POSITIVE, Material
from datagen.selection.arrays import Bool, Float64, sample_rows

log = logging.getLogger(__name__)

_FOLDS = 5
_RESAMPLES = 200
_CHARACTERS = 2_000
"""What is read of a passage, from its beginning."""
_FEATURES = 50_000
_LEAST = 20
"""Passages of each kind below which nothing is said."""


def measure_leaks(material: Material, size: int, seed: int) -> dict[str, Any]:  # Any: numbers and intervals
    """How well positives are told from negatives without the query, on up to `size` different passages.

    A passage that serves as both counts as what it is more often, ties as a negative.

    Returns:
        `length_auc` (by the number of characters alone; 0.5: not at all) and `style_auc` (logistic regression over
        TF-IDF of characters and words, and the length; 5-fold cross-validation), each as `value`, `low` and `high`
        of a 95 % bootstrap interval; empty where either kind has fewer than 20 passages, or scikit-learn is missing.
    """
    if importlib.util.find_spec("sklearn") is None:
        log.warning("what leaks without the query is not measured: that takes scikit-learn, as in datagen[report]")
        return {}
    texts, labels = _labelled(material, size, seed)
    if min(labels.sum(), (~labels).sum()) < _LEAST:
        return {}
    length = np.log1p(texts.str.len_chars().to_numpy().astype(np.float64))
    told = _auc(labels, length)
    direction = 1 if told >= 0.5 else -1
    rng = np.random.default_rng(seed)
    return {
        "passages": len(texts),
        "length_auc": _interval(labels, direction * length, rng),
        "style_auc": _interval(labels, _classify(texts, labels, length, seed), rng),
    }


def _labelled(material: Material, size: int, seed: int) -> tuple[pl.Series, Bool]:
    share = (pl.col("role") == POSITIVE).mean().alias("share")
    roles = material.uses.group_by("passage").agg(share).sort("passage")
    chosen = roles[sample_rows(len(roles), size, seed)]
    texts = material.passages["text"].gather(chosen["passage"]).str.slice(0, _CHARACTERS)
    return texts, np.asarray(chosen["share"].to_numpy() > 0.5, bool)


def _classify(texts: pl.Series, labels: Bool, length: Float64, seed: int) -> Float64:
    """The log odds of each passage by a classifier that was fitted on the others, (n,)."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    by_characters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 3), max_features=_FEATURES, sublinear_tf=True, dtype=np.float32
    )
    by_words = TfidfVectorizer(max_features=_FEATURES, sublinear_tf=True, dtype=np.float32)
    spread = (length - length.mean()) / max(float(length.std()), 1e-9)
    shape = csr_matrix(np.stack([spread, spread**2], axis=1).astype(np.float32))
    listed = texts.to_list()
    features = hstack([by_characters.fit_transform(listed), by_words.fit_transform(listed), shape], format="csr")
    model = LogisticRegression(class_weight="balanced", solver="liblinear")
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(model, features, labels, cv=folds, method="decision_function"), np.float64)


def _interval(labels: Bool, scores: Float64, rng: np.random.Generator) -> dict[str, float]:
    """The AUC with a 95 % bootstrap interval."""
    drawn = (rng.integers(0, len(labels), len(labels)) for _ in range(_RESAMPLES))
    low, high = np.nanquantile([_auc(labels[rows], scores[rows]) for rows in drawn], [0.025, 0.975])
    return {"value": _auc(labels, scores), "low": float(low), "high": float(high)}


def _auc(labels: Bool, scores: Float64) -> float:
    """Chance that a positive scores above a negative, ties count half; NaN without one of either."""
    ranks = pl.Series(scores).rank("average").to_numpy()
    n, m = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")
