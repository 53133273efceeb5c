"""The prompts of a recipe as Jinja2 templates that cannot reach out, fail in the middle of a run, or differ by chance.

A passage is only ever the value of a variable: what looks like a template in it stays text. `fenced` puts it between
tags that it cannot close itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from datagen.errors import ConfigError, some_of
from datagen.generation.reading.broken_json import clean
from datagen.generation.slots import digest

Messages: TypeAlias = tuple[dict[str, str], ...]

ENDING = ".j2"

# Marks that chat templates give a meaning to: a space after the first letter takes it away.
_CONTROL = re.compile(r"<(?=\|)|<(?=/?(?:start|end)_of_turn>)|\[(?=/?INST\])")
_SAMPLE = re.compile(r"^Sample reply: (\{.*?)\s*#\}", re.DOTALL | re.MULTILINE)
_BY_CHANCE = ("random",)
_GLOBALS = ("range", "dict", "namespace")
_RENDER_ERRORS = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def defused(text: str) -> str:
    """A text in which no mark of a chat format is left that a model would obey."""
    plain = clean(text)
    return _CONTROL.sub(r"\g<0> ", plain) if "<" in plain or "[" in plain else plain


def fenced(text: str, tag: str) -> str:
    """A text on lines of its own between <tag> and </tag>.

    A text that holds such a tag itself gets one with a number that it cannot have guessed.
    """
    plain = defused(text)
    if "<" in plain and re.search(rf"<\s*/?\s*{re.escape(tag)}", plain, re.IGNORECASE):
        tag = f"{tag}-{digest(plain, size=4).hex()}"
    return f"<{tag}>\n{plain}\n</{tag}>"


class Templates:
    """The templates of one folder, compiled."""

    def __init__(self, folder: Path, sources: Mapping[str, str], variables: frozenset[str]) -> None:
        """Compile all of them.

        Args:
            folder: named in messages.
            sources: file name to text.
            variables: the names that will have a value.

        Raises:
            ConfigError: one is no template, or uses another variable.
        """
        self._folder, self._sources = folder, sources
        self._environment = _environment(sources)
        self._free = {name: self._variables(name, source) for name, source in sources.items()}
        for name, used in self._free.items():
            if unknown := used - variables:
                raise ConfigError(
                    f"{folder / name} uses {some_of(sorted(unknown))}, which will have no value: use one of "
                    f"{', '.join(sorted(variables))}"
                )
        self._compiled = {name: self._environment.get_template(name) for name in sources}

    def render(self, name: str, values: Mapping[str, str]) -> str:
        """The text of a template, without white space around it."""
        return self._compiled[name].render(values).strip()

    def try_out(self, name: str, values: Mapping[str, str]) -> None:
        """Render once to see that it can be done.

        Raises:
            ConfigError: it cannot.
        """
        try:
            self.render(name, values)
        except _RENDER_ERRORS as exc:
            raise ConfigError(f"{self._folder / name} fails with {_shown(values)}: {exc}") from exc

    def sample_reply(self, name: str) -> str:
        """The answer that the comment at the head of a template shows; empty when it shows none."""
        shown = _SAMPLE.search(self._sources[name])
        return " ".join(shown[1].split()) if shown else ""

    def is_constant(self, name: str) -> bool:
        """Whether a template says the same for all rows; one that includes others is taken to have their variables."""
        includes = any(self._environment.parse(self._sources[name]).find_all(jinja2.nodes.Include))
        return not self._free[name] and (not includes or not any(self._free.values()))

    def _variables(self, name: str, source: str) -> frozenset[str]:
        try:
            found = meta.find_undeclared_variables(self._environment.parse(source))
        except jinja2.TemplateSyntaxError as exc:
            raise ConfigError(f"{self._folder / name}, line {exc.lineno}: {exc.message}") from exc
        return frozenset(found) - frozenset(_GLOBALS)


class _Environment(ImmutableSandboxedEnvironment):
    """Templates of it hold their few globals as a plain dict: Jinja's chain of dicts is walked for every rendering."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:  # Any: as in jinja2
        """The globals of a template."""
        return {**self.globals, **(d or {})}


def _environment(sources: Mapping[str, str]) -> ImmutableSandboxedEnvironment:
    # No autoescape: a prompt is plain text, and `&amp;` in a passage would be read by the model as it stands.
    environment = _Environment(
        loader=jinja2.DictLoader(dict(sources)),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        keep_trailing_newline=True,  # of an included file; the ends of a prompt are stripped
    )
    environment.globals = {name: environment.globals[name] for name in _GLOBALS}
    environment.filters = {name: use for name, use in environment.filters.items() if name not in _BY_CHANCE}
    environment.filters["fenced"] = fenced
    return environment


def _shown(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value[:40]!r}" for name, value in values.items() if not name.endswith("_in_words"))
