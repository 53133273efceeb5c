"""Settings of the stage `mine`: which candidates are looked at, and which of them may be negatives."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, FilePath, model_validator

from datagen.settings.base import Settings, Share
from datagen.settings.choice import ChoiceConfig
from datagen.settings.closure import ClosureConfig, RulesConfig
from datagen.settings.sources import LexicalConfig, SourcesConfig

MarginPolicy = Literal["adaptive", "spread", "relative", "absolute"]
PositiveScore = Literal["min", "own", "quantile"]

DEFAULT_MARGINS: dict[str, float] = {"adaptive": 0.05, "spread": 0.5, "relative": 0.05, "absolute": 0.05}


class MineConfig(Settings):
    """Which candidates are looked at, and which of them may be negatives."""

    num_negatives: int = Field(default=5, ge=1, le=1000, description="negatives wanted for each query")
    candidates: int = Field(
        default=100, ge=1, description="nearest documents looked at first, beside the known positives"
    )
    max_candidates: int = Field(default=1000, ge=1, description="how deep a query short of negatives is searched")
    sources: SourcesConfig = Field(default=SourcesConfig(), description="where candidates come from")
    bm25: LexicalConfig = Field(default=LexicalConfig(), description="how BM25 weighs words, where it is a source")
    dims: int | None = Field(
        default=None,
        ge=1,
        description="search the first so many numbers of a vector, then score what that finds with all of them: for "
        "Matryoshka teachers (default: search all)",
    )
    index: str = Field(default="auto", description="auto, flat, blocked, ivf, hnsw or a user's package.module:Class")
    min_recall: Share = Field(
        default=0.95, description="ivf and hnsw: share of the true nearest documents that the search must find"
    )
    margin_policy: MarginPolicy = Field(default="adaptive", description="what the margin is measured in")
    margin: float | None = Field(
        default=None,
        ge=0,
        description="default by policy: P(false negative) 0.05 (adaptive), 0.5 spreads (spread), 0.05 (others)",
    )
    margin_ceiling: Share = Field(
        default=0.2,
        description="adaptive: a query left short at every depth takes its least doubtful candidates up to this chance",
    )
    margin_model: FilePath | None = Field(
        default=None,
        description="adaptive: a file of coefficients from benchmarks/fit_margin.py (default: those of the package)",
    )
    near_positive_share: Share = Field(
        default=0.02, description="spread: this share of the corpus, nearest to a positive, is set aside"
    )
    near_positive_limit: int = Field(default=64, ge=0, description="spread: but never more documents than this")
    positive_score: PositiveScore = Field(default="quantile", description="which positive the margin looks at")
    positive_quantile: Share = Field(default=0.5, description="the quantile of the positives' scores for `quantile`")
    floor_rank: int = Field(
        default=100,
        ge=1,
        description="spread: a positive ranked below this, or half of the corpus, counts as ranked there",
    )
    reference_sample: int = Field(
        default=4096, ge=100, description="documents whose scores tell how a score stands in the corpus"
    )
    closure: ClosureConfig = Field(default=ClosureConfig(), description="what counts as a copy of a positive")
    adversarial: bool = Field(
        default=True, description="keep out documents that are near to improbably many queries of different kinds"
    )
    rules: RulesConfig = Field(default=RulesConfig(), description="what is known of the documents beside their text")
    refresh_overlap: Share = Field(
        default=0.8,
        description="mining again: a query whose first candidates overlap less with the earlier ones is searched anew",
    )
    refresh_depth: int = Field(default=10, ge=1, description="mining again: how many candidates are the first")
    query_block: int = Field(default=1024, ge=512, description="queries in one part of the ledger")
    choice: ChoiceConfig = Field(
        default=ChoiceConfig(), description="which of the candidates that may be negatives become them"
    )

    @model_validator(mode="after")
    def _margin_is_a_chance(self) -> Self:
        if self.margin_policy == "adaptive" and self.resolved_margin > 1:
            raise ValueError(
                f"margin is {self.margin}, but under the policy adaptive it is the highest P(false negative) of a "
                "negative, 0 to 1: set margin_policy to spread to measure in spreads of the query's scores"
            )
        return self

    @property
    def needs(self) -> tuple[int, ...]:
        """Negatives wanted for each query; with the method `tiers` those of each tier, hard ones first."""
        return self.choice.resolved_tiers if self.choice.method == "tiers" else (self.num_negatives,)

    @property
    def wanted(self) -> int:
        """Negatives wanted for each query, of all tiers."""
        return sum(self.needs)

    @property
    def resolved_margin(self) -> float:
        """The margin, or the policy's default."""
        return DEFAULT_MARGINS[self.margin_policy] if self.margin is None else self.margin
