"""A recipe says what a language model is asked for: a folder with `recipe.yaml` and Jinja2 prompts, no Python.

`load_recipe` checks all of it before anything is asked: unknown keys, variables that have no value, prompts that fail
for some value of a slot. What it gives is pure: a row's part and slots follow from seed, row id and what the row is
made of, its prompt from slots and variables.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

from datagen.errors import ConfigError, unknown_choice
from datagen.generation.extractive.parsing import Written
from datagen.generation.outcome import JUDGE, Source
from datagen.generation.recipes.answer_schema import build_model, build_schema
from datagen.generation.recipes.asides import JUDGE_OUTPUT, JUDGE_VARIABLES, Aside, Chooser, load_aside
from datagen.generation.recipes.checks import Check, find_quote
from datagen.generation.recipes.format import IN_WORDS, VARIABLES, Reads, RecipeFile, Wording
from datagen.generation.recipes.slot_choices import GROUP, NOTHING, WORDING, Choice, build_choices, check_condition
from datagen.generation.recipes.templates import ENDING, Messages, Templates
from datagen.generation.recipes.yaml_files import hash_files, read_settings, read_text

Slots: TypeAlias = Mapping[str, str]
Values: TypeAlias = Mapping[str, Any]  # Any: JSON

BRAINSTORM = "brainstorm"
"""The sub-folder of a recipe that thinks up the tasks which its parts read."""

_FILE = "recipe.yaml"
_SAME = "same"
_TRIAL_DRAWS = 16
_TRIAL_VALUES = 32


@dataclass(frozen=True, eq=False)
class Recipe:
    """A recipe, or one part of it, that can be used.

    A recipe with parts asks nothing itself: `for_row` gives the part that does.
    """

    name: str
    """Of a part: its name within the recipe, which is the group of the tasks that it reads."""
    folder: Path
    spec: RecipeFile
    choices: tuple[Choice, ...]
    """The slots in order, `wording` last."""
    templates: Templates
    hashed: str
    group: str = ""
    """The name of a part; empty when it is none."""
    parts: Mapping[str, Recipe] = field(default_factory=dict)
    brainstorm: Recipe | None = None

    @cached_property
    def reads(self) -> Reads:
        """What a row is made of; where some parts read tasks and others nothing: tasks."""
        kinds = {part.spec.reads for part in self.parts.values()} or {self.spec.reads}
        return "tasks" if "tasks" in kinds else next(iter(kinds))

    @cached_property
    def task_groups(self) -> tuple[str, ...]:
        """The groups of tasks that its rows need; a part that gets no rows needs none."""
        parts = [self.parts[name] for name, weight in self.spec.parts.items() if weight] if self.parts else [self]
        return tuple(part.name for part in parts if part.spec.reads == "tasks")

    @property
    def variable_names(self) -> tuple[str, ...]:
        """The variables that `variables` gives and `render` wants."""
        return VARIABLES[self.spec.reads]

    def for_row(self, seed: int, row_id: str) -> Recipe:
        """The part that a row belongs to, drawn by weight; the recipe itself when it has no parts."""
        return self.parts[self._part_choice.draw(seed, row_id, NOTHING)] if self.parts else self

    def draw(
        self, seed: int, row_id: str, variables: Mapping[str, str] = NOTHING, chosen: Slots = NOTHING
    ) -> dict[str, str]:
        """The slot values of a row, the names of its part and wording among them; an absent slot is empty.

        Args:
            seed: the run's.
            row_id: the row's.
            variables: from `variables`; a value that needs one is not drawn where it is empty or not told.
            chosen: slots that are not drawn; one is left out all the same where its `when` does not hold.
        """
        slots = {GROUP: self.group} if self.group else {}
        for choice in self.choices:
            if chosen and choice.name in chosen:
                slots[choice.name] = choice.settle(chosen[choice.name], slots, variables)
            else:
                slots[choice.name] = choice.draw(seed, row_id, slots, variables)
        return slots

    def variables(self, source: Source) -> dict[str, str]:
        """What the prompts know of a row: a value for each of `VARIABLES`, empty where there is none."""
        told = {**source.extra, "title": source.title or "", "text": source.text, "language": source.language or ""}
        return {name: told.get(name) or "" for name in self.variable_names}

    def render(self, slots: Slots, variables: Mapping[str, str]) -> Messages:
        """The prompt of a row: a system message, where the wording has one, and a user message.

        Args:
            slots: from `draw`.
            variables: from `variables`.
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

    @cached_property
    def chooser(self) -> Chooser | None:
        """What lets a model choose slots; None where the recipe has no such section."""
        homes = (self.folder, self.folder.parent)
        return Chooser.load(self.spec.choose, self.choices, homes, self.variable_names) if self.spec.choose else None

    @cached_property
    def judge(self) -> Aside:
        """What a judge is asked: the recipe's own question, that of the recipe above it, or the one for all."""
        homes = (self.folder, self.folder.parent, shipped_prompts())
        return load_aside(JUDGE, homes, JUDGE_VARIABLES, JUDGE_OUTPUT)

    @property
    def askers(self) -> tuple[Recipe, ...]:
        """Those that ask: its parts, or itself."""
        return tuple(self.parts.values()) or (self,)

    def fingerprint(self) -> str:
        """A hash of all files of the recipe, its parts and its brainstorm: YAML, prompts and lists of values."""
        return self.hashed

    def kind(self, slots: Slots) -> str:
        """What the report counts a row under."""
        return slots.get(self.spec.tally or GROUP, "")

    def links(self, slots: Slots) -> bool:
        """Whether the passage that follows the one read is a positive of the query, too."""
        return bool(self.spec.also_linked) and _holds(self.spec.also_linked, slots)

    def languages(self, source: Source, slots: Slots) -> tuple[str | None, str | None]:
        """Language of the query, and of what else is written; None where it is not known."""
        if not _holds(self.spec.language_when, slots):
            return source.language, source.language
        named = (self.spec.query_language, self.spec.passage_language)
        query, passage = (slots.get(name, "") if name else "" for name in named)
        return _language(query, source), _language(passage, source)

    def written(
        self, values: Values, source: Source, slots: Slots = NOTHING, faults: Sequence[Check] | None = None
    ) -> Written:
        """What a valid answer says, without the fields that a check leaves out.

        A span is given as it stands in the passage, which may differ from the answer in white space. The query is
        empty where the row adds to a query that is there, or lists tasks.
        """
        faults = self.optional_faults(values, source, slots) if faults is None else faults
        left_out = {check.field for check in faults}
        if not _holds(self.spec.negative_when, slots):
            left_out.add(self.spec.negative)
        role = {role: None if name in left_out else values.get(name) for role, name in self.spec.roles.items()}
        span = role.get("span")
        return Written(
            role.get("query") or "",
            role.get("positive"),
            find_quote(span, source.text) or span if isinstance(span, str) else None,
            role.get("negative"),
            self._instruction(source, slots),
            tuple(values[self.spec.tasks]) if self.spec.tasks else (),
        )

    def optional_faults(self, values: Values, source: Source, slots: Slots = NOTHING) -> list[Check]:
        """The checks for which `written` leaves a field out."""
        return list(self._broken(values, source, slots, leave_out=True))

    def check(self, values: Values, source: Source, slots: Slots = NOTHING) -> str:
        """Why a valid answer is not good enough: the reason of the first check that it breaks; empty when it is."""
        broken = next(self._broken(values, source, slots, leave_out=False), None)
        return broken.reason if broken else ""

    def explain(self, reason: str) -> str:
        """What a model is told about the check of this reason."""
        known = (check.explain() for check in self.spec.checks if check.reason == reason)
        return next(known, f"It was refused as {reason.replace('_', ' ')}")

    def try_out(self) -> None:
        """Render every wording with each value of each slot, and with empty variables.

        Raises:
            ConfigError: one cannot be rendered.
        """
        told = dict.fromkeys(self.variable_names, "text")
        draws = [self.draw(0, f"trial {number}", told) for number in range(_TRIAL_DRAWS)]
        for choice in self.choices:
            values = enumerate((*choice.values[:_TRIAL_VALUES], *choice.instead))
            draws += [{**draws[number % _TRIAL_DRAWS], choice.name: value} for number, value in values]
        files = {name for wording in self.spec.prompts for name in (wording.system, wording.user) if name}
        for slots, text in itertools.product(draws, ("text", "")):
            values_of_row = self._values(slots, dict.fromkeys(told, text))
            for name in sorted(files):
                self.templates.try_out(name, values_of_row)

    def _broken(self, values: Values, source: Source, slots: Slots, *, leave_out: bool) -> Iterator[Check]:
        for check in self._checks[leave_out]:
            value = values.get(check.field)
            if value is not None and check.applies(slots) and not check.passes(value, source, values, slots):
                yield check

    def _instruction(self, source: Source, slots: Slots) -> str | None:
        name = self.spec.instruction
        if not name:
            return None
        words = self._in_words.get(name, NOTHING)
        value = slots[name] if name in slots else self.variables(source).get(name, "")
        return words.get(value, value) or None

    def _values(self, slots: Slots, variables: Mapping[str, str]) -> dict[str, str]:
        values = {**variables, **slots}
        for name, words in self._in_words.items():
            values[name + IN_WORDS] = words.get(slots[name], slots[name])
        return values

    @cached_property
    def _checks(self) -> dict[bool, list[Check]]:
        return {kind: [check for check in self.spec.checks if check.leave_out is kind] for kind in (True, False)}

    @cached_property
    def _part_choice(self) -> Choice:
        return Choice.of(GROUP, self.spec.parts)

    @cached_property
    def _wordings(self) -> dict[str, Wording]:
        return {wording.label: wording for wording in self.spec.prompts}

    @cached_property
    def _in_words(self) -> dict[str, Mapping[str, str]]:
        return {choice.name: choice.in_words for choice in self.choices if choice.name != WORDING}

    @cached_property
    def _constants(self) -> dict[str, str]:
        names = {wording.system for wording in self.spec.prompts if wording.system}
        return {name: self.templates.render(name, {}) for name in names if self.templates.is_constant(name)}


