"""Personas near a passage: what is kept of them, who finds them, and that no vector is paid for twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datagen.backends.registry import Registry
from datagen.config import RunConfig, TeacherConfig, build_config
from datagen.generation.offers import BY_TEACHER, Offers, begun_with
from datagen.generation.outcome import PlannedRow, Source
from datagen.generation.recipes.load import load_recipe
from datagen.generation.runtime.journal import Journal
from datagen.nearest import open_nearest
from datagen.progress import SilentProgress
from datagen.testing import HashingTeacher
from datagen.vectors import open_vectors

VALUES = ["a gout doctor", "a tax lawyer", "a liver doctor", "a bridge builder"]


def _config(tmp_path: Path, **generate: object) -> RunConfig:
    teacher = {"model": "datagen.testing:HashingTeacher"}
    settings = {"llm": "openai:m", "two_step": True, **generate}
    values = {"out": tmp_path / "run", "cache": tmp_path / "cache", "input": {"corpus": "x"}, "teacher": teacher}
    return build_config({**values, "stages": ["clean", "generate"], "generate": settings})


def _rows(*texts: str) -> list[PlannedRow]:
    return [PlannedRow(f"g-{n}", Source(f"d{n}", None, text, None), 0) for n, text in enumerate(texts)]


def test_values_come_nearest_first(tmp_path: Path) -> None:
    config = _config(tmp_path)
    with Journal(tmp_path / "journal") as journal:
        nearest = open_nearest(config, Registry(config), load_recipe("corpus"), journal)
        assert begun_with(journal) == BY_TEACHER
    assert nearest is not None
    sources = [Source("d1", "Gout", "gout is a pain", None), Source("d2", None, "tax for a bridge builder", None)]
    found = nearest(sources, VALUES, 2)
    assert [best[0] for best in found] == ["a gout doctor", "a bridge builder"]
    teacher = HashingTeacher(TeacherConfig())
    scores = (
        teacher.encode(["Gout gout is a pain", "tax for a bridge builder"], "document")
        @ teacher.encode(VALUES, "query").T
    )
    assert [list(best) for best in found] == [[VALUES[n] for n in row[:2]] for row in np.argsort(-scores, axis=1)]
    assert [len(best) for best in nearest(sources, VALUES, 9)] == [4, 4]


def test_vectors_of_passages_are_those_of_the_stage_embed(tmp_path: Path) -> None:
    config = _config(tmp_path)
    backends = Registry(config)
    with Journal(tmp_path / "journal") as journal:
        nearest = open_nearest(config, backends, load_recipe("corpus"), journal)
    assert nearest is not None
    nearest([Source("d1", "Gout", "gout is a pain", None)], VALUES, 2)
    store = open_vectors(config, backends, "document")
    _, new = store.ensure(pl.Series(["Gout gout is a pain"]), backends.teacher, SilentProgress())
    assert new == 0


@pytest.mark.parametrize("settings", [{"two_step": False}, {"offers_by_teacher": False}, {"recipe": "paraphrase"}])
def test_no_teacher_is_loaded_where_nobody_asks_for_one(tmp_path: Path, settings: dict[str, object]) -> None:
    config = _config(tmp_path, **settings)
    with Journal(tmp_path / "journal") as journal:
        assert open_nearest(config, Registry(config), load_recipe(config.generate.resolved_recipe), journal) is None
        assert begun_with(journal) == ""


def test_offers_are_found_once_and_kept(tmp_path: Path) -> None:
    calls: list[int] = []

    def nearest(sources: Sequence[Source], values: Sequence[str], count: int) -> list[list[str]]:
        calls.append(len(sources))
        return [list(values[len(source.text) : len(source.text) + count]) for source in sources]

    recipe, rows = load_recipe("corpus"), _rows("one", "three", "one", "seven77")
    with Journal(tmp_path) as journal:
        first = list(Offers(recipe, 42, journal, nearest).attach(rows))
        again = list(Offers(recipe, 42, journal).attach(rows))
        unknown = list(Offers(recipe, 42, journal).attach(_rows("never seen")))
    assert calls == [3]  # two passages say the same
    assert first == again
    assert [row.row_id for row in first] == [row.row_id for row in rows]
    assert recipe.chooser is not None
    values, count = recipe.chooser.nearest
    assert first[1].offered == values[5 : 5 + count]
    assert unknown[0].offered == ()


def test_rows_are_pulled_as_they_are_needed(tmp_path: Path) -> None:
    pulled = iter(_rows(*(f"text {number}" for number in range(1000))))
    with Journal(tmp_path) as journal:
        next(Offers(load_recipe("corpus"), 42, journal).attach(pulled))
    assert len(list(pulled)) == 1000 - 256
