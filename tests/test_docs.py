"""The command lines in the documents: each command, option, setting, file and make target in them exists."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from datagen.cli import app
from datagen.config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(ROOT.glob("*.md"))
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group, whichever click it is from

_BLOCK = re.compile(r"^```(?:console|bash|sh|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:datagen|make) [^`\n]+)`")
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w`-])`(--[a-z][a-z-]*)")


def _command_lines(page: Path) -> Iterator[str]:
    """Lines that start with `datagen` or `make`, after a `$ ` or not, with their continuation lines."""
    text = page.read_text(encoding="utf-8")
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.partition(" #")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/")
            if command.startswith(("datagen ", "make ")):
                yield command
    yield from _INLINE.findall(text)


LINES = [(page.name, line) for page in PAGES for line in _command_lines(page)]
DATAGEN = [pytest.param(line, id=f"{page}: {line[:60]}") for page, line in LINES if line.startswith("datagen ")]
MAKE = [pytest.param(line, id=f"{page}: {line[:60]}") for page, line in LINES if line.startswith("make ")]


@pytest.mark.parametrize("line", DATAGEN)
def test_datagen_line_names_what_exists(line: str) -> None:
    words = shlex.split(line)[1:]
    if words[0].startswith("-"):
        assert words[0] in {"--help", "--version"}
        return
    command = COMMANDS[words[0]]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("line", DATAGEN)
def test_datagen_line_names_files_that_are_there(line: str) -> None:
    named = [word for word in shlex.split(line) if word.startswith("pipelines/")]
    assert [word for word in named if not (ROOT / word).is_file() and "X" not in word] == []


@pytest.mark.parametrize("line", DATAGEN)
def test_datagen_line_sets_settings_that_exist(line: str) -> None:
    words = shlex.split(line)
    for before, word in itertools.pairwise(words):
        if before == "--set" and word != "SECTION.KEY=VALUE":
            kind: object = RunConfig
            for part in word.partition("=")[0].split("."):
                fields = getattr(kind, "model_fields", {})
                assert part in fields
                kind = fields[part].annotation


@pytest.mark.parametrize("line", MAKE)
def test_make_line_names_a_target(line: str) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = [word for word in shlex.split(line)[1:] if "=" not in word]
    assert named
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_option_in_running_text_exists(page: Path) -> None:
    known = {name for command in COMMANDS.values() for parameter in command.params for name in parameter.opts}
    named = set(_OPTION.findall(page.read_text(encoding="utf-8")))
    assert named - known - {"--help", "--version"} == set()


def test_readme_opens_with_the_two_commands() -> None:
    lines = [line for page, line in LINES if page == "README.md"]
    assert {"make quickstart", "make test"} <= set(lines)
    assert any(line.startswith("datagen mine-negatives ") for line in lines)


def test_makefile_explains_each_target_that_a_person_types() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    explained = set(re.findall(r"^# make ([a-z-]+)", text, re.MULTILINE))
    assert {"quickstart", "test", "check", "check-release"} <= explained <= set(_TARGET.findall(text))


def test_changelog_speaks_of_this_version(root: Path) -> None:
    from datagen import __version__

    assert f"## {__version__}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")