def _language(word: str, source: Source) -> str | None:
    return source.language if word in ("", _SAME) else word


def _holds(condition: Mapping[str, Sequence[str]], slots: Slots) -> bool:
    return all(slots.get(name) in allowed for name, allowed in condition.items())


def list_recipes(folder: Path | None = None) -> dict[str, Path]:
    """The recipes there are, by name, and where each stands; one of the user's hides one of ours."""
    found: dict[str, Path] = {}
    for home in (shipped_prompts(), folder):
        if home is not None and home.is_dir():
            found |= {path.parent.name: path.parent for path in sorted(home.glob(f"*/{_FILE}"))}
    return dict(sorted(found.items()))


def load_recipe(name: str, folder: Path | None = None) -> Recipe:
    """A recipe with its parts and its brainstorm, looked for in the user's folder first.

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
    parts = {part: _load_below(home, part, part) for part in spec.parts}
    has_brainstorm = (home / BRAINSTORM / _FILE).is_file()
    brainstorm = _load_below(home, BRAINSTORM) if has_brainstorm else None
    recipe = _build(name, [home], spec)
    hashed = _hash_all([recipe, *parts.values(), *filter(None, [brainstorm])])
    recipe = replace(recipe, hashed=hashed, parts=parts, brainstorm=brainstorm)
    _check_reads(recipe)
    _check_brainstorm(recipe)
    _ = [asker.chooser for asker in recipe.askers]  # read now, with the rest
    return recipe


def shipped_prompts() -> Path:
    """The folder of the recipes that come with datagen: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "prompts"
    return inside if inside.is_dir() else package.parent / "prompts"


