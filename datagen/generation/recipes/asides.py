"""Questions of a recipe beside the one that writes its rows, each a sub-folder with `request.j2` and `system.j2`.

`choose/` asks which slots suit a row, before it is written; `judge/` whether a passage answers what was written. Both
are asked on request alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from pydantic import BaseModel

from datagen.errors import ConfigError
from datagen.generation.outcome import CHOOSE
from datagen.generation.recipes.answer_schema import OutputField, build_model, build_schema
from datagen.generation.recipes.format import Choosing
from datagen.generation.recipes.slot_choices import Choice
from datagen.generation.recipes.templates import ENDING, Messages, Templates
from datagen.generation.recipes.yaml_files import read_text
from datagen.generation.slots import shuffled

OPTIONS, OFFERED = "_options", "_offered"
"""`{{ SLOT_options }}` lists what may be chosen, one a line: its letter or word, a colon, what it means;
`{{ SLOT_offered }}` names the values, with commas between them."""
JUDGE_VARIABLES = ("query", "instruction", "title", "passage", "linked_text")
VERDICTS = YES, NO, PARTLY = "yes", "no", "partly"
JUDGE_OUTPUT = {
    "reason": OutputField(required=False, description="in one sentence, why", max_characters=2000),
    "verdict": OutputField(description="whether the passage answers the query", choices=VERDICTS),
}

_REQUEST, _SYSTEM = f"request{ENDING}", f"system{ENDING}"


@dataclass(frozen=True, eq=False)
class Aside:
    """One such question: its templates, and the fields of its answer."""

    folder: Path
    templates: Templates
    files: tuple[str, ...]
    output: Mapping[str, OutputField]
    hashed: str
    """Hash of the templates."""

    @cached_property
    def answer_model(self) -> type[BaseModel]:
        """Validates an answer."""
        return build_model(self.output)

    @cached_property
    def schema(self) -> dict[str, Any]:  # Any: a JSON schema
        """The JSON schema of an answer; one for all rows, which a server then has to read once."""
        return build_schema(self.output)

    def render(self, values: Mapping[str, str]) -> Messages:
        """The question: a system message, where there is one, and a user message."""
        user = {"role": "user", "content": self.templates.render(_REQUEST, values)}
        if _SYSTEM not in self.files:
            return (user,)
        return ({"role": "system", "content": self.templates.render(_SYSTEM, values)}, user)


def load_aside(kind: str, homes: Sequence[Path], variables: Iterable[str], output: Mapping[str, OutputField]) -> Aside:
    """A question, from the first of the folders that has a sub-folder for it.

    Raises:
        ConfigError: none has, or its templates cannot be used.
    """
    folder = next((home / kind for home in homes if (home / kind / _REQUEST).is_file()), None)
    if folder is None:
        raise ConfigError(f"{homes[0] / kind / _REQUEST} is missing: it is the question that `{kind}` asks")
    sources = {path.name: read_text(path) for path in sorted(folder.glob(f"*{ENDING}"))}
    names = frozenset(variables)
    templates = Templates(folder, sources, names)
    files = tuple(name for name in (_SYSTEM, _REQUEST) if name in sources)
    for name in files:
        for text in ("text", ""):
            templates.try_out(name, dict.fromkeys(sorted(names), text))
    hashed = hashlib.sha256("".join(f"{name}:{len(text)}:{text}" for name, text in sources.items()).encode())
    return Aside(folder, templates, files, output, hashed.hexdigest()[:24])


@dataclass(frozen=True, eq=False)
class Chooser:
    """Lets a language model choose some slots of a row."""

    spec: Choosing
    choices: tuple[Choice, ...]
    """Of the slots that are chosen, in their order."""
    aside: Aside

    @classmethod
    def load(
        cls, spec: Choosing, choices: Sequence[Choice], homes: Sequence[Path], variables: Sequence[str]
    ) -> Chooser:
        """The chooser of a recipe.

        Raises:
            ConfigError: its templates cannot be used.
        """
        chosen = tuple(choice for choice in choices if choice.name in spec.slots)
        output = {choice.name: _field(choice, spec.offered.get(choice.name)) for choice in chosen}
        names = [*variables, *(choice.name + ending for choice in chosen for ending in (OPTIONS, OFFERED))]
        return cls(spec, chosen, load_aside(CHOOSE, homes, names, output))

    @property
    def nearest(self) -> tuple[tuple[str, ...], int]:
        """The values of which those nearest to a passage are offered, and how many; none where no slot is so."""
        name = self.spec.nearest
        return next(
            ((choice.values, self.spec.offered[name]) for choice in self.choices if choice.name == name), ((), 0)
        )

    def offer(
        self, seed: int, row_id: str, variables: Mapping[str, str], nearest: Sequence[str] = ()
    ) -> dict[str, tuple[str, ...]]:
        """What a row may take of each slot, in the order in which it is shown: one that shows no rank.

        Args:
            seed: the run's.
            row_id: the row's.
            variables: what the row is made of; a value that needs one which is empty is not offered.
            nearest: values that suit the passage, where somebody knows them.
        """
        shown: dict[str, tuple[str, ...]] = {}
        for choice in self.choices:
            if nearest and choice.name == self.spec.nearest:
                order = shuffled(len(nearest), seed, "offer", choice.name, row_id)
                shown[choice.name] = tuple(nearest[place] for place in order)
            else:
                shown[choice.name] = choice.sample(self.spec.offered.get(choice.name), seed, row_id, variables)
        return shown

    def render(self, offers: Mapping[str, Sequence[str]], variables: Mapping[str, str]) -> Messages:
        """The question about a row."""
        lists = {choice.name + OPTIONS: self._listed(choice, offers[choice.name]) for choice in self.choices}
        names = {name + OFFERED: ", ".join(values) for name, values in offers.items()}
        return self.aside.render({**variables, **lists, **names})

    def read(self, values: Mapping[str, object], offers: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """The slots that a valid answer takes; without those for which it names what was not offered."""
        taken: dict[str, str] = {}
        for name, offered in offers.items():
            labels = self._labels(name, offered)
            if values[name] in labels:
                taken[name] = offered[labels.index(str(values[name]))]
        return taken

    def explain(self, name: str, offered: Sequence[str]) -> str:
        """What a model is told that took what was not offered."""
        return f"`{name}` must be one of {', '.join(self._labels(name, offered))}"

    def _labels(self, name: str, offered: Sequence[str]) -> Sequence[str]:
        return ascii_uppercase[: len(offered)] if name in self.spec.offered else offered

    def _listed(self, choice: Choice, offered: Sequence[str]) -> str:
        labels = self._labels(choice.name, offered)
        return "\n".join(
            f"{label}: {choice.in_words.get(value, value)}" for label, value in zip(labels, offered, strict=True)
        )


def _field(choice: Choice, offered: int | None) -> OutputField:
    """What a slot is chosen by: a letter, where only some of its values are shown, else the value itself."""
    return OutputField(choices=tuple(ascii_uppercase[:offered]) if offered else choice.values)
