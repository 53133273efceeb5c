"""Which texts suit a passage, by the teacher: personas whose vectors are nearest to the passage's.

So Qwen3-Embedding chose the characters that were offered for a passage (arXiv 2506.05176). Passages are embedded as the
stage `embed` does it, into the same store, so no vector is paid for twice; a persona is embedded as a query, because
it stands for who searches.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen.backends.protocols import Backends, Float32, Role
from datagen.config import RunConfig
from datagen.documents import render_documents
from datagen.errors import BackendMissingError
from datagen.generation.offers import BY_TEACHER, DRAWN, Nearest, begun_with, note_beginning, wants_nearest
from datagen.generation.outcome import Source
from datagen.generation.recipes.load import Recipe
from datagen.generation.runtime.journal import Journal
from datagen.progress import SilentProgress
from datagen.vectors import open_vectors

log = logging.getLogger(__name__)

_PRODUCTS = 1 << 24
"""Scores held in memory at once, at most, unless one passage has more."""


def open_nearest(config: RunConfig, backends: Backends, recipe: Recipe, journal: Journal) -> Nearest | None:
    """Who finds what suits a passage; None where a run does not ask for that, or has no teacher for it.

    A run that has begun without a teacher goes on without one.

    Raises:
        BackendError: the teacher cannot be loaded for another reason than that its packages are missing; or they are
            missing now, and the run has begun with them.
    """
    generate, begun = config.generate, begun_with(journal)
    if not (generate.two_step and generate.offers_by_teacher and wants_nearest(recipe)) or begun == DRAWN:
        return None
    try:
        backends.check("embed")
    except BackendMissingError as exc:
        if begun:
            raise
        log.warning("personas are drawn by weight instead of by the teacher: %s", exc)
        note_beginning(journal, DRAWN)
        return None
    note_beginning(journal, BY_TEACHER)
    return _NearestTexts(config, backends)


@dataclass(frozen=True)
class _NearestTexts:
    """Ranks texts by the cosine of their vectors with a passage's."""

    config: RunConfig
    backends: Backends

    def __call__(self, sources: Sequence[Source], values: Sequence[str], count: int) -> list[list[str]]:
        """For each passage so many of the values, nearest first, ties in the order of the values."""
        columns = {"title": [source.title for source in sources], "text": [source.text for source in sources]}
        frame = pl.DataFrame(columns, schema={"title": pl.String, "text": pl.String})
        passages = self._vectors(render_documents(frame, self.config.teacher.document_template), "document")
        best = _best(passages, self._vectors(pl.Series(list(values), dtype=pl.String), "query"), count)
        return [[values[place] for place in row] for row in best]

    def _vectors(self, texts: pl.Series, role: Role) -> Float32:
        vectors = open_vectors(self.config, self.backends, role)
        places, _ = vectors.ensure(texts, self.backends.teacher, SilentProgress())
        return vectors.take(places)


def _best(passages: Float32, texts: Float32, count: int) -> list[list[int]]:
    """Places of the texts with the largest products, best first, for each passage."""
    count, best = min(count, len(texts)), []
    step = max(1, _PRODUCTS // max(1, len(texts)))
    for begin in range(0, len(passages), step):
        scores = passages[begin : begin + step] @ texts.T
        best += np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()
    return best
