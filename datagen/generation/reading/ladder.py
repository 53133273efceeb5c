"""From a model's raw answer to validated values, or the reason why there are none.

The rungs, in order: `strict` (the answer is the JSON object asked for), `unwrapped` (thoughts, fences and polite words
around it taken away), `balanced` (the first JSON object in the text that fits), `repaired` (broken JSON mended),
`salvaged` (what is whole of a broken or cut-off answer, if nothing required is missing). Every rung ends in the same
validation. Text is never run as code, and no text that was cut off ever becomes a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from datagen.generation.reading.broken_json import (
    Object,
    clean,
    find_dirt,
    json_objects,
    looks_cut,
    repaired_objects,
    unwrapped_texts,
    whole_members,
    without_thoughts,
)
from datagen.generation.reading.faults import Fault, fault_of_text, fault_of_values

Rung: TypeAlias = Literal["strict", "unwrapped", "balanced", "repaired", "salvaged"]

MAX_CHARACTERS = 1_000_000
"""Of a longer answer only so much is read, as if it had been cut off there."""
CUT = "length"
"""The finish reason of an answer that ran into its limit of tokens."""

_OK = "ok"
_STRICT = (("strict", _OK),)
_ROUNDS_OF_SALVAGE = 4


@dataclass(slots=True)
class Reading:
    """What an answer says."""

    values: Object | None
    """The validated fields, all of them; None when the answer cannot be used."""
    rung: Rung | None
    """Where it was read; None when it never was."""
    reason: str = ""
    """Why there are no values: `empty`, `truncated`, `refused`, `no_json`, `wrong_fields`, `wrong_types`, `too_short`,
    `too_long`, `wrong_choice`, `wrong_value`."""
    complaint: str = ""
    """What the model is told when it is asked again: names fields and limits, never repeats the answer."""
    steps: tuple[tuple[str, str], ...] = ()
    """Each rung that was tried and what came of it."""


def read_answer(text: str, model: type[BaseModel], finish_reason: str = "stop") -> Reading:
    """The values of an answer, or why there are none; never raises, whatever the text.

    Pairs of surrogates are joined; lone ones, U+FFFD and control characters (but for tabs and line breaks) are removed.

    Args:
        text: what the model wrote.
        model: what the fields must be; one that is not required has a default.
        finish_reason: `length` when the answer was cut off: then only what ended before the cut is taken.
    """
    if len(text) <= MAX_CHARACTERS:
        try:
            values = model.model_validate_json(text).model_dump()
        except ValueError:  # ValidationError, and texts that are no Unicode
            pass
        else:
            if find_dirt(values) is None:
                return Reading(values, "strict", steps=_STRICT)
    return _Climb(text, model, finish_reason).read()


class _Climb:
    """The way up the ladder for one answer that is not plainly what was asked for."""

    def __init__(self, text: str, model: type[BaseModel], finish_reason: str) -> None:
        self._text, self._model = text[:MAX_CHARACTERS], model
        self._too_long = len(text) > MAX_CHARACTERS
        self._body = without_thoughts(self._text)
        self._cut = self._too_long or finish_reason == CUT
        self._steps: list[tuple[str, str]] = []
        self._nearest: tuple[int, Object, Fault] | None = None
        """The object with the fewest errors so far: how many, the object, and what is wrong with it."""

    def read(self) -> Reading:
        for rung, objects in self._rungs():
            before = self._nearest
            values = self._first_that_fits(objects)
            if values is not None:
                self._steps.append((rung, _OK))
                return Reading(values, rung, steps=tuple(self._steps))
            found = self._nearest[2].reason if self._nearest and self._nearest is not before else "nothing"
            self._steps.append((rung, found))
        fault = self._fault()
        return Reading(None, None, fault.reason, fault.complaint, tuple(self._steps))

    def _rungs(self) -> Iterator[tuple[Rung, Iterator[Object]]]:
        yield "strict", _parsed(self._text, depth=1)
        yield "unwrapped", (found for text in unwrapped_texts(self._body) for found in _parsed(text, depth=2))
        yield "balanced", json_objects(self._body)
        if not self._cut:
            yield "repaired", (found for found, whole in self._repaired if whole)
        yield "salvaged", self._remains()

    def _remains(self) -> Iterator[Object]:
        """What can be kept of objects that did not fit, the best one first."""
        objects = [self._nearest[1]] if self._nearest else []
        if self._cut or looks_cut(self._body):
            objects += whole_members(self._body)
        if not self._cut:
            objects += [found for found, _ in self._repaired]
        for found in objects:
            if (kept := _salvage(found, self._model)) is not None:
                yield kept

    @cached_property
    def _repaired(self) -> list[tuple[Object, bool]]:
        return repaired_objects(self._body)

    def _first_that_fits(self, objects: Iterator[Object]) -> Object | None:
        try:
            for found in objects:
                if (values := self._validated(clean(found))) is not None:
                    return values
        except RecursionError:
            self._steps.append(("nesting", "too deep"))
        return None

    def _validated(self, found: Object) -> Object | None:
        try:
            return self._model.model_validate(found).model_dump()
        except ValidationError as exc:
            errors = exc.error_count()
            if self._nearest is None or errors < self._nearest[0]:
                self._nearest = (errors, found, fault_of_values(exc, self._model))
            return None

    def _fault(self) -> Fault:
        if self._too_long:
            return Fault("too_long", f"The answer has more than {MAX_CHARACTERS:,} characters.")
        if self._nearest:
            return self._nearest[2]
        return fault_of_text(self._text, self._body, cut=self._cut or looks_cut(self._body))


def _parsed(text: str, depth: int) -> Iterator[Object]:
    """The object that a text is; with a depth of 2 also the one that a JSON text inside a JSON text is."""
    for _ in range(depth):
        try:
            value = json.loads(text)
        except ValueError:
            return
        if isinstance(value, dict):
            yield value
        if not isinstance(value, str):
            return
        text = value


def _salvage(found: Object, model: type[BaseModel]) -> Object | None:
    """The object without what is wrong in it; None when something required is."""
    kept = _with_known_names(clean(found), model)
    for _ in range(_ROUNDS_OF_SALVAGE):
        try:
            model.model_validate(kept)
        except ValidationError as exc:
            if not _remove_faults(kept, exc, model):
                return None
        else:
            return kept
    return None


def _with_known_names(found: Object, model: type[BaseModel]) -> Object:
    """Fields under the names the model knows: `Query` and ` query` are `query` where that is missing."""
    plain = {str(key).strip().casefold().replace(" ", "_").replace("-", "_"): value for key, value in found.items()}
    return {name: found.get(name, plain.get(name)) for name in model.model_fields if name in found or name in plain}


def _remove_faults(kept: Object, exc: ValidationError, model: type[BaseModel]) -> bool:
    """Take out list items and optional fields that are wrong; False when what is wrong must be there."""
    items: dict[str, set[int]] = {}
    for error in exc.errors(include_url=False, include_context=False, include_input=False):
        name, *inner = error["loc"] or ("",)
        if inner and isinstance(inner[0], int) and isinstance(kept.get(str(name)), list):
            items.setdefault(str(name), set()).add(inner[0])
        elif name in kept and not model.model_fields[str(name)].is_required():
            del kept[str(name)]
        elif name not in items:
            return False
    for name, wrong in items.items():
        if name in kept:
            kept[name] = [item for number, item in enumerate(kept[name]) if number not in wrong]
    return True