def _load_below(home: Path, below: str, group: str = "") -> Recipe:
    """A part or the brainstorm: prompts and lists of values that it lacks are those of the recipe above it."""
    path = home / below / _FILE
    spec = read_settings(path, RecipeFile)
    if spec.parts:
        raise ConfigError(f"{path}: a part cannot have parts of its own")
    if group and GROUP in spec.slots:
        raise ConfigError(f"{path}: a slot cannot be called {GROUP!r}: in a part that is the name of the part")
    return _build(below, [home / below, home], spec, group)


def _build(name: str, folders: Sequence[Path], spec: RecipeFile, group: str = "") -> Recipe:
    """A recipe whose files are in the first of the folders, and then in those after it."""
    home, hashed = folders[0], hash_files(folders[0], ENDING)
    if spec.parts:
        return Recipe(name, home, spec, (), Templates(home, {}, frozenset()), hashed)
    recipe = Recipe(name, home, spec, _choices(spec, folders), _templates(spec, folders, group), hashed, group)
    recipe.try_out()
    return recipe


def _check_reads(recipe: Recipe) -> None:
    kinds = {part.spec.reads for part in recipe.parts.values()}
    if len(kinds - {"nothing"} if "tasks" in kinds else kinds) > 1:
        raise ConfigError(
            f"{recipe.folder / _FILE}: the parts read {', '.join(sorted(kinds))}: all must read the same, but that "
            "some may read nothing where others read tasks"
        )


