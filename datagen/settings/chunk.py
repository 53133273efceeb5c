"""How long documents are cut into passages (`chunk`), before anything is embedded or written for them."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from datagen.settings.base import Settings


class ChunkConfig(Settings):
    """How long documents are cut; nothing is while `max_tokens` is not set."""

    max_tokens: int | None = Field(
        default=None,
        ge=16,
        description="longer documents are cut into passages of at most so many tokens, title and the model's own marks "
        "among them (default: none is cut)",
    )
    overlap_tokens: int = Field(
        default=0,
        ge=0,
        description="the last whole sentences of a passage, up to so many tokens, open the next one too",
    )
    min_tokens: int = Field(
        default=32, ge=0, description="shorter sections and rests are put together with what is beside them"
    )
    headings: bool = Field(
        default=True, description="cut at headings of Markdown and HTML, and put them into the title; HTML becomes text"
    )
    tokenizer: str | None = Field(
        default=None, description="hub id, folder or packaged:NAME whose tokens are counted (default: the teacher's)"
    )

    @model_validator(mode="after")
    def _room_for_text(self) -> Self:
        half = self.max_tokens // 2 if self.max_tokens else None
        for name in ("overlap_tokens", "min_tokens"):
            value = getattr(self, name)
            if half is not None and value > half and (name in self.model_fields_set or name == "overlap_tokens"):
                raise ValueError(f"chunk.{name} is {value}: it must be at most half of chunk.max_tokens, {half}")
        return self

    @property
    def enabled(self) -> bool:
        """Whether documents are cut at all."""
        return self.max_tokens is not None
