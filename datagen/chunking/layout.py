"""What a document is made of: sections under headings, and in them sentences and blocks that should stay whole.

Plain text is Markdown without marks. All places are character offsets with nothing between two of them: the sections
of a text put together are the text, and the units of a section are the section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from datagen.generation.sentences import sentence_starts

LONGEST_HEADING = 200
"""A longer line is text, whatever its marks."""

_WHOLE = ("fence", "table_open")
_SHORTEST_UNDERLINE = 2
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKS = re.compile(r"[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_SEEN = re.compile(r"\S")
_BLOCKS = MarkdownIt("commonmark").enable("table").disable(["code", "reference", "inline", "text_join"])


class Unit(NamedTuple):
    """A piece of text that is not torn where that can be avoided."""

    start: int
    end: int
    is_sentence: bool
    """Whether it may open the next passage too; tables, code and what was torn may not."""


class Section(NamedTuple):
    """What stands under one heading, the heading itself first."""

    path: tuple[str, ...]
    """The headings above, outermost first, and its own; empty for what stands before the first."""
    units: list[Unit]


class _Heading(NamedTuple):
    start: int
    end: int
    level: int
    words: str


class _Cut(NamedTuple):
    start: int
    body: int
    path: tuple[str, ...]


def find_sections(text: str, headings: bool) -> list[Section]:
    """The sections of a text in order; a single one where headings are not looked for or there are none.

    A heading with nothing under it opens the section of the next one. None for a text of white space.
    """
    found, blocks = _read_markdown(text)
    cuts = _cuts(text, found if headings else [])
    ends = [cut.start for cut in cuts[1:]] + [len(text)]
    sections = [Section(cut.path, list(_units(text, cut, end, blocks))) for cut, end in zip(cuts, ends, strict=True)]
    return [section for section in sections if section.units]


def _cuts(text: str, headings: list[_Heading]) -> list[_Cut]:
    cuts = [_Cut(0, _skip_space(text, 0), ())]
    above: list[_Heading] = []
    for heading in headings:
        above = [outer for outer in above if outer.level < heading.level] + [heading]
        path = tuple(outer.words for outer in above)
        start = heading.start if text[cuts[-1].body : heading.start].strip() else cuts.pop().start
        cuts.append(_Cut(start, _skip_space(text, heading.end), path))
    return cuts


def _units(text: str, cut: _Cut, end: int, blocks: list[tuple[int, int]]) -> Iterator[Unit]:
    """The units of a section; its headings belong to the first, white space to the unit before it."""
    borders: dict[int, bool] = {}
    place = cut.body
    for block_start, block_end in [block for block in blocks if cut.body <= block[0] < end] + [(end, end)]:
        borders |= {place + start: True for start in sentence_starts(text[place:block_start])}
        borders[block_start] = False
        place = _skip_space(text, block_end)
    inner = [place for place in borders if cut.body < place < end and not text[place].isspace()]
    starts = [cut.start, *sorted(inner), end]
    borders.setdefault(cut.start, borders.get(cut.body, True))
    for start, following in pairwise(starts):
        first = cut.body if start == cut.start else start
        yield Unit(start, following, borders[first])


def _skip_space(text: str, place: int) -> int:
    found = _SEEN.search(text, place)
    return found.start() if found else len(text)


def _read_markdown(text: str) -> tuple[list[_Heading], list[tuple[int, int]]]:
    """Headings, and the places of tables and code, both in order."""
    tokens = _BLOCKS.parse(text.replace("\r", " "))
    if not any(token.type in ("heading_open", *_WHOLE) for token in tokens):
        return [], []
    lines = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    lines[-1] = len(text)
    headings = [
        heading for opening, inline in pairwise(tokens) if (heading := _heading(text, lines, opening, inline.content))
    ]
    blocks = [(lines[token.map[0]], lines[token.map[1]]) for token in tokens if token.type in _WHOLE and token.map]
    return headings, blocks


def _heading(text: str, lines: list[int], opening: Token, content: str) -> _Heading | None:
    if opening.type != "heading_open" or opening.level or not opening.map:
        return None
    first, end = opening.map
    underline = text[lines[end - 1] : lines[end]].strip() if opening.markup in ("-", "=") else "--"
    words = " ".join(_MARKS.sub("", _LINK.sub(r"\1", content)).split())
    if not words or len(words) > LONGEST_HEADING or end - first > 2 or len(underline) < _SHORTEST_UNDERLINE:
        return None
    return _Heading(lines[first], lines[end], int(opening.tag[1:]), words)
