"""How units become passages of at most so many tokens: from the front, so that what is added at the end moves nothing.

Pure functions of places and numbers of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from datagen.chunking.layout import Section, Unit
from datagen.chunking.tokens import WordTokens
from datagen.settings.chunk import ChunkConfig

PATH_JOINT = " > "


class Sized(NamedTuple):
    """A unit with its tokens."""

    unit: Unit
    tokens: int


class Passage(NamedTuple):
    """A passage as places in its text: what it repeats of the one before is from `start` to `own`."""

    start: int
    own: int
    end: int
    title: str


class Group(NamedTuple):
    """Sections that are cut as one."""

    path: tuple[str, ...]
    units: list[Sized]


class Packer:
    """Packs the sections of one document after the other."""

    def __init__(self, config: ChunkConfig, tokens: WordTokens) -> None:
        """Keep the settings, of which `max_tokens` must be set.

        Raises:
            ValueError: it is not.
        """
        if config.max_tokens is None:
            raise ValueError("documents are cut only where chunk.max_tokens is set")
        self._config, self._tokens, self._limit = config, tokens, config.max_tokens

    def pack(self, text: str, title: str | None, sections: Sequence[tuple[Section, list[int]]]) -> list[Passage]:
        """The passages of a document, in order.

        Args:
            text: of the document.
            title: of the document, put before the headings.
            sections: in order, each with the tokens of its units.
        """
        return [
            passage
            for group in self._groups(title, sections)
            for passage in self._pack_group(text, join_title(title, group.path), group.units)
        ]

    def room(self, title: str) -> int:
        """Tokens left for the text under this title: at least half of the limit."""
        return max(self._limit // 2, self._limit - self._tokens.own_marks - self._tokens.count([title])[0])

    def _groups(self, title: str | None, sections: Sequence[tuple[Section, list[int]]]) -> list[Group]:
        """Sections, the short ones with what is beside them as far as they fit."""
        groups: list[Group] = []
        for section, tokens in sections:
            sized = [Sized(*pair) for pair in zip(section.units, tokens, strict=True)]
            if groups and min(total(groups[-1].units), total(sized)) < self._config.min_tokens:
                path = _common(groups[-1].path, section.path)
                if total(groups[-1].units) + total(sized) <= self.room(join_title(title, path)):
                    groups[-1] = Group(path, groups[-1].units + sized)
                    continue
            groups.append(Group(section.path, sized))
        return groups

    def _pack_group(self, text: str, title: str, units: list[Sized]) -> list[Passage]:
        room = self.room(title)
        fitting = [part for unit in units for part in self._torn(text, unit, room)]
        passages: list[Passage] = []
        before, first, repeated, held = 0, 0, 0, 0
        for number, (_, tokens) in enumerate(fitting):
            if number > first and held + tokens > room:
                passages.append(_passage(fitting, first - repeated, first, number, title))
                before, first = first, number
                most = min(self._config.overlap_tokens, room - tokens)
                repeated, held = _overlap(fitting[before + 1 : first], most)
            held += tokens
        own = total(fitting[first:])
        if passages and own < self._config.min_tokens:
            enough = max(self._config.min_tokens, held) - own
            repeated, _ = _overlap(fitting[before + 1 : first], room - own, enough)
        return [*passages, _passage(fitting, first - repeated, first, len(fitting), title)]

    def _torn(self, text: str, sized: Sized, room: int) -> list[Sized]:
        """The unit, or its parts where it does not fit: lines of what is no sentence, then words."""
        unit, tokens = sized
        if tokens <= room:
            return [sized]
        if not unit.is_sentence:
            lines = text[unit.start : unit.end].splitlines(keepends=True)
            if len(lines) > 1:
                counted = zip(_places(unit.start, lines), self._tokens.count(lines), strict=True)
                return [part for place, count in counted for part in self._torn(text, Sized(place, count), room)]
        return self._torn_at_words(text, unit, room)

    def _torn_at_words(self, text: str, unit: Unit, room: int) -> list[Sized]:
        parts: list[Sized] = []
        start = end = unit.start
        held = 0
        for word, tokens in self._tokens.words(text[unit.start : unit.end], room):
            if held and held + tokens > room:
                parts.append(Sized(Unit(start, end, is_sentence=False), held))
                start, held = end, 0
            end, held = end + len(word), held + tokens
        return [*parts, Sized(Unit(start, unit.end, is_sentence=False), held)]


def total(units: Sequence[Sized]) -> int:
    """Tokens of all units."""
    return sum(tokens for _, tokens in units)


def join_title(title: str | None, path: Sequence[str]) -> str:
    """The title of the document and the headings down to a section, `Title > Section`; a title is not said twice."""
    bare = (title or "").casefold().strip()
    names = [title] if title and bare else []
    below = path[1:] if path and path[0].casefold().strip() == bare else path
    return PATH_JOINT.join([*names, *below])


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    same = [one == other for one, other in zip(left, right, strict=False)]
    return left[: same.index(False) if False in same else len(same)]


def _overlap(units: Sequence[Sized], most: int, enough: int | None = None) -> tuple[int, int]:
    """How many of the last units, whole sentences, are to be repeated, and their tokens: at most so many together."""
    number, held = 0, 0
    for unit, tokens in reversed(units):
        if not unit.is_sentence or held + tokens > most or (enough is not None and held >= enough):
            break
        number, held = number + 1, held + tokens
    return number, held


def _passage(units: list[Sized], start: int, own: int, end: int, title: str) -> Passage:
    return Passage(units[start].unit.start, units[own].unit.start, units[end - 1].unit.end, title)


def _places(start: int, lines: list[str]) -> list[Unit]:
    places = []
    for line in lines:
        places.append(Unit(start, start + len(line), is_sentence=False))
        start += len(line)
    return places
