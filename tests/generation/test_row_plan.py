"""Which rows are asked: a function of the corpus and the seed, read lazily, in bands when a number is wanted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from datagen.generation.outcome import PlannedRow, Source
from datagen.generation.row_plan import find_row, plan_rows, row_id
from datagen.settings.generate import GenerateConfig

SOURCES = [Source(f"d{number}", None, f"Text {number}.", None) for number in range(400)]


def _rows(sources: list[Source] = SOURCES, seed: int = 1, **values: int) -> Iterator[PlannedRow]:
    return plan_rows(lambda: sources, len(sources), GenerateConfig(**values), seed)  # type: ignore[arg-type]  # ints


def test_without_num_every_passage_has_its_rows_in_corpus_order() -> None:
    rows = [(row.source.doc_id, row.number) for row in _rows(queries_per_passage=3)]
    assert rows == [(source.doc_id, number) for source in SOURCES for number in range(3)]


def test_rows_are_made_only_when_pulled() -> None:
    def endless() -> Iterator[Source]:
        for number in itertools.count():
            yield Source(f"d{number}", None, "x", None)

    rows = plan_rows(endless, 10**9, GenerateConfig(), 1)
    assert [row.source.doc_id for row in itertools.islice(rows, 3)] == ["d0", "d0", "d1"]


def test_ids_do_not_depend_on_the_rows_around() -> None:
    every = {row.row_id for row in _rows()}
    assert {row.row_id for row in _rows(SOURCES[50:90][::-1])} < every
    assert every.isdisjoint(row.row_id for row in _rows(seed=2))
    assert len(every) == 800


def test_num_draws_about_so_many_at_first_from_everywhere() -> None:
    rows = list(itertools.islice(_rows(num=100, queries_per_passage=1), 90))
    numbers = [int(row.source.doc_id[1:]) for row in rows]
    assert numbers == sorted(numbers)
    assert numbers[0] < 40
    assert numbers[-1] > 300


def test_num_goes_on_with_new_rows_until_the_cap_on_attempts() -> None:
    rows = list(_rows(num=400, queries_per_passage=1, max_attempts=1000))
    assert len(rows) == len({row.row_id for row in rows}) == 1000
    assert {row.source.doc_id for row in rows[:400]} == {source.doc_id for source in SOURCES}
    assert {row.number for row in rows} == {0, 1, 2}


def test_attempts_are_three_times_num_by_default() -> None:
    assert len(list(_rows(num=50))) == 150


def test_a_single_passage_can_give_many_rows() -> None:
    assert len(list(_rows(SOURCES[:1], num=30))) == 90


def test_an_empty_corpus_gives_no_rows() -> None:
    assert list(_rows([], num=30)) == []


def test_a_row_is_found_by_its_id() -> None:
    settings = GenerateConfig(num=50, queries_per_passage=1)
    for row in _rows(num=50, queries_per_passage=1):
        assert find_row(SOURCES, 400, row.row_id, settings, 1) == row
    assert find_row(SOURCES, 400, "g-none", settings, 1) is None
    assert find_row(SOURCES, 400, row_id("d1", 1, 1), GenerateConfig(queries_per_passage=1), 1) is None
