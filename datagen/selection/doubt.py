"""How likely each candidate is a positive that nobody has marked: the learned margin.

A logistic regression over features of (query, candidate) beside what is known of the query. All of them stay as they
are when the teacher's scores become a*s + b with a > 0, so that one model serves any teacher and any corpus. Its
coefficients are in `doubt.json`, which `benchmarks/fit_margin.py` writes; `mining.evidence` measures the features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datagen.errors import InputError
from datagen.selection.arrays import Bool, Float32, Float64, Int64, count_before, count_per_row, starts_of

FEATURES: tuple[str, ...] = (
    "gap",
    "score",
    "positive_score",
    "top_gap",
    "rank",
    "document_score",
    "document_rank",
    "word_gap",
    "word_share",
    "document_words",
    "unmarked",
)
"""What is measured of a candidate, in this order. Scores are in spreads (median absolute deviations) above the median
of what a text scores over a sample of the corpus.

gap: how far it scores below the median known positive. score, positive_score: of itself and of that positive. top_gap:
how far it scores below the query's best document. rank: log2 of its rank. document_score: its score for the known
positive that is nearest to it, taken as a query. document_rank: log2 of its rank there, the positive itself counted,
the best over the positives. word_gap: how far its TF-IDF cosine to the query lies below the mean of the
positives'. word_share: log10 of the share of the corpus with a higher one. document_words: its highest TF-IDF cosine
to a positive. unmarked: log2 of how many positives nobody marked a query of the run may have on average, the same for
all its candidates."""

_FURTHEST = 5.0
"""Deviations beyond which all is one, so that what no fit has seen (a huge corpus, another teacher) stays sane."""
_PACKAGED = Path(__file__).with_name("doubt.json")


@dataclass(frozen=True)
class DoubtModel:
    """A logistic regression over some of the features."""

    features: tuple[str, ...]
    """Names of those that it looks at."""
    centre: Float64
    """What is taken from each, (n_features,); a feature that is not known counts as this."""
    scale: Float64
    """What each is then divided by, above 0, (n_features,)."""
    coefficients: Float64
    """(n_features,)."""
    intercept: float
    provenance: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    """What it was fitted on, by whom and how well it did."""

    def logits(self, features: Float64) -> Float64:
        """The log odds of being a false negative, (n,).

        Args:
            features: of each candidate in the order of `FEATURES`, NaN where not known, (n, len(FEATURES)).
        """
        places = [FEATURES.index(name) for name in self.features]
        standard = standardise(features[:, places], self.centre, self.scale)
        return np.asarray(standard @ self.coefficients + self.intercept, np.float64)

    def probabilities(self, features: Float64) -> Float64:
        """The chance of being a false negative, 0 to 1, (n,)."""
        return np.asarray(1 / (1 + np.exp(-self.logits(features))), np.float64)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """What `load_doubt_model` reads: provenance, then each feature with its numbers."""
        numbers = zip(self.features, self.centre, self.scale, self.coefficients, strict=True)
        return {
            "provenance": dict(self.provenance),
            "intercept": round(self.intercept, 6),
            "features": {
                name: {"centre": round(c, 6), "scale": round(s, 6), "coefficient": round(w, 6)}
                for name, c, s, w in numbers
            },
        }


def standardise(features: Float64, centre: Float64, scale: Float64) -> Float64:
    """Features as a model takes them: so many deviations from the centre, -5 to 5; 0 where not known."""
    return np.clip(np.nan_to_num((features - centre) / scale), -_FURTHEST, _FURTHEST)


def load_doubt_model(path: Path | None = None) -> DoubtModel:
    """A model that `benchmarks/fit_margin.py` or a calibration wrote; None: the packaged one.

    Raises:
        InputError: the file holds no such model, or names features that this version does not measure.
    """
    file = _PACKAGED if path is None else path
    try:
        model = parse_doubt_model(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InputError(f"{file} holds no margin model ({exc!r}): benchmarks/fit_margin.py writes one") from exc
    unknown = [name for name in model.features if name not in FEATURES]
    if unknown:
        raise InputError(f"{file} names the feature {unknown[0]!r}: this version measures {', '.join(FEATURES)}")
    return model


def parse_doubt_model(content: Mapping[str, Any]) -> DoubtModel:  # Any: JSON
    """The model that `DoubtModel.to_json` wrote."""
    named = content["features"]
    centre, scale, coefficients = (
        np.array([row[key] for row in named.values()]) for key in ("centre", "scale", "coefficient")
    )
    return DoubtModel(tuple(named), centre, scale, coefficients, content["intercept"], content["provenance"])


@dataclass(frozen=True)
class DoubtRule:
    """Which candidates are too likely to be false negatives."""

    cut: float
    """Highest chance of a negative, 0 to 1."""
    ceiling: float
    """A query left with too few by the cut takes the least doubtful up to this chance; none where it is the cut."""
    wanted: int
    """Eligible candidates below which a query has too few."""


def doubted(rule: DoubtRule, probability: Float32 | Float64) -> Bool:
    """Candidates above the cut, (n,); one whose chance is not known (NaN), for want of a positive, is not."""
    return np.asarray(probability.astype(np.float64) > rule.cut, bool)


def least_doubted(
    rule: DoubtRule, rows: Int64, n_rows: int, eligible: Bool, open_: Bool, probability: Float32 | Float64
) -> Bool:
    """Candidates above the cut that serve all the same because their query is short, (n,).

    Args:
        rule: the cut and the ceiling.
        rows: query of each candidate, ascending.
        n_rows: how many queries there are.
        eligible: candidates that nothing is against.
        open_: candidates that nothing but the cut is against.
        probability: of each.
    """
    starts = starts_of(rows, n_rows)
    lacking = rule.wanted - count_per_row(eligible, starts)
    allowed = open_ & ~eligible & (probability.astype(np.float64) <= rule.ceiling) & (lacking[rows] > 0)
    order = np.lexsort((probability, ~allowed, rows))
    turn = count_before(allowed[order], starts)
    served = np.zeros(len(rows), bool)
    served[order] = allowed[order] & (turn < lacking[rows])
    return served
