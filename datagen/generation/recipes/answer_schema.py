"""What an answer must hold, as a recipe states it: a pydantic model to validate with, a JSON schema to send along."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from datagen.settings.base import Settings

Kind: TypeAlias = Literal["text", "number", "integer", "boolean", "list of text"]
Count = Annotated[int, Field(ge=0)]

MOST_CHARACTERS = 100_000
"""Of a text whose field states no limit of its own."""
MOST_ITEMS = 1000
"""Of a list whose field states no limit of its own."""

_TEXT_LIMITS = ("min_characters", "max_characters", "min_words", "max_words", "choices")
_LIMITS_OF: dict[Kind, tuple[str, ...]] = {
    "text": _TEXT_LIMITS,
    "list of text": (*_TEXT_LIMITS, "min_items", "max_items"),
    "number": ("minimum", "maximum"),
    "integer": ("minimum", "maximum"),
    "boolean": (),
}
_ALL_LIMITS = _LIMITS_OF["list of text"] + _LIMITS_OF["number"]
_JSON_TYPES: dict[Kind, str] = {"number": "number", "integer": "integer", "boolean": "boolean"}
_ABSENT = frozenset({"", "null", "none", "n/a"})


class OutputField(Settings):
    """One field of an answer."""

    type: Kind = "text"
    required: bool = Field(default=True, description="whether an answer without it is refused")
    description: str = Field(default="", description="said to the model in the JSON schema")
    min_characters: Count | None = None
    max_characters: Count | None = Field(default=None, description=f"default: {MOST_CHARACTERS:,}")
    min_words: Count | None = Field(default=None, description="words are what white space separates")
    max_words: Count | None = None
    min_items: Count | None = None
    max_items: Count | None = Field(default=None, description=f"default: {MOST_ITEMS:,}")
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = Field(default=(), description="the only texts allowed")

    @property
    def characters(self) -> tuple[int, int]:
        """The fewest and the most of a text, or of each text of a list; none is blank."""
        return self.min_characters or 1, MOST_CHARACTERS if self.max_characters is None else self.max_characters

    @property
    def items(self) -> tuple[int, int]:
        """The fewest and the most texts of a list."""
        return self.min_items or 0, MOST_ITEMS if self.max_items is None else self.max_items

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        for name in _ALL_LIMITS:
            if getattr(self, name) not in (None, ()) and name not in _LIMITS_OF[self.type]:
                raise ValueError(f"{name} says nothing about a field of type {self.type!r}")
        for low, high in (
            ("min_characters", "max_characters"),
            ("min_words", "max_words"),
            ("min_items", "max_items"),
            ("minimum", "maximum"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ValueError(f"{low} is {least}, above {high}, which is {most}")
        for what, (fewest, highest) in (("characters", self.characters), ("items", self.items)):
            if fewest > highest:
                raise ValueError(f"min_{what} is {fewest}, above {highest}: state max_{what}, too")
        return self


def check_name(name: str) -> str:
    """A name that can stand for a field.

    Raises:
        ValueError: it cannot.
    """
    if not (name.isidentifier() and name.isascii()) or name.startswith("_"):
        raise ValueError(f"{name!r} is no name for a field: use letters, digits and _, a letter first")
    if hasattr(BaseModel, name) or name.startswith("model_"):
        raise ValueError(f"the field name {name!r} is taken: choose another")
    return name


def build_model(output: Mapping[str, OutputField]) -> type[BaseModel]:
    """The model that an answer is validated with.

    Texts must be texts, and are stripped; numbers and truth values may be written as texts. An optional field that is
    null, blank, `null` or `none` is None (a list: empty). Its messages can be sent to a language model.
    """
    fields: dict[str, Any] = {name: _annotation(field) for name, field in output.items()}  # Any: pydantic's signature
    config = ConfigDict(extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)
    model: type[BaseModel] = create_model("Answer", __config__=config, **fields)
    return model


def build_schema(output: Mapping[str, OutputField]) -> dict[str, Any]:  # Any: a JSON schema
    """The JSON schema of an answer: all fields are listed as required, optional ones may be null.

    A text may have one character more than `build_model` allows: one that decoding has cut off there is refused. Limits
    in words are the model's alone.
    """
    return {
        "type": "object",
        "properties": {name: _property(field) for name, field in output.items()},
        "required": list(output),
        "additionalProperties": False,
    }


def _property(field: OutputField) -> dict[str, Any]:  # Any: a JSON schema
    schema = _value(field)
    if not field.required:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "description": field.description} if field.description else schema


def _value(field: OutputField) -> dict[str, Any]:  # Any: a JSON schema
    if field.type not in ("text", "list of text"):
        limits = {"minimum": field.minimum, "maximum": field.maximum}
        stated = {name: limit for name, limit in limits.items() if limit is not None}
        return {"type": _JSON_TYPES[field.type], **stated}
    fewest, most = field.characters
    texts: dict[str, Any] = {"type": "string"}  # Any: a JSON schema
    texts |= {"enum": list(field.choices)} if field.choices else {"minLength": fewest, "maxLength": most + 1}
    if field.type == "text":
        return texts
    return {"type": "array", "items": texts, "minItems": field.items[0], "maxItems": field.items[1]}


def _annotation(field: OutputField) -> tuple[Any, Any]:  # Any: a type form and its default
    if field.type == "text":
        return (Annotated[_or_none(StrictStr, field), AfterValidator(partial(_text, field))], _default(field, None))
    if field.type == "list of text":
        items = list[Annotated[StrictStr, AfterValidator(partial(_item, field))]]
        return (Annotated[_or_none(items, field), AfterValidator(partial(_items, field))], _default(field, []))
    if field.type == "boolean":
        return (_or_none(bool, field), _default(field, None))
    limits = Field(ge=field.minimum, le=field.maximum)
    number = Annotated[int, limits] if field.type == "integer" else Annotated[float, limits]
    return (Annotated[_or_none(number, field), BeforeValidator(_no_truth_value)], _default(field, None))


def _or_none(kind: Any, field: OutputField) -> Any:  # Any: a type form
    return kind if field.required else kind | None


def _default(field: OutputField, value: object) -> object:
    return ... if field.required else value


def _text(field: OutputField, value: str | None) -> str | None:
    if value is None or (not field.required and value.strip().lower() in _ABSENT):
        return None
    return _item(field, value)


def _items(field: OutputField, values: list[str] | None) -> list[str]:
    values = values or []
    _check_count(len(values), "items", *field.items)
    return values


def _item(field: OutputField, value: str) -> str:
    value = value.strip()
    if not value:
        raise PydanticCustomError("too_short", "it must not be blank")
    if field.choices and value not in field.choices:
        raise PydanticCustomError("wrong_choice", "it must be one of {choices}", {"choices": ", ".join(field.choices)})
    _check_count(len(value), "characters", *field.characters)
    if field.min_words is not None or field.max_words is not None:
        _check_count(len(value.split()), "words", field.min_words, field.max_words)
    return value


def _check_count(found: int, what: str, least: int | None, most: int | None) -> None:
    facts = {"what": what, "found": found, "least": least, "most": most}
    if least is not None and found < least:
        raise PydanticCustomError("too_short", "it must have at least {least} {what}, not {found}", facts)
    if most is not None and found > most:
        raise PydanticCustomError("too_long", "it must have at most {most} {what}, not {found}", facts)


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "it must be a number")
    return value
