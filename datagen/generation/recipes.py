"""A recipe says what a language model is asked for: a folder with `recipe.yaml` and Jinja2 prompts, no Python.

`load_recipe` checks all of it before anything is asked: unknown keys, variables that have no value, prompts that fail
for some value of a slot. What it gives is pure: a row's slots follow from seed and row id, its prompt from slots and
passage.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, model_validator

from datagen.errors import ConfigError, unknown_choice
from datagen.generation.answer_schema import OutputField, build_model, build_schema, check_name
from datagen.generation.broken_json import clean, without_thoughts
from datagen.generation.parsing import Written
from datagen.generation.recipe_checks import Check, find_quote
from datagen.generation.recipe_slots import WORDING, Choice, Slot, build_choices, check_condition
from datagen.generation.templates import ENDING, Templates
from datagen.generation.yaml_files import read_settings, read_text
from datagen.settings import Settings

Messages: TypeAlias = tuple[dict[str, str], ...]
Slots: TypeAlias = Mapping[str, str]
Values: TypeAlias = Mapping[str, Any]  # Any: JSON

VARIABLES: Mapping[str, tuple[str, ...]] = {"passages": ("title", "text", "language")}
"""What the prompts of a recipe know of what it reads."""
IN_WORDS = "_in_words"
"""`{{ SLOT_in_words }}` is what `in_words` says of the slot's value, or else the value."""
MAX_ECHO = 4000
"""Characters of an unusable answer that are sent back with the complaint."""

_FILE = "recipe.yaml"
_REASK = (
    "That answer cannot be used: {complaint}.\n"
    "Do the same task again. Answer with one JSON object in the form that was asked for, and with nothing else."
)
_TRIAL_DRAWS = 16
_TRIAL_VALUES = 32


class Wording(Settings):
    """One way to ask."""

    name: str = Field(default="", description="stored with the rows (default: the user prompt's file name)")
    system: str = Field(default="", description="template of the system message; none when empty")
    user: str = Field(description="template of the user message")
    weight: Annotated[float, Field(ge=0)] = 1.0

    @property
    def label(self) -> str:
        """The value of the slot `wording`."""
        return self.name or self.user.removesuffix(ENDING)


class RecipeFile(Settings):
    """What `recipe.yaml` holds."""

    description: str = Field(min_length=1, description="one line for `datagen recipes`")
    reads: Literal["passages"] = Field(default="passages", description="what a row is made of")
    slots: dict[str, Slot] = Field(default={}, description="choices drawn for each row, in this order")
    prompts: tuple[Wording, ...] = Field(min_length=1, description="wordings; one is drawn for each row")
    output: dict[str, OutputField] = Field(min_length=1, description="the fields of an answer")
    query: str = Field(default="query", description="the output field that is the query")
    positive: str = Field(default="", description="the field that is the positive, where it is not the passage")
    negative: str = Field(default="", description="the field that is a written hard negative")
    span: str = Field(default="", description="the field that quotes the passage")
    tally: str = Field(default="", description="the slot that the report counts by")
    checks: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for name in (*self.slots, *self.output):
            check_name(name)
        taken = {WORDING, *VARIABLES[self.reads]}
        if wrong := [name for name in self.slots if name in taken or name.endswith(IN_WORDS)]:
            raise ValueError(f"a slot cannot be called {wrong[0]!r}: that name has a meaning of its own")
        labels = [wording.label for wording in self.prompts]
        if len(set(labels)) < len(labels):
            raise ValueError(f"two of the prompts have the same name: {', '.join(labels)}; give each its own `name`")
        return self

    @model_validator(mode="after")
    def _fields_exist(self) -> Self:
        named = {"query": self.query, "positive": self.positive, "negative": self.negative, "span": self.span}
        named |= {f"checks.{number}.field": check.field for number, check in enumerate(self.checks)}
        for where, name in named.items():
            if name and name not in self.output:
                raise ValueError(f"{where} is {name!r}, but the output has {', '.join(self.output)}")
        if not self.output[self.query].required or self.output[self.query].type != "text":
            raise ValueError(f"the query field {self.query!r} must be a text that is required")
        if self.tally and self.tally not in {*self.slots, WORDING}:
            raise ValueError(f"tally is {self.tally!r}, but the slots are {', '.join([*self.slots, WORDING])}")
        for check in self.checks:
            if check.leave_out and self.output[check.field].required:
                raise ValueError(f"the check {check.reason!r} leaves {check.field!r} out, but that field is required")
        return self


