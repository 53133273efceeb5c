"""Reads small YAML files that users write (recipes, prices) into settings; says in one sentence what is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from datagen.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read {path}: {' '.join(str(exc).split())}") from exc


def read_settings(path: Path, model: type[Model]) -> Model:
    """The settings in a YAML file.

    Raises:
        ConfigError: naming the file and the first thing that is wrong in it.
    """
    try:
        values = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as exc:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold `name: value` lines, not {type(values).__name__}")
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        raise ConfigError(f"{path}: {_explained(exc.errors()[0], model)}") from exc


def hash_files(home: Path, *endings: str) -> str:
    """A hash of the YAML files and lists of values in a folder, and of the files with these endings."""
    result = hashlib.sha256()
    for path in sorted(home.iterdir()):
        if path.is_file() and path.suffix in (".yaml", ".txt", ".csv", *endings):
            content = path.read_bytes()
            result.update(f"{path.name}:{len(content)}:".encode() + content)
    return result.hexdigest()[:24]


def _explained(error: ErrorDetails, model: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "missing":
        return f"{name!r} is missing"
    if error["type"] == "extra_forbidden":
        fields = _fields_beside(error["loc"], model)
        return f"unknown key {name!r}" + (f": choose among {', '.join(fields)}" if fields else "")
    if error["type"] == "value_error":
        cause = str(error["ctx"]["error"])
        return f"{name}: {cause}" if name else cause
    return f"{name!r} is {error['input']!r}: {error['msg'].replace('Input should', 'it must')}"


def _fields_beside(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The names allowed where the last part of `loc` stands."""
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # a name or a number inside a mapping or a list: the model of its values stays
        inner = [kind for kind in _models_in(field.annotation)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _models_in(kind: object) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [found for inner in getattr(kind, "__args__", ()) for found in _models_in(inner)]
