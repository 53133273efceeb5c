"""Settings of the stage `judge`: which candidates a language model is asked about, and what its answers decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datagen.settings.base import Settings, Share
from datagen.settings.generate import EXTRACTIVE

JudgeMode = Literal["grade", "span", "list"]
_Grade = Annotated[int, Field(ge=1, le=3)]


class JudgeConfig(Settings):
    """How a language model judges candidates, and how much it is asked."""

    budget: int = Field(default=0, ge=0, description="questions in all, over all judges; 0 asks none")
    judges: tuple[str, ...] = Field(
        default=(),
        max_length=2,
        description="one language model, or two of which the second answers a share of the questions, too (default: "
        "the run's --llm)",
    )
    mode: JudgeMode = Field(
        default="grade",
        description="grade: relevance 0 to 3; span: the piece of the passage that answers, or none; list: grades of "
        "several candidates of a query at once",
    )
    list_size: int = Field(default=5, ge=2, le=20, description="list: candidates in one question")
    shared: Share = Field(default=0.3, description="two judges: share of the questions that both answer")
    min_grade: _Grade = Field(default=2, description="a candidate of this grade or a higher one is never a negative")
    clear_doubts: bool = Field(
        default=True,
        description="whether a lower grade makes a negative possible of what margin or reranker had set aside",
    )
    promote: bool = Field(
        default=True,
        description="whether a candidate becomes a positive when two agree: two judges, or a judge and the reranker",
    )
    promote_grade: _Grade = Field(default=3, description="grade from which a judge is for a promotion")
    replace_positives: bool = Field(
        default=False,
        description="judge the passages of generated queries, too, and let a promoted passage take the place of one "
        "that the judge finds not relevant",
    )
    passage_characters: int = Field(default=8000, ge=100, description="of longer passages the judge sees the beginning")
    answer_tokens: int = Field(default=512, ge=16, description="tokens of one answer at most")
    reasks: int = Field(
        default=0, ge=0, le=5, description="times an unusable answer is sent back with what is wrong, beyond the budget"
    )
    max_cost: float | None = Field(default=None, gt=0, description="money at most, in the currency of the prices")
    prompts: Path | None = Field(
        default=None, description="folder with your own relevance/grade, relevance/span or relevance/list"
    )

    @model_validator(mode="after")
    def _can_judge(self) -> Self:
        if EXTRACTIVE in self.judges:
            raise ValueError("judges name 'extractive', which can judge nothing: name a language model, openai:MODEL")
        if len(set(self.judges)) < len(self.judges):
            raise ValueError(f"judges name {self.judges[0]!r} twice: name two different models, or one")
        if self.judges and not self.budget:
            raise ValueError("judges are named but may ask nothing: say with --judge-budget how many questions")
        return self

    @property
    def enabled(self) -> bool:
        """Whether anything is asked."""
        return self.budget > 0
