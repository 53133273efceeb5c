"""HTML becomes Markdown of headings, paragraphs, lists, tables and code: what `layout` reads.

Only whole pages and fragments that begin and end with a tag are taken for HTML: Markdown with a tag in it is not.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

IS_HTML = (
    r"(?is)\A\s*(?:<!doctype\s+html|<\?xml[^<>]{0,200}>\s*<(?:!doctype\s+)?html|<html\b|<head\b|<body\b|"
    r"<(?:h[1-6]|p|div|table|ul|ol|dl|article|section|main|header|blockquote|pre)\b[^<>]{0,2000}>.*</[a-z][a-z0-9]*\s*>\s*\z)"
)
"""A pattern for polars: whether a text is HTML."""

_LONGEST_TAG = 4000
_DECLARATION = re.compile(rf"<[!?][^<>]{{0,{_LONGEST_TAG}}}>")
_NO_TAG = re.compile(rf"<(?!/?[a-zA-Z][^<>]{{0,{_LONGEST_TAG}}}>)")
_SPACE = re.compile(r"\s+")
_LINE_ENDS = re.compile(r"[ \t]*\n[ \t]*")
_EMPTY_LINES = re.compile(r"\n{3,}")
_UNSEEN = frozenset({"script", "style", "template", "svg", "iframe", "object", "noframes"})
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_PARAGRAPHS = frozenset(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header "
    "hr html legend main nav noscript ol p section summary ul".split()
)
_NO_CELL = frozenset({*_HEADINGS, "pre", "ul", "ol", "dl"})
_BREAK = "\n\n"


def html_to_markdown(text: str) -> tuple[str | None, str]:
    """The title of a page, and its visible text as Markdown, in time that grows with its length alone.

    Scripts, styles, comments and tags go; character references become characters. A table of more than words (with
    headings, lists, tables or code in it) is one for layout, and becomes paragraphs.
    """
    page = _Page()
    page.feed(_without_traps(text))
    page.close()
    return page.title, page.markdown()


def _without_traps(text: str) -> str:
    """Every `<` that is left opens a tag that ends before the next one; html.parser searches no further than that."""
    first, *others = text.split("<!--")
    kept = [other.partition("-->")[2] if "-->" in other else f"&lt;!--{other}" for other in others]
    return _NO_TAG.sub("&lt;", _DECLARATION.sub("", "".join([first, *kept])))


class _Table:
    """The rows of a table so far."""

    def __init__(self) -> None:
        self.rows: list[list[list[str]]] = []

    def open_row(self) -> None:
        if not self.rows or self.rows[-1]:
            self.rows.append([])

    def open_cell(self) -> None:
        if not self.rows:
            self.rows.append([])
        self.rows[-1].append([])

    def add(self, words: str) -> None:
        if words.strip() and not (self.rows and self.rows[-1]):
            self.open_cell()
        if self.rows and self.rows[-1]:
            self.rows[-1][-1].append(words)

    def cells(self) -> list[list[str]]:
        rows = [[" ".join("".join(cell).split()) for cell in row] for row in self.rows]
        return [row for row in rows if any(row)]

    def markdown(self) -> str:
        rows = self.cells()
        if not rows:
            return ""
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])

    def paragraphs(self) -> str:
        return _BREAK.join(cell for row in self.cells() for cell in row if cell)


class _Page(HTMLParser):
    """Writes Markdown while tags go by."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: str | None = None
        self._out: list[str] = []
        self._title: list[str] = []
        self._unseen: str | None = None
        self._in_title = self._in_code = self._in_heading = False
        self._table: _Table | None = None

    def markdown(self) -> str:
        """All that was seen."""
        self._close_table()
        self._close_code()
        if self._in_title:  # never closed: it was the text
            self._out.extend(self._title)
        parts = "".join(self._out).split("```")
        parts[::2] = [_EMPTY_LINES.sub(_BREAK, _LINE_ENDS.sub("\n", part)) for part in parts[::2]]
        return "```".join(parts).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open what the tag opens."""
        if self._unseen or self._in_code:
            return
        if tag in _UNSEEN:
            self._unseen = tag
        elif tag == "title":
            self._in_title = True
        elif tag in {"table", "tr", "td", "th"}:
            self._open_in_table(tag)
        else:
            self._open_text(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what the tag closes."""
        if self._unseen or self._in_code:
            self._unseen = None if tag == self._unseen else self._unseen
            if tag == "pre":
                self._close_code()
        elif tag == "title":
            self._close_title()
        elif tag == "table":
            self._close_table()
        elif tag in _HEADINGS or tag in _PARAGRAPHS or tag == "li":
            self._in_heading = self._in_heading and tag not in _HEADINGS
            self._break(_BREAK if tag != "li" else "\n")

    def handle_data(self, data: str) -> None:
        """Take in text."""
        if self._unseen:
            return
        if self._in_code:
            self._out.append(data)
        elif self._in_title:
            self._title.append(data)
        else:
            self._add(_SPACE.sub(" ", data))

    def _add(self, words: str) -> None:
        if self._table is not None:
            self._table.add(words)
        elif words != " " or (self._out and not self._out[-1].endswith("\n")):
            self._out.append(words)

    def _break(self, space: str) -> None:
        """A new line or paragraph; inside a cell or a heading a space."""
        self._add(" ") if self._table is not None or self._in_heading else self._out.append(space)

    def _open_text(self, tag: str) -> None:
        if tag in _NO_CELL:
            self._leave_table()
        if tag in _HEADINGS:
            self._in_heading = False
            self._break(f"{_BREAK}{_HEADINGS[tag]} ")
            self._in_heading = True
        elif tag == "pre":
            self._in_heading, self._in_code = False, True
            self._out.append(f"{_BREAK}```\n")
        elif tag == "li":
            self._break("\n- ")
        elif tag == "br":
            self._break("\n")
        elif tag in _PARAGRAPHS:
            self._break(_BREAK)

    def _open_in_table(self, tag: str) -> None:
        self._in_heading = False
        if tag == "table":
            self._leave_table()
            self._table = _Table()
        elif self._table is None:
            self._out.append(_BREAK)
        elif tag == "tr":
            self._table.open_row()
        else:
            self._table.open_cell()

    def _leave_table(self) -> None:
        """It was for layout: what it holds so far becomes paragraphs, and so does the rest."""
        if self._table is not None:
            self._out.append(f"{_BREAK}{self._table.paragraphs()}{_BREAK}")
            self._table = None

    def _close_table(self) -> None:
        if self._table is not None:
            self._out.append(f"{_BREAK}{self._table.markdown()}{_BREAK}")
            self._table = None

    def _close_code(self) -> None:
        if self._in_code:
            self._in_code = False
            self._out.append(f"\n```{_BREAK}")

    def _close_title(self) -> None:
        self._in_title = False
        self.title = self.title or " ".join("".join(self._title).split()) or None
