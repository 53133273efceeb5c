"""`RUN/report.html`, written where its library is installed: at the end of a run, and by `datagen report`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from datagen.backends.protocols import Float32
from datagen.backends.registry import Registry
from datagen.config import RunConfig, build_config
from datagen.errors import BackendMissingError, InputError
from datagen.progress import SilentProgress
from datagen.runs import Run, load_run
from datagen.sources import load_queries
from datagen.vectors import open_vectors

if TYPE_CHECKING:
    from datagen.report.page.parts import Section

log = logging.getLogger(__name__)

PAGE = "report.html"
_FEWEST = 10


def make_page(run: Path, out: Path | None = None, *, others: Sequence[Path] = (), human: str | None = None) -> Path:
    """Write the page of a run; the file.

    Args:
        run: the run folder.
        out: the file; `report.html` in the folder when None.
        others: runs shown beside it.
        human: queries of people to compare with: a file, dataset folder or dataset id.

    Raises:
        BackendMissingError: the library that draws, or compares, is not installed.
        RunFolderError: a folder holds no run.
        InputError: the queries of people cannot be read, or are too few.
        StorageError: the disk refused.
    """
    runs = [load_run(path) for path in (run, *others)]
    more = [_compare(each, human) for each in runs] if human else []
    try:
        from datagen.report.page.write import write_page
    except ImportError as exc:
        raise BackendMissingError("the page of a run", extra="report") from exc
    path = out or run / PAGE
    write_page(path, runs, more)
    return path


def try_page(run: Path) -> None:
    """Write the page of a run that has just ended, or say what it would need."""
    try:
        make_page(run)
    except BackendMissingError as exc:
        log.info("no %s: %s", PAGE, exc)


def _compare(run: Run, human: str) -> Section:
    try:
        from datagen.report.page.human import compare_queries, describe_comparison
    except ImportError as exc:
        raise BackendMissingError("the comparison with queries of people", extra="report") from exc
    config = build_config(dict(run.settings))
    theirs, own = load_queries(human)["query"].drop_nulls(), run.queries["query"]
    if min(len(theirs), len(own)) < _FEWEST:
        raise InputError(f"{len(own)} queries of the run and {len(theirs)} of people: give at least {_FEWEST} of each")
    return describe_comparison(compare_queries(own.to_list(), theirs.to_list(), _Encoder(config).encode))


class _Encoder:
    """The teacher of a run, for queries, through its cache."""

    def __init__(self, config: RunConfig) -> None:
        self._backends = Registry(config)
        self._vectors = open_vectors(config, self._backends, "query")

    def encode(self, texts: list[str]) -> Float32:
        """Unit vectors of some queries, (n, dim)."""
        places, _ = self._vectors.ensure(pl.Series(texts), self._backends.teacher, SilentProgress())
        return self._vectors.take(places)
