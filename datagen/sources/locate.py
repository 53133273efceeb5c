"""What the user named, found: a file, a folder, a packaged sample, or a dataset of the hub."""

from __future__ import annotations

import importlib.resources
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from datagen.errors import InputError, some_of, unknown_choice
from datagen.settings.input import InputConfig

Format: TypeAlias = Literal["parquet", "jsonl", "json", "csv", "tsv", "plain", "dataset", "hub"]

PACKAGED = "packaged:"
ALLOWED = "a .parquet, .jsonl, .csv or .tsv file (plain or .gz), a folder of parquet files, or a dataset folder"

_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "plain",
    ".qrels": "plain",
    ".trec": "plain",
}
_PACKAGED_SUFFIX = ".jsonl.gz"
_DATASET_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")


@dataclass(frozen=True)
class Source:
    """One table of the input, found but not read.

    `name` is what messages and the `origin` column say; `place` is the dataset folder or the dataset id.
    """

    name: str
    format: Format
    files: tuple[Path, ...] = ()
    place: str = ""


@dataclass(frozen=True)
class Layout:
    """All tables of an input, found but not read."""

    corpus: Source | None = None
    queries: Source | None = None
    qrels: tuple[Source, ...] = ()
    pairs: Source | None = None


def locate_input(config: InputConfig) -> Layout:
    """The tables of an input.

    Raises:
        InputError: something that was named is not there, or its format cannot be told.
    """
    if config.beir is not None:
        return _locate_beir(Path(config.beir).expanduser())
    return Layout(
        corpus=None if config.corpus is None else locate(config.corpus, config.split),
        queries=None if config.queries is None else locate(config.queries, config.split),
        qrels=() if config.qrels is None else (locate(config.qrels, config.split),),
        pairs=None if config.pairs is None else locate(config.pairs, config.split),
    )


def locate(value: str, split: str) -> Source:
    """The file, folder, packaged sample or dataset id that a value names.

    Args:
        value: what the user wrote.
        split: taken from a dataset that has several.

    Raises:
        InputError: it is not there, or its format cannot be told.
        ConfigError: there is no packaged sample of this name.
    """
    if value.startswith(PACKAGED):
        return _locate_packaged(value.removeprefix(PACKAGED))
    path = Path(value).expanduser()
    if path.is_dir():
        return _locate_folder(path, split)
    if path.is_file():
        return _locate_file(path, path.name)
    if path.is_absolute() or _format_of(path) or not _DATASET_ID.fullmatch(value):
        raise InputError(f"{value!r} does not exist: give {ALLOWED}, or the id of a dataset on the hub")
    return Source(value, "hub", place=value)


def _format_of(path: Path) -> Format | None:
    name = path.name.lower().removesuffix(".gz")
    return _FORMATS.get(Path(name).suffix)


def _locate_file(path: Path, name: str) -> Source:
    kind = _format_of(path)
    if kind is None:
        raise InputError(f"the format of {str(path)!r} cannot be told from its name: give {ALLOWED}")
    return Source(name, kind, (path,))


def _locate_packaged(name: str) -> Source:
    folder = Path(str(importlib.resources.files("datagen") / "data"))
    path = folder / (name.replace("-", "_") + _PACKAGED_SUFFIX)
    if not path.is_file():
        existing = folder.glob("*" + _PACKAGED_SUFFIX)
        names = [PACKAGED + file.name.removesuffix(_PACKAGED_SUFFIX).replace("_", "-") for file in existing]
        raise unknown_choice("packaged sample", PACKAGED + name, names)
    return Source(PACKAGED + name, "jsonl", (path,))


def _locate_folder(path: Path, split: str) -> Source:
    name = path.resolve().name
    if (path / "dataset_dict.json").is_file():
        return _locate_split(path, split)
    if (path / "state.json").is_file():
        return Source(name, "dataset", tuple(sorted(path.glob("*.arrow"))), str(path))
    parquet = tuple(sorted(path.glob("*.parquet")))
    if not parquet:
        raise InputError(
            f"the folder {str(path)!r} holds no parquet files and is no dataset folder ({_inside(path)}): name the "
            "file itself, or use --beir for a BEIR folder"
        )
    return Source(name, "parquet", parquet)


def _locate_split(path: Path, split: str) -> Source:
    index = path / "dataset_dict.json"
    try:
        splits = list(json.loads(index.read_text(encoding="utf-8"))["splits"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InputError(f"{str(index)!r} does not name the splits of a dataset: save it again") from exc
    folder = path / choose_split(splits, split, str(path))
    return Source(f"{path.resolve().name}/{folder.name}", "dataset", tuple(sorted(folder.glob("*.arrow"))), str(folder))


def choose_split(splits: list[str], wanted: str, where: str) -> str:
    """The wanted split, or the only one.

    Raises:
        InputError: there are several, and the wanted one is not among them.
    """
    if wanted in splits:
        return wanted
    if len(splits) == 1:
        return splits[0]
    raise InputError(f"{where!r} has no split {wanted!r}: set `split` to one of {', '.join(splits)}")


def _locate_beir(folder: Path) -> Layout:
    if not folder.is_dir():
        raise InputError(f"the BEIR folder {str(folder)!r} does not exist or is not a folder")
    qrels = [*(folder / "qrels").glob("*.tsv"), *(folder / "qrels").glob("*.tsv.gz")]
    qrels = qrels or [path for path in (folder / "qrels.tsv", folder / "qrels.tsv.gz") if path.is_file()][:1]
    if not qrels:
        raise _incomplete(folder, "qrels/*.tsv or qrels.tsv")
    return Layout(
        corpus=_beir_file(folder, "corpus.jsonl"),
        queries=_beir_file(folder, "queries.jsonl"),
        qrels=tuple(_locate_file(path, path.relative_to(folder).as_posix()) for path in sorted(qrels)),
    )


def _beir_file(folder: Path, name: str) -> Source:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return _locate_file(path, path.name)
    raise _incomplete(folder, name)


def _incomplete(folder: Path, missing: str) -> InputError:
    return InputError(
        f"the BEIR folder {str(folder)!r} has no {missing} ({_inside(folder)}): it needs corpus.jsonl, queries.jsonl "
        "and qrels/*.tsv or qrels.tsv, plain or .gz"
    )


def _inside(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return f"it holds {some_of(names)}" if names else "it is empty"