def _check_brainstorm(recipe: Recipe) -> None:
    """A brainstorm lists tasks for every part that reads them."""
    path, brainstorm = recipe.folder / BRAINSTORM / _FILE, recipe.brainstorm
    if brainstorm is None:
        if recipe.task_groups:
            raise ConfigError(
                f"{recipe.folder / _FILE}: {', '.join(recipe.task_groups)} reads tasks, so there must be a brainstorm: "
                f"{path}"
            )
        return
    if brainstorm.spec.reads != "nothing" or not brainstorm.spec.tasks:
        raise ConfigError(f"{path} must have `reads: nothing`, and `tasks` must name the output field that lists them")
    groups = next((choice.values for choice in brainstorm.choices if choice.name == GROUP), ())
    if not groups:
        raise ConfigError(f"{path} must have a slot {GROUP!r}: the part that its tasks are for")
    if missing := [name for name in recipe.task_groups if name not in groups]:
        raise ConfigError(f"{path}: the slot {GROUP!r} has no value {missing[0]!r}, which reads tasks")


def _choices(spec: RecipeFile, folders: Sequence[Path]) -> tuple[Choice, ...]:
    path = folders[0] / _FILE
    try:
        choices = build_choices(spec.slots, folders, VARIABLES[spec.reads])
        for name in ("also_linked", "negative_when", "language_when"):
            check_condition(name, getattr(spec, name), choices)
        for number, check in enumerate(spec.checks):
            check_condition(f"checks.{number}.when", check.when, choices)
            if check.bands:
                check_condition(f"checks.{number}.bands", {check.length_band_of: tuple(check.bands)}, choices)
    except ConfigError as exc:
        raise ConfigError(f"{path}: {exc}") from exc
    weights = {wording.label: wording.weight for wording in spec.prompts}
    if not sum(weights.values()):
        raise ConfigError(f"{path}: at least one of the prompts needs a weight above 0")
    return (*choices, Choice.of(WORDING, weights))


def _templates(spec: RecipeFile, folders: Sequence[Path], group: str) -> Templates:
    found = {path.name: path for folder in reversed(folders) for path in sorted(folder.glob(f"*{ENDING}"))}
    sources = {name: read_text(path) for name, path in found.items()}
    for wording in spec.prompts:
        for name in filter(None, (wording.system, wording.user)):
            if name not in sources:
                known = sources or ["(none)"]
                raise ConfigError(f"{folders[0] / _FILE}: {unknown_choice('prompt file', name, known)}")
    slots = (*spec.slots, *([GROUP] if group else []))
    names = {*VARIABLES[spec.reads], *slots, *(name + IN_WORDS for name in spec.slots), WORDING}
    return Templates(folders[0], sources, frozenset(names))


def _hash_all(recipes: Sequence[Recipe]) -> str:
    if len(recipes) == 1:
        return recipes[0].hashed
    return hashlib.sha256(" ".join(f"{recipe.name}:{recipe.hashed}" for recipe in recipes).encode()).hexdigest()[:24]
