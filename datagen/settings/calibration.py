"""Settings of the stage `calibrate`: the promised rate of wrong labels, and the judgements that it is kept by."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datagen.settings.base import Settings

_Rate = Annotated[float, Field(gt=0, lt=1)]
Evidence = Literal["auto", "judged", "reranker"]


class CalibrationConfig(Settings):
    """Which share of the negatives may be wrong, and what is known of that."""

    max_false_negatives: _Rate | None = Field(
        default=None, description="highest share of the negatives that may be relevant (default: nothing is promised)"
    )
    confidence: float = Field(
        default=0.9, ge=0, lt=1, description="with which the promise is kept; 0: on average over judged samples"
    )
    labels: str | None = Field(
        default=None,
        description="judgements: query id, document id, 0 or 1; all that qrels may be, or a run with a judge (default: "
        "none)",
    )
    labels_complete: bool = Field(
        default=False, description="what the labels do not list for a query that they name is not relevant to it"
    )
    evidence: Evidence = Field(
        default="auto",
        description="judged: labels, or known positives hidden in turn; reranker: what it says of some queries, which "
        "is no measurement; auto: the reranker where nothing is judged",
    )
    reranker_queries: int = Field(
        default=200, ge=10, description="queries whose candidates the reranker scores, where it is the evidence"
    )
    reranker_place: float = Field(
        default=0.25,
        ge=0,
        le=0.9,
        description="a candidate that it scores at least as high as this quantile of the known positives is taken for "
        "relevant",
    )
    draws: int = Field(
        default=8, ge=1, le=100, description="times a judged query is replayed at most, with other positives known"
    )
    max_replays: int = Field(default=2000, ge=10, description="replays of all judged queries together")

    @property
    def enabled(self) -> bool:
        """Whether something is promised."""
        return self.max_false_negatives is not None

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.labels_complete and self.labels is None:
            raise ValueError("labels_complete says something of labels, but none are given: name them as labels")
        if self.labels is not None and not self.enabled:
            raise ValueError("labels are given but nothing is promised: give max_false_negatives, such as 0.05")
        if self.labels is not None and self.evidence == "reranker":
            raise ValueError("labels are given but evidence is 'reranker': leave one of them out")
        return self
