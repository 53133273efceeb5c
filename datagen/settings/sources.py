"""Settings of where candidates come from: which sources, how much each counts, how deep each is asked."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from datagen.settings.base import Settings, Share

DENSE, BM25, RANDOM, WRITTEN = "dense", "bm25", "random", "written"
SOURCES: tuple[str, ...] = (DENSE, BM25, RANDOM, WRITTEN)
"""The names of the sources; a further teacher's name is one too."""

RANDOM_DEPTH, RANDOM_WEIGHT = 10, 0.1

Weight = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
StopWords = Literal[
    "danish",
    "dutch",
    "english",
    "french",
    "german",
    "italian",
    "korean",
    "norwegian",
    "portuguese",
    "russian",
    "spanish",
    "swedish",
    "turkish",
]


class LexicalConfig(Settings):
    """How BM25 weighs words."""

    k1: float = Field(default=1.5, ge=0, description="how long further occurrences of a word still count")
    b: Share = Field(default=0.75, description="how much the length of a document counts against it")
    stop_words: StopWords | None = Field(default=None, description="language whose most common words are left out")


class SourcesConfig(Settings):
    """Where candidates come from, and how their lists become one."""

    use: tuple[str, ...] = Field(
        default=(DENSE,), description="dense, bm25, random; further teachers and written negatives join by themselves"
    )
    written: bool = Field(
        default=True, description="whether the pairs of relevance 0, written or given, are candidates of their query"
    )
    weights: dict[str, Weight] = Field(
        default={},
        description="how much the ranks of a source count (default 1; random: 0.1, behind nearly all others)",
    )
    depths: dict[str, Count] = Field(
        default={}, description="candidates of a source a query (default: mine.candidates; random: 10)"
    )
    quotas: dict[str, Count] = Field(
        default={}, description="negatives of a query kept for candidates that a source has found"
    )

    @model_validator(mode="after")
    def _known_sources(self) -> Self:
        unknown = [name for name in self.use if name not in (DENSE, BM25, RANDOM)]
        if unknown:
            raise ValueError(f"source {unknown[0]!r} is unknown: choose among {DENSE}, {BM25}, {RANDOM}")
        if DENSE not in self.use:
            raise ValueError(f"{DENSE} is missing: the teacher's search shows what the margin is measured from")
        if DENSE in self.depths:
            raise ValueError(f"the depth of {DENSE} is mine.candidates: leave it out here")
        return self

    def weight(self, name: str) -> float:
        """How much the ranks of a source count."""
        return self.weights.get(name, RANDOM_WEIGHT if name == RANDOM else 1.0)

    def depth(self, name: str, candidates: int) -> int:
        """Candidates of a source a query; `candidates` where nothing else is said."""
        return self.depths.get(name, RANDOM_DEPTH if name == RANDOM else candidates)
