"""What queries are written and by whom (`generate`), and how a language model is reached (`llm`).

Only the first changes rows; the second may change from one call to the next without anything being asked again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from datagen.settings.base import Settings, Share
from datagen.settings.novelty import NoveltySettings

Lane = Literal["online", "batch"]
EXTRACTIVE = "extractive"
DEFAULT_RECIPE = "corpus"
ATTEMPTS_PER_ROW = 3


class RetryRule(Settings):
    """Rows that ended with this reason are asked once more, as a fresh sample."""

    reason: str = Field(description="the reason in `dropped`, such as truncated")
    max_tokens: float = Field(default=1.0, ge=1, le=64, description="the answer may be this many times as long")


class GenerateConfig(Settings):
    """How queries are written for passages."""

    llm: str = Field(
        default=EXTRACTIVE, description="`extractive`, openai:MODEL, vllm:MODEL, or a user's `package.module:Class`"
    )
    llms: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="several writers, each with its share of the rows; shares need not sum to one"
    )
    two_step: bool = Field(
        default=False,
        description="first ask what suits the passage (persona, kind of query …), then write with that; for recipes "
        "with a `choose` section",
    )
    offers_by_teacher: bool = Field(
        default=True,
        description="two_step: offer the personas whose vectors are nearest to the passage's; false: drawn by weight",
    )
    judge: str | None = Field(
        default=None,
        description="a language model (openai:MODEL …) that drops rows whose passage does not answer the query",
    )
    judge_negatives: bool = Field(
        default=True, description="judge: ask about written negatives, too, and leave out those that answer the query"
    )
    recipe: str | None = Field(
        default=None, description="what is asked (default: extractive for that writer, else corpus)"
    )
    prompts: Path | None = Field(default=None, description="folder of your own recipes, looked into first")
    queries_per_passage: int = Field(default=2, ge=1, le=100, description="queries asked for each passage")
    num: int | None = Field(default=None, ge=1, description="accepted queries wanted (default: what the passages give)")
    max_attempts: int | None = Field(
        default=None, ge=1, description="rows tried at most to get `num` (default: three times num)"
    )
    mix: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={
            "inverse_cloze": 1.0,
            "title_body": 1.0,
            "salient_sentence": 1.0,
            "keywords": 1.0,
            "typed_span_question": 1.0,
        },
        description="extractive: query kind to weight; weights need not sum to one",
    )
    cloze_keep: Share = Field(
        default=0.1, description="extractive: share of inverse-cloze passages that keep the sentence (Lee 2019)"
    )
    min_query_words: int = Field(default=2, ge=1, description="shorter queries are rejected")
    max_query_words: int = Field(default=40, ge=1, description="longer queries are rejected")
    temperature: float = Field(default=0.8, ge=0, le=2, description="how freely the language model draws its words")
    top_p: float = Field(default=0.95, gt=0, le=1, description="share of the probability it draws from")
    answer_tokens: int = Field(default=1024, ge=16, description="tokens of one answer at most")
    reasks: int = Field(default=1, ge=0, le=5, description="times an unusable answer is sent back with what is wrong")
    retries: tuple[RetryRule, ...] = Field(default=(), description="reasons that are asked again: `datagen retry`")
    novelty: NoveltySettings = Field(
        default=NoveltySettings(), description="when a query repeats the run, and when the run collapses"
    )
    novelty_by_teacher: bool = Field(
        default=False, description="compare queries by the teacher's vectors, too, as they come"
    )
    avoid: tuple[Path, ...] = Field(
        default=(), description="folders of earlier runs whose queries are not to be repeated"
    )
    max_cost: float | None = Field(default=None, gt=0, description="money at most, in the currency of the prices")
    max_tokens: int | None = Field(default=None, ge=1, description="tokens read and written at most, over all answers")
    max_requests: int | None = Field(default=None, ge=1, description="answers at most")

    @field_validator("mix")
    @classmethod
    def _some_weight(cls, mix: dict[str, float]) -> dict[str, float]:
        if sum(mix.values()) <= 0:
            raise ValueError("at least one query kind needs a weight above 0")
        return mix

    @model_validator(mode="after")
    def _model_for_steps(self) -> Self:
        if self.judge == EXTRACTIVE:
            raise ValueError("judge is 'extractive', which can judge nothing: name a language model, openai:MODEL")
        if self.resolved_recipe == EXTRACTIVE:
            for name in ("two_step", "judge"):
                if getattr(self, name):
                    raise ValueError(f"{name} is for rows that a language model writes: name one with --llm")
        return self

    @property
    def resolved_llms(self) -> dict[str, float]:
        """Each writer with its share of the rows."""
        return self.llms or {self.llm: 1.0}

    @property
    def models(self) -> tuple[str, ...]:
        """All that are asked: the writers, and the judge."""
        return tuple(dict.fromkeys([*self.resolved_llms, *filter(None, [self.judge])]))

    @property
    def resolved_recipe(self) -> str:
        """The recipe named, or the one that goes with the writer."""
        return self.recipe or (EXTRACTIVE if EXTRACTIVE in self.resolved_llms else DEFAULT_RECIPE)

    @property
    def resolved_attempts(self) -> int | None:
        """Rows tried at most; None when all that the passages give are tried."""
        return self.max_attempts or (self.num * ATTEMPTS_PER_ROW if self.num else None)


class BrainstormConfig(Settings):
    """Tasks thought up before rows are written for them, where a recipe works that way."""

    num: int = Field(default=400, ge=1, description="different tasks wanted, over all groups")
    max_attempts: int = Field(default=400, ge=1, description="questions asked at most to get them")


class LLMConfig(Settings):
    """How a language model is reached: nothing here changes a row."""

    base_url: str = Field(
        default="https://api.openai.com/v1", description="an OpenAI-compatible server, up to and with its /v1"
    )
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="the environment variable that holds the key; the key itself nowhere"
    )
    lane: Lane = Field(default="online", description="online, or batch: the provider's cheaper Batch API")
    max_in_flight: int = Field(
        default=128, ge=1, description="requests open at once at most; fewer when the server is slower for it"
    )
    requests_per_minute: int | None = Field(default=None, ge=1, description="requests sent a minute at most")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="tokens a minute at most, read and written")
    timeout_seconds: float = Field(default=120.0, gt=0, description="a request without answer for so long is sent anew")
    give_up_seconds: float = Field(
        default=120.0, gt=0, description="the run stops when the server has not answered at all for so long"
    )
    max_failures: int = Field(
        default=8, ge=1, description="timeouts and server errors of one row before it is left out; 429s do not count"
    )
    structured_output: bool = Field(default=True, description="send the JSON schema where the server takes one")
    batch_poll_seconds: float = Field(default=30.0, gt=0, description="batch lane: how often the server is asked")
    prices: Path | None = Field(default=None, description="YAML with prices a million tokens (default: a few known)")
    engine: dict[str, Any] = Field(  # Any: arguments of vLLM's engine
        default={}, description="vllm: arguments of its engine, such as tensor_parallel_size"
    )

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name):
            raise ValueError("api_key_env must be the NAME of an environment variable, such as OPENAI_API_KEY, no key")
        return name

    @model_validator(mode="after")
    def _no_key_in_url(self) -> Self:
        if "@" in self.base_url.partition("//")[2].partition("/")[0]:
            raise ValueError("base_url must hold no user or password: put the key into the environment")
        return self
