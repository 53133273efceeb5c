"""Settings of `datagen audit` and `datagen repair`: what counts as a fault, and what is done about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from datagen.settings.base import Settings, Share
from datagen.settings.closure import ClosureConfig
from datagen.settings.reading import read_settings

Short = Literal["keep", "drop"]


class AuditConfig(Settings):
    """From when on something in a data set is a fault."""

    max_p: Share = Field(
        default=0.3, description="a negative whose P(false negative) is higher is a fault of its own, and is dropped"
    )
    round_trip_rank: int | None = Field(
        default=None,
        ge=1,
        description="rank among all passages that a positive must reach (default: 20, or 0.1 % of the passages where "
        "that is more)",
    )
    test_vector: float | None = Field(
        default=1.5,
        ge=0,
        description="a query that scores for a test query at most so many spreads below the test query itself is near "
        "it; null: vectors are not compared",
    )
    closure: ClosureConfig = Field(default=ClosureConfig(), description="what counts as nearly the same text or query")
    leak_sample: int = Field(default=10_000, ge=100, description="different passages that the leak classifier sees")


class RepairConfig(Settings):
    """What a repair does."""

    faults: tuple[str, ...] = Field(default=(), description="the faults that are removed (default: all certain ones)")
    min_negatives: int = Field(
        default=1, ge=0, description="a row with fewer negatives after the repair is short, if the repair took some"
    )
    short: Short = Field(default="keep", description="what becomes of a short row: keep says so, drop drops it")


class AuditSettings(Settings):
    """The settings of both commands, by section."""

    audit: AuditConfig = AuditConfig()
    repair: RepairConfig = RepairConfig()


def build_audit_settings(values: Mapping[str, Any]) -> AuditSettings:  # Any: unvalidated input
    """Validated settings from plain values.

    Raises:
        ConfigError: naming each wrong setting, its value, and what is allowed.
    """
    return read_settings(AuditSettings, values)
