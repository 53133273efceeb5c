"""The slots of a recipe: named choices, drawn anew for each row, that make rows differ.

A draw depends on the run's seed, the slot's name, the row's id, the values with their weights, and what the slot is
told to look at; on no other row, and not on the order in which values are written down.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, NamedTuple, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from datagen.errors import ConfigError, unknown_choice
from datagen.generation.recipes.yaml_files import read_text
from datagen.generation.slots import uniform, weighted_order
from datagen.settings.base import Settings, Share

WORDING = "wording"
"""The slot that says which of a recipe's prompts a row gets."""
GROUP = "group"
"""The slot that says which part of a recipe a row belongs to, and which group of tasks a brainstorm is for."""
ABSENT = ""
_FEW = 32
"""Draws for each value that is to be found; a list of fewer values is put in order as a whole."""
NOTHING: Mapping[str, str] = MappingProxyType({})

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


def as_condition(value: object) -> object:
    """`SLOT=VALUE` as a condition; anything else as it is."""
    if not isinstance(value, str) or not value:
        return value or {}
    slot, _, wanted = value.partition("=")
    return {slot.strip(): wanted.strip()}


Text = Annotated[str, BeforeValidator(as_text)]
Condition = dict[str, Annotated[tuple[str, ...], BeforeValidator(as_texts)]]
"""Earlier slots and the values that they must have, all of them; "" is a slot that is absent."""


class Slot(Settings):
    """One choice."""

    values: Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(as_weights)] = Field(
        default={}, description="value to weight, or a list of values that are equally likely"
    )
    values_from: str = Field(
        default="",
        description="a file beside the recipe, or beside the recipe that it is a part of: .txt with a value a line, "
        ".csv with columns value, weight and, if need be, in_words",
    )
    in_words: dict[Text, str] = Field(
        default={}, description="what a value means, for the prompts, where the value does not say it"
    )
    when: Condition = Field(default={}, description="drawn only where earlier slots have one of these values")
    otherwise: Text = Field(default=ABSENT, description="the value where `when` does not hold")
    share: Share = Field(default=1.0, description="share of the rows that have the slot at all; it is empty in others")
    needs: Text | dict[Text, str] = Field(
        default={},
        description="the variable that the slot needs, or value to variable: drawn only where that is not empty",
    )
    unlike: str = Field(default="", description="an earlier slot whose value is not drawn again")

    @model_validator(mode="after")
    def _some_values(self) -> Self:
        if bool(self.values) == bool(self.values_from):
            raise ValueError("a slot needs either `values` or `values_from`")
        if self.values and not sum(self.values.values()):
            raise ValueError("at least one value needs a weight above 0")
        if unknown := [value for value in self.in_words if self.values and value not in {*self.values, self.otherwise}]:
            raise ValueError(f"`in_words` explains {unknown[0]!r}, which is none of the values")
        if self.values and not isinstance(self.needs, str) and (strange := set(self.needs) - set(self.values)):
            raise ValueError(f"`needs` names {min(strange)!r}, which is none of the values")
        return self


