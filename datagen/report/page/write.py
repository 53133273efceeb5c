"""The page itself: one file, no network, readable on a phone and with the keyboard alone."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from datagen import storage
from datagen.generation.extractive.english import FUNCTION_WORDS
from datagen.report.page.parts import Section
from datagen.report.page.view import view_run
from datagen.runs import Run
from datagen.version import __version__


def write_page(path: Path, runs: Sequence[Run], more: Sequence[Section] = ()) -> None:
    """Write the page of one run, or of several side by side.

    Args:
        path: the file.
        runs: whose tables are shown.
        more: a further section for each run, or none.

    Raises:
        StorageError: the disk refused.
    """
    views = [view_run(run, len(runs)) for run in runs]
    for view, section in zip(views, more, strict=False):
        view.sections.append(section)
    loader = jinja2.PackageLoader("datagen", "report/page")
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, autoescape=True)
    names = list(dict.fromkeys(section.name for view in views for section in view.sections))
    html = environment.get_template("page.html.j2").render(
        views=views,
        names=names,
        version=__version__,
        style=_packaged("page.css"),
        script=_packaged("page.js"),
        samples=_pack({"runs": [view.samples for view in views], "plain": sorted(FUNCTION_WORDS)}),
    )
    storage.write_text(path, html)


def _packaged(name: str) -> Markup:
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _pack(values: object) -> str:
    """JSON as the page's script reads it, packed: letters and digits, so that no text can end the element it is in."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(gzip.compress(text, 9, mtime=0)).decode("ascii")
