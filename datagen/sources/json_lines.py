"""JSON lines and JSON arrays: read by polars, repaired line by line where polars refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from datagen.errors import InputError, first_line
from datagen.sources.content import decode, iterate_lines, read_bytes

# Raw control characters in a text are taken; NaN and Infinity become texts, which relevance is read from.
_BLOCK = 64 * 2**20
_DECODER = json.JSONDecoder(strict=False, parse_constant=str)


def read_json_lines(path: Path) -> pl.DataFrame:
    """One row a line; columns are the union of all keys. A byte order mark and lone surrogates are left out.

    Raises:
        InputError: a line is not a JSON object; the message names the file and the line.
    """
    return _parse_lines(read_bytes(path), path, 1)


def iterate_json_lines(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of `read_json_lines` some at a time; the columns of a frame are the union of its own keys.

    Raises:
        InputError: a line is not a JSON object; the message names the file and the line.
    """
    for number, content in iterate_lines(path, _BLOCK):
        if not content.isspace():
            yield _parse_lines(content, path, number)


def read_json(path: Path) -> pl.DataFrame:
    """One row an object of a JSON array; a file that is no array is read as JSON lines.

    Raises:
        InputError: it is neither.
    """
    content = read_bytes(path)
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return read_json_lines(path)
    array = _parse_value(decode(content, path), str(path))
    if not isinstance(array, list) or not all(isinstance(item, dict) for item in array):
        raise InputError(f"{str(path)!r} is a JSON array of something else than objects: give an array of objects")
    return _parse_objects(array, path)


def _parse_lines(content: bytes, path: Path, first: int) -> pl.DataFrame:
    try:
        return _parse(content)
    except pl.exceptions.PolarsError:
        lines = enumerate(decode(content, path, first).split("\n"), start=first)
        objects = [_parse_line(line, f"{str(path)!r}, line {number:,}") for number, line in lines if line.strip()]
    return _parse_objects(objects, path)


def _parse(content: bytes) -> pl.DataFrame:
    return pl.read_ndjson(content, infer_schema_length=None)


def _parse_objects(objects: Iterable[dict[str, Any]], path: Path) -> pl.DataFrame:  # Any: the user's JSON
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in objects)
    try:
        return _parse(text.encode("utf-8", "ignore"))
    except pl.exceptions.PolarsError as exc:
        raise InputError(
            f"cannot read {str(path)!r} as a table: {first_line(exc)}; a column must hold the same kind of value in "
            "every row"
        ) from exc


def _parse_line(line: str, where: str) -> dict[str, Any]:  # Any: the user's JSON
    value = _parse_value(line, where)
    if not isinstance(value, dict):
        raise InputError(f'{where}: {line.strip()[:60]!r} is not a JSON object such as {{"_id": "1", "text": "…"}}')
    return value


def _parse_value(text: str, where: str) -> object:
    try:
        return _DECODER.decode(text.strip())
    except json.JSONDecodeError as exc:
        place = f"line {exc.lineno:,}, column {exc.colno:,}" if exc.lineno > 1 else f"column {exc.colno:,}"
        near = text[max(0, exc.pos - 20) : exc.pos + 20].strip()
        raise InputError(
            f"{where}: not valid JSON ({exc.msg} at {place}, near {near!r}); each row is one JSON object on one line"
        ) from exc
