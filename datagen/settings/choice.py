"""Settings of the stage `choose`: which of the candidates that may be negatives become them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datagen.settings.base import Settings, Share

ChoiceMethod = Literal["top", "random", "tiers", "simans"]
Hubness = Literal["none", "csls"]
_Count = Annotated[int, Field(ge=0, le=1000)]

DEFAULT_TIERS = (4, 2, 1)


class ChoiceConfig(Settings):
    """Which of the candidates that may be negatives become them."""

    method: ChoiceMethod = Field(
        default="top",
        description="top: the first; random: drawn; tiers: some hard, medium and easy ones; simans: drawn near the "
        "positive's score",
    )
    tiers: tuple[_Count, _Count, _Count] | None = Field(
        default=None, description="tiers: hard, medium and easy negatives wanted for each query (default: 4, 2, 1)"
    )
    pool: int = Field(
        default=4,
        ge=1,
        le=100,
        description="random and diversity look at this many candidates for each negative wanted",
    )
    simans_a: float = Field(
        default=1.0, ge=0, description="simans: how sharply candidates are drawn, per squared spread of their scores"
    )
    simans_b: float = Field(
        default=0.0, description="simans: spreads above the positive's score around which candidates are drawn"
    )
    diversity: Share = Field(
        default=0.0, description="0 off, to 1: how much a candidate loses for being near to one already chosen"
    )
    hub_cap: int | None = Field(
        default=None, ge=1, description="queries that one document may serve as a negative (default: no limit)"
    )
    hubness: Hubness = Field(
        default="none", description="csls: prefer candidates that are not near to many queries; none"
    )

    @model_validator(mode="after")
    def _tiers_are_used(self) -> Self:
        if self.tiers is not None and self.method != "tiers":
            raise ValueError(
                f"tiers are given but the method is {self.method!r}: set method to tiers, or leave them out"
            )
        if self.tiers is not None and not sum(self.tiers):
            raise ValueError("tiers are 0, 0, 0: at least one negative must be wanted")
        return self

    @property
    def resolved_tiers(self) -> tuple[int, int, int]:
        """Hard, medium and easy negatives wanted by the method `tiers`."""
        return self.tiers or DEFAULT_TIERS

    @property
    def reserve(self) -> int:
        """Candidates made ready for each negative wanted: more than one where some may have to give way."""
        return self.pool if self.diversity or self.hub_cap else 1

    @property
    def needs_vectors(self) -> bool:
        """Whether the choice looks at the vectors of documents."""
        return self.diversity > 0 or self.hubness != "none"
