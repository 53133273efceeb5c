"""What a section of the page is made of."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A chart with a sentence on what it shows."""

    title: str
    says: str
    svg: Markup


@dataclass(frozen=True)
class Table:
    """A few rows under their heads."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[object, ...]]
    says: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page; one without parts is left out."""

    name: str
    parts: tuple[Figure | Table, ...] = ()


def figure(title: str, svg: str, says: str = "") -> Figure:
    """A figure of SVG that Vega has drawn, which escapes the texts in it."""
    return Figure(title, says, Markup(svg))  # noqa: S704 - see above