@dataclass(frozen=True, eq=False)
class Recipe:
    """A recipe that can be used."""

    name: str
    folder: Path
    spec: RecipeFile
    choices: tuple[Choice, ...]
    """The slots in order, `wording` last."""
    templates: Templates
    hashed: str

    def draw(self, seed: int, row_id: str) -> dict[str, str]:
        """The slot values of a row, the name of its wording among them; an absent slot is empty."""
        slots: dict[str, str] = {}
        for choice in self.choices:
            slots[choice.name] = choice.draw(seed, row_id, slots)
        return slots

    def render(self, slots: Slots, variables: Mapping[str, str]) -> Messages:
        """The prompt of a row: a system message, where the wording has one, and a user message.

        Args:
            slots: from `draw`.
            variables: a value for each of `VARIABLES`.
        """
        wording = self._wordings[slots[WORDING]]
        values = self._values(slots, variables)
        user = {"role": "user", "content": self.templates.render(wording.user, values)}
        if not wording.system:
            return (user,)
        constant = self._constants.get(wording.system)
        system = self.templates.render(wording.system, values) if constant is None else constant
        return ({"role": "system", "content": system}, user)

    @cached_property
    def answer_model(self) -> type[BaseModel]:
        """Validates an answer."""
        return build_model(self.spec.output)

    @cached_property
    def schema(self) -> dict[str, Any]:  # Any: a JSON schema
        """The JSON schema of an answer, for structured output."""
        return build_schema(self.spec.output)

    def fingerprint(self) -> str:
        """A hash of all files of the recipe: its YAML, prompts and lists of values."""
        return self.hashed

    def kind(self, slots: Slots) -> str:
        """What the report counts a row under."""
        return slots.get(self.spec.tally, "") if self.spec.tally else ""

    def complain(self, previous_text: str, complaint: str) -> Messages:
        """The answer that could not be used, and the request for another one: to be sent after the prompt."""
        answer = clean(without_thoughts(previous_text[: 16 * MAX_ECHO])).strip()
        if len(answer) > MAX_ECHO:
            answer = answer[:MAX_ECHO] + " …"
        return (
            {"role": "assistant", "content": answer or "(no answer)"},
            {"role": "user", "content": _REASK.format(complaint=complaint.rstrip(". "))},
        )

    def written(self, values: Values, passage: str, slots: Slots | None = None) -> Written:
        """What a valid answer says, without the fields that a check leaves out.

        A span is given as it stands in the passage, which may differ from the answer in white space.
        """
        left_out = {check.field for check in self._broken(values, passage, slots, leave_out=True)}
        kept = {name: None if name in left_out else value for name, value in values.items()}
        spec = self.spec
        span = kept.get(spec.span) if spec.span else None
        if isinstance(span, str):
            span = find_quote(span, passage) or span
        return Written(str(kept[spec.query]), kept.get(spec.positive) if spec.positive else None, span)

    def left_out(self, values: Values, passage: str, slots: Slots | None = None) -> tuple[str, ...]:
        """The reasons of the checks for which `written` leaves a field out, to be counted."""
        return tuple(check.reason for check in self._broken(values, passage, slots, leave_out=True))

    def check(self, values: Values, passage: str, slots: Slots | None = None) -> str:
        """Why a valid answer is not good enough: the reason of the first check that it breaks; empty when it is."""
        broken = self._broken(values, passage, slots, leave_out=False)
        return broken[0].reason if broken else ""

    def explain(self, reason: str) -> str:
        """What a model is told about the check of this reason."""
        known = (check.explain() for check in self.spec.checks if check.reason == reason)
        return next(known, f"It was refused as {reason.replace('_', ' ')}")

    def _broken(self, values: Values, passage: str, slots: Slots | None, *, leave_out: bool) -> list[Check]:
        return [
            check
            for check in self.spec.checks
            if check.leave_out is leave_out
            and check.applies(slots or {})
            and not check.passes(values.get(check.field), passage)
        ]

    def try_out(self) -> None:
        """Render every wording with each value of each slot, and without title and language.

        Raises:
            ConfigError: one cannot be rendered.
        """
        draws = [self.draw(0, f"trial {number}") for number in range(_TRIAL_DRAWS)]
        for choice in self.choices:
            values = (*choice.values[:_TRIAL_VALUES], choice.otherwise)
            draws += [{**draws[number % _TRIAL_DRAWS], choice.name: value} for number, value in enumerate(values)]
        files = {name for wording in self.spec.prompts for name in (wording.system, wording.user) if name}
        for slots, text in itertools.product(draws, ("text", "")):
            values_of_row = self._values(slots, dict.fromkeys(VARIABLES[self.spec.reads], text))
            for name in sorted(files):
                self.templates.try_out(name, values_of_row)

    def _values(self, slots: Slots, variables: Mapping[str, str]) -> dict[str, str]:
        values = {**variables, **slots}
        for name, words in self._in_words.items():
            values[name + IN_WORDS] = words.get(slots[name], slots[name])
        return values

    @cached_property
    def _wordings(self) -> dict[str, Wording]:
        return {wording.label: wording for wording in self.spec.prompts}

    @cached_property
    def _in_words(self) -> dict[str, dict[str, str]]:
        return {name: slot.in_words for name, slot in self.spec.slots.items()}

    @cached_property
    def _constants(self) -> dict[str, str]:
        names = {wording.system for wording in self.spec.prompts if wording.system}
        return {name: self.templates.render(name, {}) for name in names if self.templates.is_constant(name)}


