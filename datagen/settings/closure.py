"""Settings of what is never a negative (`selection/closure.py`): near-copies, and the user's own rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from datagen.settings.base import Settings

SameDocument = Literal["ignore", "adjacent", "allow"]
FieldName = Annotated[str, Field(min_length=1)]


class ClosureConfig(Settings):
    """What counts as a copy of a positive or of a query."""

    near_text: float | None = Field(
        default=0.8,
        ge=0.5,
        le=1,
        description="share of three-word shingles in common (Jaccard) from which a candidate copies the query, a "
        "positive or a positive of a near-duplicate query; null: not looked at",
    )
    near_vector: float | None = Field(
        default=0.5,
        ge=0,
        description="a candidate that scores for a positive at most so many spreads below that positive itself copies "
        "it; null: not looked at",
    )
    near_query: float | None = Field(
        default=0.9,
        ge=0.5,
        le=1,
        description="share of weighted words in common from which two queries ask the same, so that the positives of "
        "one are no negatives of the other; null: only equal queries do",
    )


class RulesConfig(Settings):
    """What a user knows of the documents: fields are the keys of `meta`, or language, origin or title."""

    same_field: tuple[FieldName, ...] = Field(
        default=(), description="fields in which a negative must have a value of the query's positives"
    )
    exclude_same: tuple[FieldName, ...] = Field(
        default=(), description="fields in which a negative must not have a value of the query's positives"
    )
    same_doc: SameDocument = Field(
        default="ignore",
        description="other passages of a positive's document: ignore takes none of them as a negative, adjacent only "
        "not those next to the positive, allow takes them",
    )
