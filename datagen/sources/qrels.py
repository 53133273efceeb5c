"""Relevance judgements: BEIR and TREC files, or any table with a query id and a document id."""

from __future__ import annotations

import polars as pl

from datagen.errors import InputError, some_of
from datagen.sources.columns import DOC_ID, RELEVANCE, as_id, as_relevance, find_column, require_column
from datagen.sources.content import decode, read_bytes
from datagen.sources.delimited import split_lines
from datagen.sources.frames import read_frame
from datagen.sources.locate import Source
from datagen.tables import PAIRS

_LINE = "line number"
_QRELS_QUERY_ID = ("query_id", "qid", "question_id")
_QRELS_DOC_ID = tuple(name for name in DOC_ID if name not in ("_id", "id"))
_WITHOUT_HEADER = {3: ["query_id", "doc_id", "score"], 4: ["query_id", "iteration", "doc_id", "score"]}


def read_qrels(source: Source, split: str) -> pl.DataFrame:
    """The judgements with the columns of `tables.PAIRS`; relevance is 1 where there is no such column.

    A text file has a header line, or three columns (query, document, relevance), or the four of TREC. Relevance
    may be NaN or infinite here: such rows are dropped, with their reason, when the input is cleaned.

    Raises:
        InputError: a column is missing, a line has too few or too many fields, or a relevance is not a number.
    """
    if source.format in ("tsv", "plain"):
        frame = _read_lines(source)
    else:
        frame = read_frame(source, split).with_row_index(_LINE, offset=1)
    query = require_column(frame, _QRELS_QUERY_ID, "the query id", source)
    document = require_column(frame, _QRELS_DOC_ID, "the document id", source)
    score = find_column(frame, RELEVANCE)
    values = pl.repeat(1.0, len(frame), eager=True) if score is None else frame[score]
    return pl.DataFrame(
        {
            "query_id": as_id(frame, query, source),
            "doc_id": as_id(frame, document, source),
            "relevance": as_relevance(values, source, frame[_LINE]),
            "source": pl.repeat(source.name, len(frame), dtype=pl.String, eager=True),
        }
    ).select(PAIRS.names)


def _read_lines(source: Source) -> pl.DataFrame:
    path = source.files[0]
    lines = split_lines(decode(read_bytes(path), path))
    text = lines["line"] if "\t" in lines["line"][0] else lines["line"].str.strip_chars().str.replace_all(r"\s+", "\t")
    cells = text.str.split("\t")
    first: list[str] = cells[0].to_list()
    unequal = (cells.list.len() != len(first)).arg_true()
    if len(unequal):
        line = lines[int(unequal[0])]
        raise InputError(
            f"{str(path)!r}, line {line['number'][0]:,}: {line['line'][0]!r} does not have the {len(first)} fields of "
            f"the first line ({len(unequal):,} such lines); use tabs, or spaces as TREC does"
        )
    header = _is_header(first)
    names = first if header else _names_without_header(first, source)
    table = cells.slice(int(header)).list.to_struct(fields=names).struct.unnest()
    return table.with_columns(lines["number"].slice(int(header)).alias(_LINE))


def _is_header(first: list[str]) -> bool:
    named = pl.DataFrame(schema=dict.fromkeys(first, pl.String))
    return find_column(named, (*_QRELS_QUERY_ID, *_QRELS_DOC_ID)) is not None or not _is_number(first[-1])


def _names_without_header(first: list[str], source: Source) -> list[str]:
    if len(first) not in _WITHOUT_HEADER:
        raise InputError(
            f"{source.name!r} has no header and {len(first)} columns ({some_of(first, 20)}): give 3 (query id, "
            "document id, relevance) or the 4 of TREC (query id, iteration, document id, relevance)"
        )
    return _WITHOUT_HEADER[len(first)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
