"""How far two judges agree beyond chance: Cohen's kappa with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Float64, Int64

_RESAMPLES = 2000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Kappa:
    """Agreement of two judges over the same candidates."""

    value: float
    """1 for full agreement, 0 for what chance alone would give; NaN where both always said the same one thing."""
    low: float
    high: float
    """95 % interval of the bootstrap percentiles."""
    count: int
    """Candidates that both judged."""


def measure_kappa(one: Int64, other: Int64, n_grades: int, seed: int) -> Kappa:
    """Cohen's kappa of two judges, disagreement weighted by the square of its size (Cohen 1968).

    With two grades that is the plain kappa (Cohen 1960). The interval is that of resampled candidates.

    Args:
        one: grades of the first judge, 0 to n_grades - 1, (n,).
        other: those of the second, (n,).
        n_grades: how many grades there are.
        seed: of the resampling.
    """
    n = len(one)
    if not n:
        return Kappa(np.nan, np.nan, np.nan, 0)
    table = np.bincount(one * n_grades + other, minlength=n_grades * n_grades)
    drawn = np.random.default_rng(seed).multinomial(n, table / n, _RESAMPLES)
    value = float(_kappas(table[None, :].astype(np.float64), n_grades)[0])
    resampled = _kappas(drawn.astype(np.float64), n_grades)
    defined = resampled[~np.isnan(resampled)]
    low, high = np.quantile(defined, _TAILS) if len(defined) else (np.nan, np.nan)
    return Kappa(value, float(low), float(high), n)


def _kappas(tables: Float64, n_grades: int) -> Float64:
    """The kappa of each table of counts, (n_tables, n_grades ** 2)."""
    observed = tables.reshape(-1, n_grades, n_grades)
    expected = observed.sum(axis=2)[:, :, None] * observed.sum(axis=1)[:, None, :]
    grades = np.arange(n_grades)
    weights = (grades[:, None] - grades[None, :]) ** 2
    by_chance = (weights * expected).sum(axis=(1, 2)) / observed.sum(axis=(1, 2))
    apart = (weights * observed).sum(axis=(1, 2))
    return np.where(by_chance > 0, 1 - apart / np.where(by_chance > 0, by_chance, 1.0), np.nan)
