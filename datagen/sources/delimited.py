"""Comma- and tab-separated files, all values as text."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from datagen.errors import InputError, first_line, some_of
from datagen.sources.content import decode, read_bytes

_QUOTED_CELL = r'(?s)^"(?:[^"]|"")*"$'


def read_csv(path: Path) -> pl.DataFrame:
    """The rows of a comma-separated file with a header line; quotes as in RFC 4180, blank lines left out.

    Raises:
        InputError: a row does not fit the header or a quote is not closed; the message names the line.
    """
    return _parse_quoted(read_bytes(path), ",", path)


def read_tsv(path: Path) -> pl.DataFrame:
    """The rows of a tab-separated file with a header line.

    Both dialects are read: quotes that only mark cells (as pandas writes them), and quotes that are part of the
    text (as BEIR and MS MARCO have them). The second is taken when some cell opens a quote that it does not close
    while every line has as many cells as the header.

    Raises:
        InputError: a row does not fit the header; the message names the line.
    """
    content = read_bytes(path)
    cells = split_lines(decode(content, path))["line"].str.split("\t")
    opened = cells.explode().filter(cells.explode().str.starts_with('"'))
    if (cells.list.len() == len(cells[0])).all() and not opened.str.contains(_QUOTED_CELL).all():
        return _from_cells(cells, path)
    return _parse_quoted(content, "\t", path)


def split_lines(text: str) -> pl.DataFrame:
    """The lines that are not blank: `line` and its `number`, counted from 1."""
    lines = pl.DataFrame({"line": text.split("\n")}).with_row_index("number", offset=1)
    return lines.with_columns(pl.col("line").str.strip_suffix("\r")).filter(pl.col("line").str.strip_chars() != "")


def _from_cells(cells: pl.Series, path: Path) -> pl.DataFrame:
    names = cells[0].to_list()
    if len(set(names)) < len(names):
        raise InputError(f"{str(path)!r} has two columns of one name: {some_of(names)}; rename one")
    return cells.slice(1).list.to_struct(fields=names).struct.unnest()


def _parse_quoted(content: bytes, separator: str, path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(content, separator=separator, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as exc:
        reason = _find_bad_row(decode(content, path), separator) or first_line(exc)
        raise InputError(f"cannot read {str(path)!r}: {reason}; every row needs the columns of the header") from exc
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))


def _find_bad_row(text: str, separator: str) -> str | None:
    rows = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    start = 1
    try:
        width = len(next(rows))
        for row in rows:
            start = rows.line_num
            if len(row) > width:
                return f"line {rows.line_num:,} has {len(row)} fields, the header has {width}"
    except csv.Error as exc:
        return f"the row that starts at line {start + 1:,}: {exc}"
    return None
