"""The tables of an earlier run that are mined again: found and checked, not read."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from datagen.errors import InputError
from datagen.run_folder import RunFolder
from datagen.tables import FORMAT_VERSION

RunTables: TypeAlias = dict[str, tuple[Path, ...]]

_NEEDED = ("corpus", "queries", "pairs", "candidates")


def locate_run(value: str) -> RunTables:
    """The files of corpus, queries, pairs and candidates of a run, and of dropped where it has any, in part order.

    Raises:
        InputError: the folder is no run, is one of another format, or was not mined yet.
        RunFolderError: its `run.json` cannot be read.
    """
    path = Path(value).expanduser()
    summary = RunFolder(path).summary()
    if summary is None:
        raise InputError(f"{value!r} is no run of datagen, it holds no run.json: name the --out of an earlier run")
    if summary.get("format") != FORMAT_VERSION:
        raise InputError(
            f"the run {value!r} has format {summary.get('format')}, this datagen {FORMAT_VERSION}: mine it with this "
            "version first"
        )
    tables = {name: tuple(sorted((path / name).glob("*.parquet"))) for name in (*_NEEDED, "dropped")}
    missing = [name for name in _NEEDED if not tables[name]]
    if missing:
        raise InputError(
            f"the run {value!r} has no {' and no '.join(missing)}: mine it first, with `datagen mine-negatives --run "
            f"{value}`"
        )
    return tables
