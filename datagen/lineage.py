"""Where a row comes from: `datagen why`. The row is written again from its kept answers, and all of it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from datagen import shards
from datagen.config import RunConfig, build_config
from datagen.errors import InputError
from datagen.generation.conversation import Turn, as_text
from datagen.generation.offers import Offers
from datagen.generation.outcome import Outcome
from datagen.generation.recipes.load import load_recipe
from datagen.generation.row_sources import RowSources
from datagen.generation.runtime import loop
from datagen.generation.runtime.journal import open_journal
from datagen.generation.session import Session, Settings
from datagen.generation.tasks import read_tasks
from datagen.run_folder import RunFolder
from datagen.settings.generate import EXTRACTIVE

_KEYS = {"queries": "query_id", "pairs": "query_id", "dropped": "key", "generations": "row_id"}
_SHOWN = {"dropped": ["stage", "reason", "payload"], "pairs": ["doc_id", "relevance", "source"]}


class Section(NamedTuple):
    """One step of a row's way."""

    title: str
    text: str


def explain_row(run: Path, row_id: str) -> Iterator[Section]:
    """What was asked, answered, read and decided for a row, first to last.

    Args:
        run: the run folder; it may be unfinished, if its stage `clean` is done.
        row_id: a query_id, or the key of a row in `dropped`.

    Raises:
        RunFolderError: the folder holds no run.
        InputError: the run has no such row.
    """
    folder = RunFolder(run)
    config = build_config({**folder.read_summary()["settings"], "out": run})
    sections = [*_generation(folder, config, row_id), *_decisions(folder, row_id)]
    if not sections:
        raise InputError(f"{run} has no row {row_id!r}: give a query_id of `queries`, or a key of `dropped`")
    yield from sections


def _generation(folder: RunFolder, config: RunConfig, row_id: str) -> Iterator[Section]:
    generate = config.generate
    if generate.resolved_recipe == EXTRACTIVE or not folder.record("clean"):
        return
    recipe = load_recipe(generate.resolved_recipe, generate.prompts)
    done = [name for name in ("clean", "brainstorm") if folder.record(name)]
    sources = RowSources(recipe, generate, config.seed, lambda table: folder.table(table, done))
    row = sources.find(row_id)
    if row is None:
        return
    tasks = read_tasks(folder.table("tasks", done)) if recipe.brainstorm else None
    turns: list[Turn] = []
    with open_journal(folder.path) as journal:
        (row,) = Offers(recipe, config.seed, journal).attach([row])
        settings = Settings(generate, config.llm, config.seed)
        session = Session(settings, recipe, journal, dict.fromkeys(generate.models), tasks)
        outcome = loop.run(session.writer.write(row, session.generator(row), turns))
    if row.source.text:
        yield Section("passage", f"{row.source.doc_id}: {row.source.title or ''}\n{row.source.text}")
    slots = next((turn.request.slots for turn in turns if not turn.request.step), outcome.slots)
    yield Section("slots", "\n".join(f"{name}: {value}" for name, value in slots.items()))
    for step in dict.fromkeys(turn.request.step for turn in turns):
        of_step = [turn for turn in turns if turn.request.step == step]
        for number, turn in enumerate(of_step, start=1):
            yield from _turn(turn, number, of_step[0])
    yield Section(f"outcome (by {outcome.generator})", _outcome(outcome))


def _turn(turn: Turn, number: int, first: Turn) -> Iterator[Section]:
    reply, usage = turn.reply, turn.reply.usage
    mark = f"{turn.request.step.replace('_', ' ')}: " if turn.request.step else ""
    title = f"{mark}question {number} (at most {turn.request.sampling.max_tokens:,} tokens)"
    yield Section(title, _question(turn, number, first) or "the first question again, as a new sample")
    if reply.error:
        yield Section(f"{mark}answer {number}", f"{reply.error} {reply.detail}".strip())
        return
    facts = f"finish {reply.finish_reason}, {usage.prompt_tokens:,} tokens read, {usage.completion_tokens:,} written"
    yield Section(f"{mark}answer {number} ({facts}, {reply.latency_seconds:.2f} s)", printable(reply.text))
    steps = turn.reading.steps if turn.reading else ()
    told = [f"{rung}: {result}" for rung, result in steps]
    said = [f"{name}: {value}" for name, value in turn.said.items()]
    taken = f"taken: {'no, ' + turn.reason if turn.reason else 'yes'}"
    yield Section(f"{mark}reading {number}", printable("\n".join([*told, *said, taken])))


def _question(turn: Turn, number: int, first: Turn) -> str:
    """What is new in a question, if it goes on from the first one of its kind."""
    asked, before = turn.request.messages, first.request.messages
    goes_on = number > 1 and asked[: len(before)] == before
    return as_text(asked[len(before) :] if goes_on else asked)


def _outcome(outcome: Outcome) -> str:
    if outcome.written is None or outcome.reason:
        return f"not written: {outcome.reason}"
    written = outcome.written
    fields = {"query": written.query, "span": written.span, "passage": written.passage, "negative": written.negative}
    return "\n".join(f"{name}: {value}" for name, value in fields.items() if value)


def _decisions(folder: RunFolder, row_id: str) -> Iterator[Section]:
    """What the tables of the run say of the row."""
    for table, key in _KEYS.items():
        rows = _rows(folder.path / table, key, row_id)
        if rows.is_empty():
            continue
        shown = rows.select(_SHOWN[table]) if table in _SHOWN else rows.drop(key, "prompt", "slots", strict=False)
        lines = [
            ", ".join(f"{name} {value}" for name, value in row.items() if value is not None) for row in shown.to_dicts()
        ]
        yield Section(f"in {table}", printable("\n".join(lines)))
    ledger = _rows(folder.path / "candidates", "query_id", row_id)
    if not ledger.is_empty():
        counts = ledger.group_by("decision", "reason").len().sort("decision", "reason")
        yield Section("in candidates", "\n".join(f"{d}: {reason} {n:,}" for d, reason, n in counts.iter_rows()))


def _rows(table: Path, key: str, value: str) -> pl.DataFrame:
    if not any(table.glob("*.parquet")):
        return pl.DataFrame()
    return shards.scan(table).filter(pl.col(key) == value).collect()


def printable(text: str) -> str:
    """The text without half surrogate pairs, and with control characters shown, that a terminal obeys."""
    mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in mended)
