"""How a text scores against the documents of a sample: what a single score is measured by.

Everything here stays as it is when all scores become a*s + b with a > 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.selection.arrays import Float32, Float64, Int64

SAME = 1e-3
"""Scores so close, in spreads, are one: products of different shapes round apart."""
_FAR = 400.0
"""Scores further from the middle than so many spreads are all one."""


@dataclass(frozen=True)
class Profiles:
    """The scores of some texts over the sample, each with its middle and its spread."""

    ordered: Float64
    """Scores over the sample in spreads from the middle, ascending, (n, n_sample)."""
    middle: Float64
    """Median, (n,)."""
    spread: Float64
    """Median absolute deviation from it, or where that is 0 the mean one, above 0, (n,)."""

    @classmethod
    def of(cls, scores: Float32) -> Profiles:
        """The profiles of scores over a sample, (n, n_sample)."""
        ordered = np.sort(scores, axis=1).astype(np.float64)
        middle = np.median(ordered, axis=1)
        distances = np.abs(ordered - middle[:, None])
        spread = np.median(distances, axis=1)
        spread = np.where(spread > 0, spread, distances.mean(axis=1))
        spread = np.where(spread > 0, spread, 1.0)
        return cls(np.clip((ordered - middle[:, None]) / spread[:, None], -_FAR, _FAR), middle, spread)

    def z(self, rows: Int64, scores: Float32 | Float64) -> Float64:
        """How many spreads each score lies above the middle of the text beside it, -400 to 400."""
        z = (scores.astype(np.float64) - self.middle[rows]) / self.spread[rows]
        return np.asarray(np.clip(z, -_FAR, _FAR), np.float64)

    def share_above(self, rows: Int64, z: Float64) -> Float64:
        """Which share of the sample scores higher for each text, 0 to 1; a half document stands for none."""
        n, size = self.ordered.shape
        step = 4 * _FAR
        line = (self.ordered + step * np.arange(n)[:, None]).ravel()
        below = np.searchsorted(line, z + SAME + step * rows, side="right") - size * rows
        return np.asarray((size - below + 0.5) / (size + 1), np.float64)
