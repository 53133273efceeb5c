"""Settings of a language model as reranker: how it is asked, and which words answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from datagen.settings.base import Settings


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
