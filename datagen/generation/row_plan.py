"""Which rows a recipe is asked for, in which order: a pure function of the corpus, the settings and the seed.

Nothing is made ahead: passages are read as rows are needed. With `num`, a share of the passages that is just large
enough is drawn by hash and gone through in corpus order; further bands of them follow while filters eat rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

from datagen.errors import ConfigError
from datagen.generation.outcome import PlannedRow, Source
from datagen.generation.slots import digest, uniform
from datagen.settings.generate import GenerateConfig

BAND_GROWTH = 0.25
"""Each further band holds this share of the rows wanted."""


def row_id(doc_id: str, number: int, seed: int) -> str:
    """The id of a row and of the query that it becomes."""
    return f"g-{digest(doc_id, number, seed).hex()}"


def plan_rows(
    read: Callable[[], Iterable[Source]], n_passages: int, settings: GenerateConfig, seed: int
) -> Iterator[PlannedRow]:
    """Rows in the order in which they are asked; pulled lazily.

    Args:
        read: the passages from the first; called once for each band of `num`.
        n_passages: how many there are.
        settings: `queries_per_passage`, `num` and the cap on attempts.
        seed: the run's.
    """
    if settings.num is None:
        rows = _all_rows(read(), range(settings.queries_per_passage), seed)
    else:
        rows = _drawn_rows(read, n_passages, settings, seed)
    return itertools.islice(rows, settings.resolved_attempts)


def plan_numbered(settings: GenerateConfig, seed: int) -> Iterator[PlannedRow]:
    """Rows that are made of nothing but their number, pulled lazily.

    Raises:
        ConfigError: `num` does not say how many.
    """
    if settings.num is None:
        raise ConfigError(
            f"the recipe {settings.resolved_recipe!r} makes rows out of nothing: say how many you "
            "want, such as --num 1000"
        )
    return (numbered_row(number, seed) for number in range(settings.resolved_attempts or settings.num))


def numbered_row(number: int, seed: int, names: str = "row") -> PlannedRow:
    """The row of this number; rows of other names are others."""
    name = f"{names}-{number}"
    return PlannedRow(row_id(name, 0, seed), Source(name, None, "", None), number)


def find_row(
    read: Iterable[Source], n_passages: int, wanted: str, settings: GenerateConfig, seed: int
) -> PlannedRow | None:
    """The row of this id, if a passage has it within the cap on attempts."""
    rounds = _rounds(settings, n_passages) if settings.num else 1
    numbers = range(settings.queries_per_passage * rounds)
    return next((row for row in _all_rows(read, numbers, seed) if row.row_id == wanted), None)


def _all_rows(sources: Iterable[Source], numbers: range, seed: int) -> Iterator[PlannedRow]:
    for source in sources:
        for number in numbers:
            yield PlannedRow(row_id(source.doc_id, number, seed), source, number)


def _drawn_rows(
    read: Callable[[], Iterable[Source]], n_passages: int, settings: GenerateConfig, seed: int
) -> Iterator[PlannedRow]:
    share = (settings.num or 0) / max(1, n_passages * settings.queries_per_passage)
    for turn in range(_rounds(settings, n_passages)):
        numbers = range(turn * settings.queries_per_passage, (turn + 1) * settings.queries_per_passage)
        for low, high in _bands(share):
            for row in _all_rows(read(), numbers, seed):
                if low <= uniform(seed, "turn", row.source.doc_id, row.number) < high:
                    yield row


def _rounds(settings: GenerateConfig, n_passages: int) -> int:
    """How often all passages are gone through, each time with new rows, until the cap on attempts ends the plan."""
    rows = n_passages * settings.queries_per_passage
    return math.ceil((settings.resolved_attempts or rows) / rows) if rows else 0


def _bands(share: float) -> Iterator[tuple[float, float]]:
    low, high = 0.0, min(1.0, share)
    while low < 1.0:
        yield low, high
        low, high = high, min(1.0, high + BAND_GROWTH * share)
