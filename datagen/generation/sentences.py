"""Where one sentence ends and the next begins, by rules: no model, no word lists to download.

Written for English; it keeps its head with abbreviations, initials, decimals, footnote numbers, lists with ` - `
and headings, and knows the full stops of other scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from datagen.generation.extractive.english import ABBREVIATIONS, LEANING_WORDS, OPENING_WORDS, one_of


class Sentence(NamedTuple):
    """One sentence of a text."""

    start: int
    """Where it begins in the text."""
    end: int
    """Where it ends, this place excluded."""
    text: str
    """Its words on one line, without list mark and footnote number."""
    is_prose: bool
    """Whether it is a whole sentence: no list item, heading or cut-off piece."""

    @property
    def is_standalone(self) -> bool:
        """Whether it says something by itself: its first words point to no other sentence, nor all of it elsewhere."""
        first = self.text.split(maxsplit=1)[0] if self.text else ""
        leans = first.strip(_QUOTES).rstrip(",").lower() in LEANING_WORDS
        return not leans and _POINTING.match(self.text) is None and _REFERRING.search(self.text) is None


_QUOTES = "\"'“”\u2018’([)]"
_CLOSERS = r"[\"'”’)\]]*"
_WIDE_STOPS = "。\uff01\uff1f।؟"
_FOOTNOTE = r"(?:(?<=[^\W\d_][.!?])\d{1,3}(?:[,\-–]\d{1,3})*|\[[\d,\s\-–]+\])"
_TERMINAL = re.compile(rf"[.!?…{_WIDE_STOPS}]{_CLOSERS}$")
_CITATION = re.compile(r"\s?\[\d[\d,\s\-–]*\]")
_TAIL_NOTE = re.compile(r"(?<=[^\W\d_][.!?])\d{1,3}(?:[,\-–]\d{1,3})*$")
_ITEM_MARKS = "-–•*·"
_ITEM_MARK = re.compile(r"[-–•*·]\s+")
_NUMBERING = re.compile(r"(?:\(\d{1,4}\)|\d{1,4}[.)])\s+(?=\D)")
_SPACED_MARK = re.compile(r"\s([.,;:?!])(?=\s|$)")
_POINTING = re.compile(r"(?:\S+\s+){0,4}(?:this|these|those|such)\s", re.IGNORECASE)
_REFERRING = re.compile(
    r"\b(?:[Cc]lick|[Ww]eb ?(?:site|page)s?|see the|[Ff]or (?:more |further )?(?:information|details)|"
    r"[Vv]isit (?:the|our))\b"
)

_STOP = re.compile(rf"(?P<kept>[.!?…](?<![.!?…]{{2}})[.!?…]*{_CLOSERS}{_FOOTNOTE}?{_CLOSERS})\s+")
_WIDE_STOP = re.compile(rf"(?P<kept>[{_WIDE_STOPS}]+[”’」』\uff09)]*)\s*")
_ITEM = re.compile(r"(?P<kept>)(?:(?<=[:;])\s*|\s)(?=[-–•·]\s)")
_LINE = re.compile(r"(?P<kept>)(?:\n|[^\S\n](?<!\s\s)\s*\n)\s*")  # no later start in a run of spaces: linear
_ABBREVIATION = re.compile(rf"(?:^|[\s(\[“\"'-])(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|{one_of(ABBREVIATIONS)})\.$")
_OPENING = re.compile(rf"{one_of(OPENING_WORDS)}\b")
_HEADING_CHARACTERS = 60
_LONGEST_NUMBERING = 32
_SPACE_BEFORE_ITEM = 64


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of a text in order, list items and headings among them; blank ones are left out.

    Every character of a sentence belongs to it alone; what lies between two is white space. In a text without any
    capital, small letters may open a sentence.
    """
    sentences: list[Sentence] = []
    cased = text != text.lower()
    for start, end, _ in _places(text, cased):
        _keep(sentences, text, (start, end), cased)
    return sentences


def sentence_starts(text: str) -> list[int]:
    """Where sentences begin, as `split_sentences` sees them but several times faster: 0 first, rising."""
    ends = [border_end for _, _, border_end in _places(text, text != text.lower())]
    return [0, *(end for end in ends[:-1] if end < len(text))]


