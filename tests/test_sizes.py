"""The sizes that keep the code readable, and the reason beside each `Any`; part of `make check`."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for folder in ("datagen", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
SOURCES = [path for path in FILES if "tests" not in path.relative_to(ROOT).parts]

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40

each_file = pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])


@each_file
def test_file_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_A_FILE


@each_file
def test_functions_are_short(path: Path) -> None:
    functions = [node for node in ast.walk(_parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: lines for node in functions if (lines := _body_lines(node)) > MOST_LINES_OF_A_FUNCTION}
    assert long == {}, "lines of code without the signature and the docstring"


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_functions_stand_in_no_other_function_unless_they_use_its_variables(path: Path) -> None:
    functions = [node for node in ast.walk(_parse(path)) if isinstance(node, ast.FunctionDef)]
    pairs = [(outer, inner) for outer in functions for inner in outer.body if isinstance(inner, ast.FunctionDef)]
    assert [inner.name for outer, inner in pairs if not _names_set_in(outer) & _names_used_in(inner)] == []


@each_file
def test_every_any_has_its_reason_on_the_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if "import" not in token.line]
    named = {token.start[0] for token in tokens if token.type == tokenize.NAME and token.string == "Any"}
    explained = {token.start[0] for token in tokens if token.type == tokenize.COMMENT and "Any: " in token.string}
    assert sorted(named - explained) == [], "lines with `Any` but without a `# Any: reason`"


def test_every_kind_of_file_was_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == {"datagen", "tests", "benchmarks"}


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    code = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (code[-1].end_lineno or 0) - code[0].lineno + 1 if code else 0


def _names_set_in(function: ast.FunctionDef) -> set[str]:
    own = [function.args, *(node for node in function.body if not isinstance(node, ast.FunctionDef))]
    nodes = [node for part in own for node in ast.walk(part)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in nodes if isinstance(node, ast.arg)}


def _names_used_in(function: ast.FunctionDef) -> set[str]:
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
