"""The slots of a recipe: named choices, drawn anew for each row, that make rows differ.

A draw depends on the run's seed, the slot's name, the row's id and the values with their weights; on no other row, and
not on the order in which values are written down.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from datagen.errors import ConfigError, unknown_choice
from datagen.generation.slots import uniform
from datagen.generation.yaml_files import read_text
from datagen.settings import Settings, Share

WORDING = "wording"
"""The slot that says which of a recipe's prompts a row gets."""
ABSENT = ""

Weights: TypeAlias = Mapping[str, float]


def as_text(value: object) -> object:
    """A plain value of a YAML file as text: 5 is "5".

    Raises:
        ValueError: it is a truth value: YAML reads a bare `no` as one.
    """
    if isinstance(value, bool):
        raise ValueError("`yes`, `no`, `on`, `off`, `true` and `false` need quotes around them")
    return str(value) if isinstance(value, int | float) else value


def as_texts(value: object) -> object:
    """One value, or a list of them, as a list of texts."""
    return [as_text(item) for item in (value if isinstance(value, list | tuple) else [value])]


def as_weights(value: object) -> object:
    """A list of values, or values with weights, as texts with weights.

    Raises:
        ValueError: a value is named twice.
    """
    if isinstance(value, dict):
        return {as_text(name): weight for name, weight in value.items()}
    if not isinstance(value, list):
        return value
    texts = [as_text(item) for item in value]
    twice = next((text for number, text in enumerate(texts) if text in texts[:number]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands in the list twice")
    return dict.fromkeys(texts, 1.0)


Text = Annotated[str, BeforeValidator(as_text)]
Condition = dict[str, Annotated[tuple[str, ...], BeforeValidator(as_texts)]]
"""Earlier slots and the values that they must have, all of them; "" is a slot that is absent."""


class Slot(Settings):
    """One choice."""

    values: Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(as_weights)] = Field(
        default={}, description="value to weight, or a list of values that are equally likely"
    )
    values_from: str = Field(
        default="", description="a file beside the recipe: .txt with a value a line, .csv with columns value and weight"
    )
    in_words: dict[Text, str] = Field(
        default={}, description="what a value means, for the prompts, where the value does not say it"
    )
    when: Condition = Field(default={}, description="drawn only where earlier slots have one of these values")
    otherwise: Text = Field(default=ABSENT, description="the value where `when` does not hold")
    share: Share = Field(default=1.0, description="share of the rows that have the slot at all; it is empty in others")

    @model_validator(mode="after")
    def _some_values(self) -> Self:
        if bool(self.values) == bool(self.values_from):
            raise ValueError("a slot needs either `values` or `values_from`")
        if self.values and not sum(self.values.values()):
            raise ValueError("at least one value needs a weight above 0")
        if unknown := [value for value in self.in_words if self.values and value not in {*self.values, self.otherwise}]:
            raise ValueError(f"`in_words` explains {unknown[0]!r}, which is none of the values")
        return self


@dataclass(frozen=True, slots=True)
class Choice:
    """Values ready to be drawn from, and the condition for it."""

    name: str
    values: tuple[str, ...]
    edges: tuple[float, ...]
    """Sums of the weights up to and with each value, in parts of their total."""
    when: tuple[tuple[str, frozenset[str]], ...] = ()
    otherwise: str = ABSENT
    share: float = 1.0

    @classmethod
    def of(cls, name: str, weights: Weights, slot: Slot | None = None) -> Choice:
        """A choice among the values whose weight is above 0, under the conditions of a slot."""
        ordered = sorted((value, weight) for value, weight in weights.items() if weight > 0)
        sums = list(accumulate(weight for _, weight in ordered))
        values, edges = tuple(value for value, _ in ordered), tuple(part / sums[-1] for part in sums)
        if slot is None:
            return cls(name, values, edges)
        when = tuple((earlier, frozenset(allowed)) for earlier, allowed in slot.when.items())
        return cls(name, values, edges, when, slot.otherwise, slot.share)

    def draw(self, seed: int, row_id: str, earlier: Mapping[str, str]) -> str:
        """The value of a row."""
        for slot, allowed in self.when:
            if earlier[slot] not in allowed:
                return self.otherwise
        if self.share < 1 and uniform(seed, "share", self.name, row_id) >= self.share:
            return ABSENT
        position = bisect_right(self.edges, uniform(seed, "slot", self.name, row_id))
        return self.values[min(position, len(self.values) - 1)]


def build_choices(slots: Mapping[str, Slot], folder: Path) -> tuple[Choice, ...]:
    """The slots in order, ready to be drawn.

    Raises:
        ConfigError: a condition names what is not there, or a file of values cannot be used.
    """
    choices: list[Choice] = []
    for name, slot in slots.items():
        weights = slot.values or _read_weights(folder, slot.values_from)
        check_condition(f"slots.{name}.when", slot.when, choices)
        choices.append(Choice.of(name, weights, slot))
    return tuple(choices)


def check_condition(where: str, when: Condition, choices: list[Choice] | tuple[Choice, ...]) -> None:
    """Refuse a condition on a slot or a value that is not there.

    Raises:
        ConfigError: naming those that are.
    """
    known = {choice.name: {*choice.values, choice.otherwise, ABSENT} for choice in choices}
    for name, allowed in when.items():
        if name not in known:
            raise unknown_choice(f"earlier slot in {where}", name, known or ["(there is none)"])
        for value in allowed:
            if value not in known[name]:
                raise unknown_choice(f"value of the slot {name} in {where}", value, filter(None, known[name]))


def _read_weights(folder: Path, name: str) -> Weights:
    path = folder / name
    if path.resolve().parent != folder.resolve() or path.suffix not in (".txt", ".csv"):
        raise ConfigError(f"values_from {name!r} must name a .txt or .csv file beside recipe.yaml in {folder}")
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    weights = _csv_weights(lines, path) if path.suffix == ".csv" else {line.strip(): 1.0 for line in lines}
    if not any(weight > 0 for weight in weights.values()):
        raise ConfigError(f"{path} holds no value: write one a line")
    return weights


def _csv_weights(lines: list[str], path: Path) -> dict[str, float]:
    reader = csv.DictReader(lines)
    if "value" not in (reader.fieldnames or ()):
        raise ConfigError(f"{path} must begin with the line `value,weight`, or `value` alone")
    weights: dict[str, float] = {}
    for row in reader:
        try:
            weight = float(row.get("weight") or 1)
        except ValueError as exc:
            raise ConfigError(f"{path}: the weight of {row['value']!r} is {row['weight']!r}, no number") from exc
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"{path}: the weight of {row['value']!r} is {weight}: it must be 0 or more")
        weights[(row["value"] or "").strip()] = weight
    return weights
