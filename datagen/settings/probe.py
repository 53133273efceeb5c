"""Settings of `datagen probe`: what is trained, for how long, and beside what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from datagen.settings.base import Settings
from datagen.settings.reading import read_settings

Baseline = Literal["in-batch", "random", "top-k", "closed-top-k", "st-mined"]

UNTRAINED, OWN = "untrained", "datagen"
"""The student as it is, and the arm of the run itself."""

DEFAULT_BASELINES: tuple[Baseline, ...] = ("in-batch", "random", "top-k", "st-mined")


class ProbeConfig(Settings):
    """What is trained, for how long, and beside what."""

    student: str = Field(default="packaged:all-MiniLM-L6-v2", description="hub id, folder or packaged:NAME")
    revision: str | None = Field(default=None, description="revision of a hub model")
    baselines: tuple[Baseline, ...] = Field(default=DEFAULT_BASELINES, description="the arms beside the run's own")
    steps: int = Field(default=100, ge=1, description="training steps of each arm")
    batch_size: int = Field(default=32, ge=2, description="queries in a step")
    negatives: int = Field(default=1, ge=1, description="negatives of each query in a step")
    learning_rate: float = Field(default=2e-5, gt=0, description="at its height; it warms up for a tenth of the steps")
    max_tokens: int = Field(default=128, ge=8, description="longer texts are cut")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(42,), min_length=1, description="each arm is trained once a seed"
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps …")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of the intervals")
    trust_remote_code: bool = Field(
        default=False, description="let a hub model run its own code: only for models you trust"
    )


def build_probe_config(values: dict[str, Any]) -> ProbeConfig:  # Any: unvalidated input
    """Validated settings from plain values.

    Raises:
        ConfigError: naming each wrong setting, its value, and what is allowed.
    """
    return read_settings(ProbeConfig, values)
