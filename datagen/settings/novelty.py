"""When a written text counts as known already, and when a run counts as collapsed (`novelty.py`, `collapse.py`)."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from datagen.settings.base import Settings, Share


class NoveltySettings(Settings):
    """What is too close to what the run has already, and when writing has collapsed."""

    enabled: bool = Field(
        default=True, description="refuse near-duplicates and watch for a collapse; exact repeats are always refused"
    )
    exact_words: int = Field(
        default=2, ge=0, le=20, description="texts of at most so many words are refused only where they are repeated"
    )
    likeness: float = Field(
        default=0.7, gt=0, le=1, description="share of weighted words in common from which two texts are one"
    )
    bands: int = Field(default=24, ge=4, le=64, description="MinHash: bands of a text, 8 bytes each; more find more")
    rows: int = Field(default=4, ge=2, le=8, description="MinHash: hashes of a band; fewer find more")
    most_compared: int = Field(default=8, ge=1, le=1000, description="known texts that a new one is compared with")
    cosine: float = Field(default=0.95, gt=0, le=1, description="with a teacher: cosine from which two texts are one")
    window: int = Field(default=128, ge=16, le=10_000, description="rows that are looked at for a collapse")
    every: int = Field(default=16, ge=1, le=1000, description="rows between two looks")
    rotate_repeats: Share = Field(default=0.5, description="share of repeats in the window from which to rotate")
    stop_repeats: Share = Field(default=0.8, description="share of repeats in a full window at which to stop")
    rotate_compression: Share = Field(
        default=0.1, description="packed size of the window's texts, as a share, below which to rotate"
    )
    stop_compression: Share = Field(default=0.06, description="the same, below which to stop")
    rotate_entropy: float = Field(
        default=0.8, ge=0, description="bits of the first three words below which to rotate, if the texts pack well too"
    )
    entropy_compression: Share = Field(default=0.25, description="packed size below which texts pack well")
    patience: int = Field(
        default=256, ge=1, le=100_000, description="rows that an alarm may last, after which the run stops"
    )

    @model_validator(mode="after")
    def _stop_after_rotate(self) -> Self:
        if self.stop_repeats < self.rotate_repeats or self.stop_compression > self.rotate_compression:
            raise ValueError("stop_repeats must be at least rotate_repeats, and stop_compression at most the other")
        return self
