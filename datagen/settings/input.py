"""Settings of the input: where the passages, queries and known positives come from."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from datagen.settings.base import Settings

FORM_FIELDS = ("beir", "corpus", "queries", "qrels", "pairs", "run")


class InputConfig(Settings):
    """Where the passages, queries and known positives come from: one of five forms."""

    beir: str | None = Field(
        default=None, description="folder with corpus.jsonl, queries.jsonl and qrels (plain or .gz)"
    )
    corpus: str | None = Field(default=None, description="file, dataset folder or dataset id with the passages")
    queries: str | None = Field(default=None, description="file, dataset folder or dataset id with the queries")
    qrels: str | None = Field(
        default=None, description="file, dataset folder or dataset id with query id, document id, score"
    )
    pairs: str | None = Field(
        default=None, description="file, dataset folder or dataset id with a query and a positive a row"
    )
    run: str | None = Field(default=None, description="folder of an earlier run, whose queries are mined again")
    anchor_column: str | None = Field(
        default=None, description="column of the query in `pairs` (default: a usual name)"
    )
    positive_column: str | None = Field(
        default=None, description="column of the positive in `pairs` (default: a usual name)"
    )
    split: str = Field(default="train", description="split taken from a dataset that has several")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = {name for name in FORM_FIELDS if getattr(self, name) is not None}
        forms: tuple[set[str], ...] = (
            set(),
            {"beir"},
            {"corpus", "queries", "qrels"},
            {"pairs"},
            {"pairs", "corpus"},
            {"corpus"},
            {"run"},
        )
        if given not in forms:
            raise ValueError(
                f"{', '.join(sorted(given)) or 'nothing'} given, which is not one of the forms of input: give `beir`; "
                "or `corpus`, `queries` and `qrels`; or `pairs` with an optional `corpus`; or `corpus` alone, to "
                "generate queries for it; or `run`, to mine again"
            )
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is given: for recipes that make rows out of nothing."""
        return not (self.has_queries or self.corpus)

    @property
    def has_queries(self) -> bool:
        """Whether the input brings its own queries, so that none need to be generated."""
        return any(form is not None for form in (self.beir, self.queries, self.pairs, self.run))
