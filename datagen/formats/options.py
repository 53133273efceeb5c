"""How a data set is exported."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from datagen.errors import ConfigError
from datagen.settings.base import Settings
from datagen.settings.reading import read_settings

BatchKind: TypeAlias = Literal["cluster", "source"]
Short: TypeAlias = Literal["pad", "drop", "error"]
_QUERY = "{query}"


class ExportOptions(Settings):
    """How a data set is exported."""

    num_negatives: int | None = Field(
        default=None,
        ge=1,
        description="negatives of each query (default: all, or, where all rows need as many, the most)",
    )
    short: Short = Field(default="pad", description="what becomes of a query with fewer negatives")
    scores: Literal["teacher", "reranker"] | None = Field(default=None, description="whose scores are written")
    split: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={"train": 1.0}, min_length=1, description="shares of the queries, by name; together 1"
    )
    rows_per_shard: int = Field(default=100_000, ge=1, description="rows in one file")
    seed: int = Field(default=42, ge=0, description="seed of the split")
    query_template: str = Field(default=_QUERY, description="a query as it is written: {query} and {instruction}")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if abs(sum(self.split.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of --split are together {sum(self.split.values()):g}, they must be 1")
        odd = [name for name in self.split if not name.isidentifier()]
        if odd:
            raise ValueError(f"the split {odd[0]!r} must have a name of letters, such as dev")
        if _QUERY not in self.query_template:
            raise ValueError(f"--query-template {self.query_template!r} must hold {_QUERY}")
        return self


class BatchOptions(Settings):
    """How rows are put into batches."""

    batches: BatchKind = Field(
        default="cluster", description="what the rows of a batch have in common: a topic of one source, or the source"
    )
    batch_size: int = Field(default=32, ge=2, description="rows of a batch")
    seed: int = Field(default=42, ge=0, description="seed of topics and of the order")


def read_batch_options(**given: object) -> BatchOptions | None:
    """Options of which those that are None have their defaults; None where no batches are asked for.

    Raises:
        ConfigError: one is out of range, or there is a size and no batches.
    """
    if given.get("batches") is None:
        if given.get("batch_size") is not None:
            raise ConfigError("--batch-size is for batches: add --batches cluster or --batches source")
        return None
    return read_settings(BatchOptions, {name: value for name, value in given.items() if value is not None})


def read_options(**given: object) -> ExportOptions:
    """Options of which those that are None have their defaults; `split` may be a text such as `train=0.9,dev=0.1`.

    Raises:
        ConfigError: one is out of range.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if isinstance(values.get("split"), str):
        values["split"] = _read_split(str(values["split"]))
    return read_settings(ExportOptions, values)


def _read_split(text: str) -> dict[str, float]:
    parts = [part.strip().partition("=") for part in text.split(",")]
    try:
        return {name: float(share) for name, _, share in parts}
    except ValueError as exc:
        raise ConfigError(f"--split {text!r} must be names with shares, such as train=0.9,dev=0.05,test=0.05") from exc