class Value(NamedTuple):
    """What a list of values says of one of them."""

    weight: float
    in_words: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Values ready to be drawn from, and the conditions for it."""

    name: str
    values: tuple[str, ...]
    edges: tuple[float, ...]
    """Sums of the weights up to and with each value, in parts of their total."""
    in_words: Mapping[str, str] = field(default_factory=dict)
    when: tuple[tuple[str, frozenset[str]], ...] = ()
    otherwise: str = ABSENT
    share: float = 1.0
    needed: str = ""
    """A variable that must not be empty for any value to be drawn."""
    needs: tuple[tuple[str, str], ...] = ()
    """Values, and the variables that must not be empty for them."""
    unlike: str = ""

    @classmethod
    def of(cls, name: str, weights: Weights, slot: Slot | None = None, in_words: Mapping[str, str] = NOTHING) -> Choice:
        """A choice among the values whose weight is above 0, under the conditions of a slot."""
        ordered = sorted((value, weight) for value, weight in weights.items() if weight > 0)
        sums = list(accumulate(weight for _, weight in ordered))
        values, edges = tuple(value for value, _ in ordered), tuple(part / sums[-1] for part in sums)
        if slot is None:
            return cls(name, values, edges)
        return cls(
            name,
            values,
            edges,
            {**in_words, **slot.in_words},
            tuple((earlier, frozenset(allowed)) for earlier, allowed in slot.when.items()),
            slot.otherwise,
            slot.share,
            slot.needs if isinstance(slot.needs, str) else "",
            () if isinstance(slot.needs, str) else tuple(slot.needs.items()),
            slot.unlike,
        )

    @property
    def weights(self) -> dict[str, float]:
        """The part of the total that each value has."""
        starts = (0.0, *self.edges)
        return {value: end - start for value, start, end in zip(self.values, starts, self.edges, strict=False)}

    @property
    def instead(self) -> tuple[str, ...]:
        """What rows may have that get none of the values."""
        conditional = bool(self.when or self.needed or self.needs or self.unlike)
        return (*([self.otherwise] if conditional else []), *([ABSENT] if self.share < 1 else []))

    def draw(self, seed: int, row_id: str, earlier: Mapping[str, str], variables: Mapping[str, str] = NOTHING) -> str:
        """The value of a row.

        Args:
            seed: the run's.
            row_id: the row's.
            earlier: the values of the slots before this one.
            variables: what the row is made of; what is not told counts as empty.
        """
        if not self._applies(earlier, variables):
            return self.otherwise
        if self.share < 1 and uniform(seed, "share", self.name, row_id) >= self.share:
            return ABSENT
        position = bisect_right(self.edges, uniform(seed, "slot", self.name, row_id))
        value = self.values[min(position, len(self.values) - 1)]
        if not (self.needs or self.unlike):
            return value
        barred = {value for value, variable in self.needs if not variables.get(variable)}
        if self.unlike:
            barred.add(earlier[self.unlike])
        return value if value not in barred else self._draw_other(seed, row_id, barred)

    def settle(self, value: str, earlier: Mapping[str, str], variables: Mapping[str, str] = NOTHING) -> str:
        """What a row has that was to have this value: the value, or what the conditions put in its place."""
        return value if self._applies(earlier, variables) else self.otherwise

    def sample(
        self, count: int | None, seed: int, row_id: str, variables: Mapping[str, str] = NOTHING
    ) -> tuple[str, ...]:
        """Different values that a row may have, in the order of drawing by weight without putting back.

        Args:
            count: how many; None for all. There are fewer where few have nearly all of the weight.
            seed: the run's.
            row_id: the row's.
            variables: as for `draw`; `when`, `share` and `unlike` are not looked at.
        """
        barred = {value for value, variable in self.needs if not variables.get(variable)}
        if count is None or len(self.values) <= _FEW * count:
            left = {value: weight for value, weight in self.weights.items() if value not in barred}
            return weighted_order(left, seed, "offer", self.name, row_id)[:count]
        found: dict[str, None] = {}
        for turn in range(_FEW * count):  # a list of 200,000 personas is not gone through for each row
            place = bisect_right(self.edges, uniform(seed, "offer", self.name, row_id, turn))
            value = self.values[min(place, len(self.values) - 1)]
            if value not in barred and len(found) < count:
                found.setdefault(value)
        return tuple(found)

    def _applies(self, earlier: Mapping[str, str], variables: Mapping[str, str]) -> bool:
        for slot, allowed in self.when:
            if earlier[slot] not in allowed:
                return False
        return not self.needed or bool(variables.get(self.needed))

    def _draw_other(self, seed: int, row_id: str, barred: set[str]) -> str:
        """One of the values that are left, by their weights; the value for no value where none is."""
        left = [number for number, value in enumerate(self.values) if value not in barred]
        if not left:
            return self.otherwise
        edges = (*self.edges, 0.0)  # the value before the first one is the last one: it ends at 0
        sums = list(accumulate(edges[number] - edges[number - 1] for number in left))
        position = bisect_right(sums, uniform(seed, "other", self.name, row_id) * sums[-1])
        return self.values[left[min(position, len(left) - 1)]]


def build_choices(
    slots: Mapping[str, Slot], folders: Sequence[Path], variables: Iterable[str] = ()
) -> tuple[Choice, ...]:
    """The slots in order, ready to be drawn.

    Args:
        slots: as the recipe states them.
        folders: where files of values are looked for, one after the other.
        variables: what a slot may need.

    Raises:
        ConfigError: a condition names what is not there, or a file of values cannot be used.
    """
    choices: list[Choice] = []
    known = tuple(variables)
    for name, slot in slots.items():
        listed = _read_values(folders, slot.values_from) if slot.values_from else {}
        weights = slot.values or {value: facts.weight for value, facts in listed.items()}
        in_words = {value: facts.in_words for value, facts in listed.items() if facts.in_words}
        check_condition(f"slots.{name}.when", slot.when, choices)
        _check_needs(name, slot, known, choices)
        choices.append(Choice.of(name, weights, slot, in_words))
    return tuple(choices)


def check_condition(where: str, when: Condition, choices: Sequence[Choice]) -> None:
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


def _check_needs(name: str, slot: Slot, variables: Sequence[str], choices: Sequence[Choice]) -> None:
    needs = slot.needs
    for variable in filter(None, [needs] if isinstance(needs, str) else needs.values()):
        if variable not in variables:
            raise unknown_choice(f"variable in slots.{name}.needs", variable, variables or ["(there is none)"])
    if slot.unlike and slot.unlike not in {choice.name for choice in choices}:
        raise unknown_choice(
            f"earlier slot in slots.{name}.unlike", slot.unlike, [choice.name for choice in choices] or ["(none)"]
        )


def _read_values(folders: Sequence[Path], name: str) -> dict[str, Value]:
    if Path(name).name != name or Path(name).suffix not in (".txt", ".csv"):
        raise ConfigError(f"values_from {name!r} must name a .txt or .csv file beside recipe.yaml in {folders[0]}")
    path = next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    values = _csv_values(lines, path) if path.suffix == ".csv" else {line.strip(): Value(1.0) for line in lines}
    if not any(value.weight > 0 for value in values.values()):
        raise ConfigError(f"{path} holds no value: write one a line")
    return values


def _csv_values(lines: list[str], path: Path) -> dict[str, Value]:
    reader = csv.DictReader(lines)
    if "value" not in (reader.fieldnames or ()):
        raise ConfigError(f"{path} must begin with the line `value,weight`, or `value` alone")
    values: dict[str, Value] = {}
    for row in reader:
        try:
            weight = float(row.get("weight") or 1)
        except ValueError as exc:
            raise ConfigError(f"{path}: the weight of {row['value']!r} is {row['weight']!r}, no number") from exc
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"{path}: the weight of {row['value']!r} is {weight}: it must be 0 or more")
        values[(row["value"] or "").strip()] = Value(weight, (row.get("in_words") or "").strip())
    return values