def tidy(text: str) -> str:
    """The text on one line, without list mark, citation brackets and footnote number."""
    line = " ".join(_CITATION.sub("", text).split() if "[" in text else text.split())
    if line[:1] in _ITEM_MARKS:
        line = _ITEM_MARK.sub("", line, count=1)
    if line[-1:].isdigit():
        line = _TAIL_NOTE.sub("", line)
    if line.endswith("..") and not line.endswith("..."):
        line = line[:-1]
    if " ." in line or " ?" in line or " ," in line:
        line = _SPACED_MARK.sub(r"\1", line)
    return _NUMBERING.sub("", line, count=1) if line[:1] in "(0123456789" else line


def cut_out(text: str, sentence: Sentence) -> str:
    """The text without one of its sentences."""
    before, after = text[: sentence.start].rstrip(), text[sentence.end :].lstrip()
    joint = "\n\n" if "\n\n" in text[sentence.end :][:3] and before else " "
    return f"{before}{joint}{after}".strip()


def _places(text: str, cased: bool) -> Iterator[tuple[int, int, int]]:
    """Start and end of each piece between two borders, and where the piece after it begins."""
    start = 0
    for border in _borders(text):
        if border.start() >= start and _DECIDE[border.re](text, start, border, cased):
            yield start, border.end("kept"), border.end()
            start = border.end()
    yield start, len(text), len(text)


def _keep(sentences: list[Sentence], text: str, place: tuple[int, int], cased: bool) -> None:
    piece = text[slice(*place)]
    words = tidy(piece)
    if words:
        bare = piece.lstrip()
        is_prose = _ITEM_MARK.match(bare) is None and _is_prose(words, cased)
        sentences.append(Sentence(place[1] - len(bare), place[0] + len(piece.rstrip()), words, is_prose))


def _is_prose(text: str, cased: bool) -> bool:
    first = text.lstrip(_QUOTES)[:1]
    opens = first.isalnum() and not (cased and first.islower()) and " - " not in text
    return opens and text.count("(") == text.count(")") and text.count('"') % 2 == 0 and bool(_TERMINAL.search(text))


def _borders(text: str) -> list[re.Match[str]]:
    """Where a sentence might end, in order; a pattern is tried only on a text that can hold it."""
    found = list(_STOP.finditer(text))
    if not text.isascii():
        found += _WIDE_STOP.finditer(text)
    if any(f" {mark} " in text for mark in _ITEM_MARKS):
        found += _ITEM.finditer(text)
    if "\n" in text:
        found += _LINE.finditer(text)
    return sorted(found, key=re.Match.start)


def _ends_at_stop(text: str, start: int, border: re.Match[str], cased: bool) -> bool:
    following = text[border.end() : border.end() + 12].lstrip(_QUOTES)
    is_numbering = border.start() - start <= _LONGEST_NUMBERING and text[start : border.start()].strip().isdigit()
    if is_numbering or (cased and following[:1].islower()):
        return False
    if not border["kept"].startswith(".") or border["kept"][-1].isdigit():
        return True
    before = text[max(start, border.start() - 12) : border.start() + 1]
    return not _ABBREVIATION.search(before) or _OPENING.match(following) is not None


def _ends_at_item(text: str, start: int, border: re.Match[str], cased: bool) -> bool:
    """A dash opens a list item after a colon or before a capital; elsewhere it may be a dash in a sentence."""
    after = text[border.end() + 1 :][:4].lstrip()[:1]
    before = text[max(start, border.start() - _SPACE_BEFORE_ITEM) : border.start() + 1]
    return before.rstrip().endswith((":", ";")) or after.isupper()


def _ends_at_line(text: str, start: int, border: re.Match[str], cased: bool) -> bool:
    line = text[max(start, text.rfind("\n", 0, border.start()) + 1) : border.start()].strip()
    following = text[border.end() : border.end() + 2]
    if border[0].count("\n") > 1 or _ITEM_MARK.match(following) or line.endswith((".", "!", "?", ":", ";")):
        return True
    return len(line) <= _HEADING_CHARACTERS and not following[:1].islower() and not line.endswith(",")


def _ends_always(text: str, start: int, border: re.Match[str], cased: bool) -> bool:
    return True


_DECIDE = {_STOP: _ends_at_stop, _WIDE_STOP: _ends_always, _ITEM: _ends_at_item, _LINE: _ends_at_line}
