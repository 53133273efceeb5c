"""Settings of a language model as reranker: how it is asked, and which words answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from datagen.settings.base import Settings

RERANKER_KINDS = ("cross-encoder", "maxsim", "llm", "vllm")


class LLMRerankerConfig(Settings):
    """How a language model is asked whether a document answers a query."""

    instruction: str = Field(
        default="Given a web search query, retrieve relevant passages that answer the query",
        description="the task, as the prompt tells it",
    )
    prompts: Path | None = Field(
        default=None, description="folder of user.j2 and, where wanted, system.j2 (default: those of Qwen3-Reranker)"
    )
    yes: str = Field(default="yes", min_length=1, description="the answer of a relevant document, one token")
    no: str = Field(default="no", min_length=1, description="the answer of another document, one token")
    engine: dict[str, Any] = Field(  # Any: arguments of vLLM's engine
        default={}, description="vllm: arguments of its engine, such as tensor_parallel_size"
    )


def split_reranker(name: str) -> tuple[str | None, str]:
    """Kind and model of a reranker that is given as KIND:MODEL; None and the name where no kind is given."""
    kind, colon, model = name.partition(":")
    return (kind, model) if colon and kind in RERANKER_KINDS else (None, name)
