"""The pages of the documentation site, made from what the project already says: a hook of MkDocs.

README, changelog and rules for contributors as they are; a page for each stage (its docstrings and its settings), for
each set of figures in `benchmarks/README.md`, for each notebook; and the reference of the Python functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbconvert
import pyarrow as pa
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel

from datagen.config import STAGE_ORDER, RunConfig
from datagen.tables import SCHEMAS

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Documents that are pages as they are."""
FIGURES = "benchmarks/README.md"
_SECTIONS = {"embed": "teacher", "choose": "mine.choice"}
"""Where the settings of a stage are, if not under its own name."""
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")
_HEAD = re.compile(r"^## (.+)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add all pages to those of the folder, which has none of its own."""
    for name, text in _make_pages():
        files.append(File.generated(config, name, content=text))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The order of the pages."""
    config.nav = [
        {"Home": "index.md"},
        {"Stages": [{name: f"stages/{name}.md"} for name in _stages()]},
        {"Figures": [{title: page} for title, page, _ in _figures()]},
        {"Notebooks": [{_title(path): f"notebooks/{path.stem}.md"} for path in _notebooks()]},
        {"Reference": [{"Python functions": "reference/functions.md"}, {"Tables": "reference/tables.md"},
                       {"Settings": "reference/settings.md"}, {"Parts to swap": "reference/protocols.md"},
                       {"Errors": "reference/errors.md"}]},
        {"Contributing": "contributing.md"},
        {"Changelog": "changelog.md"},
    ]  # fmt: skip
    return config


def _make_pages() -> Iterator[tuple[str, str]]:
    for source, page in PAGES.items():
        yield page, _relink((ROOT / source).read_text(encoding="utf-8"), page)
    for name in _stages():
        yield f"stages/{name}.md", _stage_page(name)
    for _, page, text in _figures():
        yield page, _relink(text, page)
    for path in _notebooks():
        text, _ = nbconvert.MarkdownExporter().from_filename(str(path))
        yield f"notebooks/{path.stem}.md", _relink(text, f"notebooks/{path.stem}.md")
    yield "reference/functions.md", "# Python functions\n\n::: datagen.api\n\n::: datagen.runs\n"
    yield "reference/tables.md", "\n".join(["# Tables of a run folder", *_table_lines()])
    yield "reference/settings.md", "\n".join(["# Settings", *_setting_lines("", RunConfig)])
    yield "reference/protocols.md", "# Parts to swap\n\n::: datagen.backends.protocols\n"
    yield "reference/errors.md", "\n".join(["# Errors", "", "::: datagen.errors", ""])


def _stages() -> list[str]:
    return [name for name in STAGE_ORDER if (ROOT / "datagen" / "stages" / f"{name}.py").exists()]


def _stage_page(name: str) -> str:
    lines = [f"# {name}", "", f"::: datagen.stages.{name}", "", "## Settings", ""]
    return "\n".join([*lines, *_setting_lines(_SECTIONS.get(name, name), _section(_SECTIONS.get(name, name)))])


def _section(path: str) -> type[BaseModel] | None:
    """The settings under a dotted name, None where a stage has none."""
    found: object = RunConfig
    for part in path.split("."):
        fields = getattr(found, "model_fields", {})
        found = fields[part].annotation if part in fields else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _setting_lines(path: str, section: type[BaseModel] | None) -> Iterator[str]:
    """A table of settings, that of each section among them after it."""
    if section is None:
        yield "This stage has none of its own."
        return
    yield f"## `{path}`" if path else "## At the top"
    yield from ("", "| setting | default | what it is |", "| --- | --- | --- |")
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner.append((f"{path}.{name}".lstrip("."), field.annotation))
            continue
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        yield f"| `{name}` | `{default}` | {_cell(field.description or '')} |"
    yield ""
    for inside, kind in inner:
        yield from _setting_lines(inside, kind)


def _table_lines() -> Iterator[str]:
    for name, schema in SCHEMAS.items():
        yield from ("", f"## {name}", "", "| column | type | may be null |", "| --- | --- | --- |")
        for field in schema:
            yield from _column_lines(field)


def _column_lines(field: pa.Field) -> Iterator[str]:
    yield f"| `{field.name}` | {_cell(str(field.type))} | {'yes' if field.nullable else 'no'} |"


def _figures() -> list[tuple[str, str, str]]:
    """Title, page and text of each part of the benchmarks."""
    parts = _HEAD.split((ROOT / FIGURES).read_text(encoding="utf-8"))
    said = parts[0].partition("\n")[2].strip()
    pages = [("How they are made", "figures/index.md", f"# Figures\n\n{said}\n")]
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        pages.append((title, f"figures/{slug}.md", f"# {title}\n{text}"))
    return pages


def _notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def _title(path: Path) -> str:
    return path.stem.partition("_")[2].replace("_", " ").capitalize() or path.stem


def _relink(text: str, page: str) -> str:
    """Links to files of the checkout become links to their pages, or plain words where they have none."""
    up = "../" * page.count("/")
    pages = {**PAGES, FIGURES: "figures/index.md"}

    def mend(found: re.Match[str]) -> str:
        target = pages.get(found[2].partition("#")[0])
        return f"[{found[1]}]({up}{target})" if target else found[1]

    return _LINK.sub(mend, text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
