"""Settings from plain values, and what is wrong with them, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from datagen.errors import ConfigError, unknown_choice

S = TypeVar("S", bound=BaseModel)


def read_settings(kind: type[S], values: Mapping[str, Any]) -> S:  # Any: unvalidated input
    """Validated settings.

    Raises:
        ConfigError: naming each wrong setting, its value, and what is allowed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        raise _explain_all(exc, kind) from exc


def _explain_all(exc: ValidationError, settings: type[BaseModel]) -> ConfigError:
    """One sentence for each wrong setting: its name, its value, what is allowed."""
    first_choice = [error for error in exc.errors() if error["type"] == "literal_error" and len(error["loc"]) > 1]
    if first_choice and len(exc.errors()) == 1:
        error = first_choice[0]
        choices = [word.strip("' ") for word in str(error["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        return unknown_choice(_setting_name(error["loc"]), error["input"], choices)
    return ConfigError("; ".join(_explain(dict(error), settings) for error in exc.errors()))


def _explain(error: dict[str, Any], settings: type[BaseModel]) -> str:  # Any: pydantic's own error record
    name = _setting_name(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown setting {name!r}: choose among {', '.join(_fields_beside(error['loc'], settings))}"
    if error["type"] == "missing":
        return f"setting {name!r} is missing: give {_description(error['loc'], settings)}"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}" if name else str(error["ctx"]["error"])
    about = _description(error["loc"], settings)
    return f"setting {name!r} is {error['input']!r}: {_allowed(error, settings)}" + (f" ({about})" if about else "")


def _allowed(error: dict[str, Any], settings: type[BaseModel]) -> str:  # Any: pydantic's own error record
    if error["type"] == "model_type":
        return f"it must be a section with settings such as {', '.join(_fields_beside((*error['loc'], ''), settings))}"
    if error["type"] == "tuple_type":
        return "it must be a list"
    return str(error["msg"]).replace("Input should", "it must")


def _setting_name(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _section(loc: tuple[int | str, ...], settings: type[BaseModel]) -> type[BaseModel]:
    section = settings
    for part in loc[:-1]:
        kind = section.model_fields[str(part)].annotation if str(part) in section.model_fields else None
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            section = kind
    return section


def _fields_beside(loc: tuple[int | str, ...], settings: type[BaseModel]) -> list[str]:
    return list(_section(loc, settings).model_fields)


def _description(loc: tuple[int | str, ...], settings: type[BaseModel]) -> str:
    field = _section(loc, settings).model_fields.get(str(loc[-1]))
    return (field.description or "") if field else ""
