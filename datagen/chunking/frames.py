"""Slices of the corpus become slices of passages.

A passage is named after its document and its place in it, `DOCUMENT#3`. Counting from the front keeps the names of
the first passages when a document grows at its end, is unique where two passages of a document are equal, and tells
the order; vectors and answers are kept under the text, so that an edit which moves the numbers costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import polars as pl

from datagen.backends.protocols import TokenCounter
from datagen.chunking.html import IS_HTML, html_to_markdown
from datagen.chunking.layout import Section, find_sections
from datagen.chunking.packing import Packer, Passage
from datagen.chunking.tokens import WordTokens
from datagen.errors import InputError, some_of
from datagen.settings.chunk import ChunkConfig

MARK = "#"
_LETTERS_AT_ONCE = 4_000_000
_OWN_META = ("parent", "chunk", "previous", "next", "overlap")
_USERS = "document."
_ROW = "_row"
Row: TypeAlias = Mapping[str, Any]  # Any: cells of a corpus row


class Chunks(NamedTuple):
    """What became of a slice of the corpus."""

    corpus: pl.DataFrame
    """With the columns of the slice and in its order: documents that fit as they were, passages of the others."""
    cut: pl.DataFrame
    """The passages among them: parent, doc_id, title, text, those of a parent together and in order."""


class Chunker:
    """Cuts documents, slice by slice, and counts what it does."""

    def __init__(self, config: ChunkConfig, counter: TokenCounter) -> None:
        """Keep settings and tokenizer; `config.max_tokens` must be set.

        Raises:
            ValueError: it is not.
        """
        self._config, self._tokens = config, WordTokens(counter)
        self._packer = Packer(config, self._tokens)
        self.documents_cut = 0
        self.passages = 0
        self.html_documents = 0

    def cut(self, corpus: pl.DataFrame) -> Iterator[tuple[int, Chunks]]:
        """Documents with the long ones cut, a few million letters at a time: how many documents, what came.

        A document that fits stays as it is. A passage has the title of its document and the headings above it as its
        title; in `meta` are `parent`, `chunk` (its number, from 0), `previous` and `next` (ids, or null), `overlap`
        (letters at its beginning that the passage before has, too) and what the document had there (a name of these
        as `document.NAME`). Texts without their overlap, put together, are the text of the document but for white
        space where it was cut; HTML is first made Markdown, whatever its length.
        """
        for part in _small_slices(corpus):
            yield len(part), self._cut(part)

    def _cut(self, frame: pl.DataFrame) -> Chunks:
        frame = self._as_text(frame).with_row_index(_ROW)
        rows = self._long(frame)
        sections = [find_sections(row["text"], self._config.headings) for row in rows]
        made = [
            passage
            for row, parts in zip(rows, self._counted(rows, sections), strict=True)
            for passage in _rows_of(row, self._packer.pack(row["text"], row["title"], parts))
        ]
        cut = pl.DataFrame(made, schema={**frame.schema, "parent": pl.String}, orient="row")
        whole = frame.filter(~pl.col(_ROW).is_in(cut[_ROW].unique().implode()))
        self.documents_cut += len(frame) - len(whole)
        self.passages += len(cut)
        corpus = pl.concat([whole, cut.drop("parent")]).sort(_ROW, maintain_order=True).drop(_ROW)
        return Chunks(corpus, cut.select("parent", "doc_id", "title", "text"))

    def _as_text(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The slice with Markdown in place of HTML; a page without a title of its own takes that of its head."""
        if not self._config.headings:
            return frame
        html = frame.select(is_html=pl.col("text").str.contains(IS_HTML))["is_html"]
        if not html.any():
            return frame
        self.html_documents += int(html.sum())
        read = [
            html_to_markdown(text) if is_html else (None, text)
            for text, is_html in zip(frame["text"], html, strict=True)
        ]
        pages = pl.DataFrame(read, schema={"page": pl.String, "words": pl.String}, orient="row")
        return frame.with_columns(
            pl.coalesce("title", pages["page"]).alias("title"),
            pl.when(pages["words"] == "").then("text").otherwise(pages["words"]).alias("text"),
        )

    def _long(self, frame: pl.DataFrame) -> list[dict[str, Any]]:  # Any: cells of corpus rows
        """The rows that do not fit. A token is a byte at least, so that most short texts need not be counted."""
        size = pl.col("text").str.len_bytes() + pl.col("title").str.len_bytes().fill_null(0)
        maybe = frame.filter(size + self._tokens.own_marks > (self._config.max_tokens or 0))
        tokens = self._tokens.count(maybe["text"].to_list())
        return [
            row
            for row, count in zip(maybe.iter_rows(named=True), tokens, strict=True)
            if count > self._packer.room(row["title"] or "")
        ]

    def _counted(
        self,
        rows: Sequence[Row],
        sections: Sequence[list[Section]],
    ) -> list[list[tuple[Section, list[int]]]]:
        """The tokens of all units, found at once."""
        texts = [
            row["text"][unit.start : unit.end]
            for row, found in zip(rows, sections, strict=True)
            for section in found
            for unit in section.units
        ]
        tokens = iter(self._tokens.count(texts))
        return [[(section, [next(tokens) for _ in section.units]) for section in found] for found in sections]


def passage_id(parent: str, number: int) -> str:
    """The id of a passage of a document, counted from 0."""
    return f"{parent}{MARK}{number}"


def check_ids(ids: pl.Series, chunks: Chunks) -> None:
    """See that no passage has the id of a document, those of the whole corpus being `ids`.

    Raises:
        InputError: one has.
    """
    both = chunks.cut["doc_id"].filter(chunks.cut["doc_id"].is_in(ids.implode()))
    if len(both):
        raise InputError(
            f"documents have the ids {some_of(both)}, which passages of longer documents get when they are cut: "
            f"rename them, so that no id is that of another with {MARK}NUMBER behind it, or leave chunk.max_tokens out"
        )


def _small_slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Consecutive rows of a few million letters together, one row at least."""
    sizes = frame["text"].str.len_bytes().fill_null(0).cum_sum() // _LETTERS_AT_ONCE
    start = 0
    for length in sizes.rle().struct.field("len"):
        yield frame.slice(start, length)
        start += length


def _rows_of(row: Row, passages: Sequence[Passage]) -> list[tuple[Any, ...]]:  # Any: cells of a row
    """Corpus rows of the passages of one document, with the document's id at the end; none for a single passage."""
    if len(passages) == 1:
        return []
    users = _users_meta(row["meta"])
    made = []
    for number, passage in enumerate(passages):
        piece = row["text"][passage.start : passage.end]
        text = piece.lstrip()
        own = {
            "parent": row["doc_id"],
            "chunk": number,
            "previous": passage_id(row["doc_id"], number - 1) if number else None,
            "next": passage_id(row["doc_id"], number + 1) if number + 1 < len(passages) else None,
            "overlap": max(0, passage.own - passage.start - (len(piece) - len(text))),
        }
        new = {
            "doc_id": passage_id(row["doc_id"], number),
            "title": passage.title or None,
            "text": text.rstrip(),
            "meta": json.dumps({**own, **users}, ensure_ascii=False),
        }
        made.append((*({**row, **new}).values(), row["doc_id"]))
    return made


def _users_meta(meta: str | None) -> dict[str, Any]:  # Any: JSON values of the user
    values = json.loads(meta) if meta else {}
    known = values if isinstance(values, dict) else {"meta": values}
    return {f"{_USERS}{name}" if name in _OWN_META else name: value for name, value in known.items()}
