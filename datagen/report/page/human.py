"""Queries of a run beside queries of people: how far apart they are, by a teacher's vectors and by their words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from datagen.backends.protocols import Float32
from datagen.generation.words import words
from datagen.report.page import charts
from datagen.report.page.diversity import take_evenly
from datagen.report.page.parts import Section, Table, figure
from datagen.report.page.scores import count_bins
from datagen.selection.arrays import Float64

MOST = 2_000
"""Queries compared of each side, at most, drawn evenly."""
_FOLDS = 5
_COLORS = {"run": "var(--accent)", "people": "var(--positive)"}


@dataclass(frozen=True)
class Comparison:
    """How queries of a run differ from those of people."""

    own: int
    human: int
    depth_own: float
    """Median depth of the run's queries among those of people (Seegmiller and Preum 2023: TTE depth, 2 minus the
    mean cosine distance to them, 0 to 2; more is more central)."""
    depth_human: float
    """The same of the queries of people, each left out once."""
    p_value: float
    """Of the rank-sum test that both have the same depths."""
    effect: float
    """Chance that a query of people is the deeper one: 0.5 for no difference."""
    auc: float
    """Cross-validated AUC of a classifier that tells both apart by their vectors: 0.5 when it cannot."""
    words_own: float
    """Mean number of words."""
    words_human: float
    shared_words: float
    """Share of the words that people use, each use counted, that the run's queries use, too."""
    each: pl.DataFrame
    """The queries compared: outcome (run or people), depth and words."""


def compare_queries(own: Sequence[str], human: Sequence[str], encode: Callable[[list[str]], Float32]) -> Comparison:
    """Compare two lists of queries, each of at least ten.

    Args:
        own: of the run.
        human: of people.
        encode: gives unit vectors, (n, dim).
    """
    ours, theirs = take_evenly(own, MOST), take_evenly(human, MOST)
    x, y = encode(ours).astype(np.float64), encode(theirs).astype(np.float64)
    depths, reference = 1 + x @ y.mean(axis=0), _own_depths(y)
    test = mannwhitneyu(reference, depths)
    told, said = [words(text) for text in ours], [words(text) for text in theirs]
    known = {word for each in told for word in each}
    uses = [word in known for each in said for word in each]
    return Comparison(
        own=len(own),
        human=len(human),
        depth_own=float(np.median(depths)),
        depth_human=float(np.median(reference)),
        p_value=float(test.pvalue),
        effect=float(test.statistic / (len(x) * len(y))),
        auc=_tell_apart(x, y),
        words_own=float(np.mean([len(each) for each in told])),
        words_human=float(np.mean([len(each) for each in said])),
        shared_words=float(np.mean(uses)) if uses else 0.0,
        each=pl.DataFrame(
            {
                "outcome": ["run"] * len(ours) + ["people"] * len(theirs),
                "depth": np.r_[depths, reference],
                "words": [len(each) for each in (*told, *said)],
            }
        ),
    )


def describe_comparison(found: Comparison) -> Section:
    """The comparison as a section of the page."""
    rows: list[tuple[object, ...]] = [
        ("queries compared", f"{found.own:,} and {found.human:,}", "of the run and of people; drawn evenly where many"),
        (
            "depth",
            f"{found.depth_own:.3f} and {found.depth_human:.3f}",
            "TTE depth among queries of people, 0 to 2",
        ),
        ("rank-sum test", f"p = {found.p_value:.2g}", "small when the depths differ by more than chance"),
        (
            "effect size",
            f"{found.effect:.2f}",
            "chance that one of people is the more central; 0.5: no difference",
        ),
        ("classifier AUC", f"{found.auc:.2f}", "how well vectors tell both apart; 0.5: not at all"),
        ("words", f"{found.words_own:.1f} and {found.words_human:.1f}", "mean length"),
        ("shared words", f"{found.shared_words:.1%}", "of the words that people use, those that the run uses, too"),
    ]
    drawn = [
        figure(f"{name.capitalize()} of the queries", charts.draw_distributions(bins, name, colors=_COLORS))
        for name in ("depth", "words")
        if len(bins := count_bins(found.each.lazy(), name))
    ]
    return Section("Against queries of people", (Table("Figures", ("figure", "value", "what it is"), rows), *drawn))


def _own_depths(vectors: Float64) -> Float64:
    """Depth of each vector among the others."""
    n = len(vectors)
    alike = vectors @ vectors.sum(axis=0) - np.einsum("ij,ij->i", vectors, vectors)
    return np.asarray(1 + alike / max(1, n - 1), np.float64)


def _tell_apart(x: Float64, y: Float64) -> float:
    labels = np.r_[np.zeros(len(x)), np.ones(len(y))]
    model = LogisticRegression(max_iter=1000, class_weight="balanced")
    return float(cross_val_score(model, np.r_[x, y], labels, cv=_FOLDS, scoring="roc_auc").mean())