def list_recipes(folder: Path | None = None) -> dict[str, Path]:
    """The recipes there are, by name, and where each stands; one of the user's hides one of ours."""
    found: dict[str, Path] = {}
    for home in (shipped_prompts(), folder):
        if home is not None and home.is_dir():
            found |= {path.parent.name: path.parent for path in sorted(home.glob(f"*/{_FILE}"))}
    return dict(sorted(found.items()))


def load_recipe(name: str, folder: Path | None = None) -> Recipe:
    """A recipe, looked for in the user's folder first.

    Raises:
        ConfigError: there is none of this name, or it cannot be used; the message names the file and what is wrong.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"the folder of recipes {str(folder)!r} does not exist: it must hold folders with a {_FILE}")
    known = list_recipes(folder)
    if name not in known:
        raise unknown_choice("recipe", name, known)
    home = known[name]
    spec = read_settings(home / _FILE, RecipeFile)
    recipe = Recipe(name, home, spec, _choices(spec, home), _templates(spec, home), _hash(home))
    recipe.try_out()
    return recipe


def shipped_prompts() -> Path:
    """The folder of the recipes that come with datagen: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "prompts"
    return inside if inside.is_dir() else package.parent / "prompts"


def _choices(spec: RecipeFile, home: Path) -> tuple[Choice, ...]:
    try:
        choices = build_choices(spec.slots, home)
        for number, check in enumerate(spec.checks):
            check_condition(f"checks.{number}.when", check.when, choices)
    except ConfigError as exc:
        raise ConfigError(f"{home / _FILE}: {exc}") from exc
    weights = {wording.label: wording.weight for wording in spec.prompts}
    if not sum(weights.values()):
        raise ConfigError(f"{home / _FILE}: at least one of the prompts needs a weight above 0")
    return (*choices, Choice.of(WORDING, weights))


def _templates(spec: RecipeFile, home: Path) -> Templates:
    sources = {path.name: read_text(path) for path in sorted(home.glob(f"*{ENDING}"))}
    for wording in spec.prompts:
        for name in filter(None, (wording.system, wording.user)):
            if name not in sources:
                raise ConfigError(f"{home / _FILE}: {unknown_choice('prompt file', name, sources or ['(none)'])}")
    names = {*VARIABLES[spec.reads], *spec.slots, *(name + IN_WORDS for name in spec.slots), WORDING}
    return Templates(home, sources, frozenset(names))


def _hash(home: Path) -> str:
    result = hashlib.sha256()
    for path in sorted(home.iterdir()):
        if path.is_file() and path.suffix in (".yaml", ".txt", ".csv", ENDING):
            content = path.read_bytes()
            result.update(f"{path.name}:{len(content)}:".encode() + content)
    return result.hexdigest()[:24]
