"""The tables of a generating stage: what stages before wrote stays in place, new parts are laid beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pyarrow as pa

from datagen import shards, storage
from datagen.generation.outcome import NOT_ASKED, Lineage, Outcome, Step
from datagen.generation.slots import digest
from datagen.generation.tally import Tally
from datagen.generation.words import normalise
from datagen.json_text import dump_json
from datagen.tables import GENERATED, GENERATED_ORIGIN, SCHEMAS

DUPLICATE_QUERY = "duplicate_query"
GROWING = ("corpus", "queries", "pairs")
"""Tables that hold rows of the stages before, too."""
STAGE = "generate"

_ROWS_PER_PART = 10_000
_SHORT_CHARACTERS = 500
"""Of texts that several rows may write in the same words: labels."""
_POSITIVE_MARK, _NEGATIVE_MARK, _DERIVED_MARK = "p", "n", "cloze"


class Output:
    """Sorts outcomes into the tables, in the order in which they come, and counts them."""

    def __init__(self, folder: Path, earlier: Mapping[str, list[Path]], recipe: str) -> None:
        """Begin the tables.

        Args:
            folder: where the tables of the stage are written.
            earlier: the parts that stages before wrote of the growing tables.
            recipe: what was asked: a column of generations.
        """
        self.tally = Tally()
        self._recipe = recipe
        self._tables = {name: GrowingTable(folder, name, earlier.get(name, [])) for name in (*GROWING, "dropped")}
        self._generations = GrowingTable(folder, "generations", [])
        self._seen = _SeenQueries(earlier.get("queries", []))
        self._short = _ShortPassages(earlier.get("corpus", []))

    def add(self, outcome: Outcome) -> None:
        """Take in what became of a row; a query asked before becomes a second positive of the first one."""
        if outcome.reason == NOT_ASKED:
            self.tally.not_asked += 1
        elif outcome.written is None or outcome.reason:
            self._reject(outcome, outcome.reason)
        elif twin := self._seen.earlier(outcome):
            for doc_id in outcome.positives:
                self._tables["pairs"].add(_pair(twin, doc_id))
            self._reject(outcome, DUPLICATE_QUERY)
        else:
            self._accept(outcome)

    @property
    def accepted(self) -> int:
        """Rows kept so far."""
        return self.tally.all_kinds.queries

    def close(self) -> None:
        """Write what is still in memory; `generations` only where a language model was asked."""
        for table in self._tables.values():
            table.flush(last=True)
        self._generations.flush()

    def _accept(self, outcome: Outcome) -> None:
        self.tally.accept(outcome)
        if outcome.written and outcome.written.query:
            self._tables["queries"].add(_query(outcome))
        negative_id = self._short.negative_id(outcome)
        for passage in _passages(outcome, negative_id):
            self._tables["corpus"].add(passage)
        for pair in _pairs(outcome, negative_id):
            self._tables["pairs"].add(pair)
        for negative in _dropped_negatives(outcome):
            self._tables["dropped"].add(negative)
        self._trace(outcome, "accepted", "")

    def _reject(self, outcome: Outcome, reason: str) -> None:
        self.tally.reject(outcome, reason)
        self._tables["dropped"].add(_dropped(outcome, reason))
        self._trace(outcome, "rejected", reason)

    def _trace(self, outcome: Outcome, status: str, reason: str) -> None:
        if outcome.lineage is None:
            return
        self._generations.add(
            {
                "row_id": outcome.row_id,
                "doc_id": outcome.source.doc_id,
                "recipe": self._recipe,
                "generator": outcome.generator,
                "slots": as_json(outcome.slots),
                "prompt": outcome.lineage.prompt,
                "answer": None if outcome.lineage.answer is None else as_json(outcome.lineage.answer),
                "status": status,
                "reason": reason,
                "rung": outcome.lineage.rung,
                "asks": outcome.lineage.asks,
                "prompt_tokens": outcome.lineage.prompt_tokens,
                "completion_tokens": outcome.lineage.completion_tokens,
                "cost": outcome.lineage.cost,
                "steps": _steps(outcome.lineage),
            }
        )


class GrowingTable:
    """A table that keeps the parts of the stages before and gets new ones; few rows are in memory at a time."""

    def __init__(self, folder: Path, name: str, earlier: list[Path], stage: str = STAGE) -> None:
        """Begin a table of this name below a folder, after the parts that are there already."""
        folder = folder / name
        self._name, self._folder = name, folder
        self._prefix = stage if name == "dropped" else "part"
        self._rows: list[dict[str, object]] = []
        self._next = len(earlier)
        storage.remove_folder(folder)  # parts of a call that was killed: they are written again
        if earlier:
            storage.make_folder(folder)
        for number, part in enumerate(earlier):
            storage.link_file(part, folder / shards.part_name(number))

    def add(self, row: dict[str, object]) -> None:
        """Take in a row, and write a part when there are enough."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_PER_PART:
            self.flush()

    def flush(self, last: bool = False) -> None:
        """Write the rows in memory; at the end an empty part, should there be no other."""
        if self._rows or (last and not self._next):
            path = self._folder / shards.part_name(self._next, self._prefix)
            shards.write_part(path, self._name, pa.Table.from_pylist(self._rows, schema=SCHEMAS[self._name]))
            self._next += 1
            self._rows = []


class _SeenQueries:
    """Which query already asks the same, over all batches and the user's own; about 200 bytes a query."""

    def __init__(self, parts: Iterable[Path]) -> None:
        self._ids: dict[bytes, str] = {}
        for part in parts:
            for query_id, query in pl.read_parquet(part, columns=["query_id", "query"]).iter_rows():
                self._first(query, query_id)

    def earlier(self, outcome: Outcome) -> str | None:
        """The id of the first query of equal text after normalisation; None when this is the first one, or none."""
        if outcome.written is None or not outcome.written.query:
            return None
        return self._first(outcome.written.query, outcome.row_id)

    def _first(self, query: str, own_id: str) -> str | None:
        first = self._ids.setdefault(digest(normalise(query), size=12), own_id)
        return first if first != own_id else None


class _ShortPassages:
    """Which short passage already says the same, the user's own and written ones, so that a label is one document."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._parts, self._ids = list(parts), dict[bytes, str]()

    def negative_id(self, outcome: Outcome) -> str:
        """The id of the written negative: of an earlier passage of equal text after normalisation, or its own.

        It is never that of the row's own positive.
        """
        written, own_id = outcome.written, _passage_id(outcome, _NEGATIVE_MARK)
        positive_id = _passage_id(outcome, _POSITIVE_MARK)
        if written and written.passage is not None and not outcome.derived:
            self._first(written.passage, positive_id)
        if written is None or written.negative is None:
            return own_id
        first = self._first(written.negative, own_id)
        return own_id if first in (positive_id, outcome.source.doc_id, *outcome.positives) else first

    def _first(self, text: str, own_id: str) -> str:
        if len(text) > _SHORT_CHARACTERS:
            return own_id
        while self._parts:  # only read where a row writes something short
            self._read(self._parts.pop(0))
        return self._ids.setdefault(digest(normalise(text), size=12), own_id)

    def _read(self, part: Path) -> None:
        plain = (pl.col("text").str.len_chars() <= _SHORT_CHARACTERS) & (pl.col("title").fill_null("") == "")
        passages = pl.scan_parquet(part).filter(plain).select("doc_id", "text").collect()
        for doc_id, text in passages.iter_rows():
            self._ids.setdefault(digest(normalise(text), size=12), doc_id)


def _steps(lineage: Lineage) -> str | None:
    steps = [asdict(step) for step in lineage.steps]
    return dump_json(steps).decode() if steps else None


def _query(outcome: Outcome) -> dict[str, object]:
    written = outcome.written
    slots = {**outcome.slots, "span": written.span if written else None, "tried": dict(outcome.tried)}
    return {
        "query_id": outcome.row_id,
        "query": written.query if written else "",
        "instruction": written.instruction if written else None,
        "language": outcome.languages[0],
        "origin": GENERATED,
        "slots": as_json(slots),
        "generator": outcome.generator,
    }


def _pairs(outcome: Outcome, negative_id: str) -> Iterator[dict[str, object]]:
    """The query of the row with all its passages; a written negative has relevance 0."""
    written = outcome.written
    query_id = outcome.row_id if written and written.query else outcome.query_id
    if written is None or not query_id:
        return
    for doc_id in outcome.positives:
        yield _pair(query_id, doc_id)
    if written.passage is not None:
        yield _pair(query_id, _passage_id(outcome, _POSITIVE_MARK))
    if written.negative is not None:
        yield _pair(query_id, negative_id, relevance=0.0)


def _pair(query_id: str, doc_id: str, relevance: float = 1.0) -> dict[str, object]:
    return {"query_id": query_id, "doc_id": doc_id, "relevance": relevance, "source": GENERATED}


def _passages(outcome: Outcome, negative_id: str) -> Iterator[dict[str, object]]:
    """The passages that a row writes and that are not there yet."""
    written, source = outcome.written, outcome.source
    if written and written.passage is not None:
        meta = {"parent": source.doc_id} if outcome.derived else {}
        yield _passage(outcome, _POSITIVE_MARK, written.passage, meta)
    if written and written.negative is not None and negative_id == _passage_id(outcome, _NEGATIVE_MARK):
        yield _passage(outcome, _NEGATIVE_MARK, written.negative, {})


def _passage(outcome: Outcome, mark: str, text: str, meta: Mapping[str, str]) -> dict[str, object]:
    return {
        "doc_id": _passage_id(outcome, mark),
        "title": outcome.source.title if outcome.derived and mark == _POSITIVE_MARK else None,
        "text": text,
        "language": outcome.languages[1],
        "origin": f"{GENERATED_ORIGIN}{outcome.kind}",
        "meta": as_json(meta) if meta else None,
    }


def _passage_id(outcome: Outcome, mark: str) -> str:
    """The name of a passage that a row writes; one made of another passage carries its name."""
    row = outcome.row_id.removeprefix("g-")
    if outcome.derived and mark == _POSITIVE_MARK:
        return f"{outcome.source.doc_id}#{_DERIVED_MARK}-{row[:8]}"
    return f"{mark}-{row}"


def _dropped(outcome: Outcome, reason: str) -> dict[str, object]:
    query = outcome.written.query if outcome.written else None
    payload = {
        "doc_id": outcome.source.doc_id,
        "kind": outcome.kind,
        "query": query,
        "tried": dict(outcome.tried),
        **_judged(outcome),
    }
    return {"stage": STAGE, "key": outcome.row_id, "reason": reason, "payload": as_json(payload)}


def _dropped_negatives(outcome: Outcome) -> Iterator[dict[str, object]]:
    """What a judge has left out of a row that was kept, keyed by the ids of query and passage."""
    for step in _against(outcome):
        key = f"{outcome.query_id or outcome.row_id}\t{_passage_id(outcome, _NEGATIVE_MARK)}"
        payload = as_json({"doc_id": outcome.source.doc_id, **_judged(outcome)})
        yield {"stage": STAGE, "key": key, "reason": step.reason, "payload": payload}


def _judged(outcome: Outcome) -> dict[str, object]:
    """What a judge has against a row, in its words."""
    return {step.step: {"generator": step.generator, **step.said} for step in _against(outcome)}


def _against(outcome: Outcome) -> list[Step]:
    steps = outcome.lineage.steps if outcome.lineage else ()
    return [step for step in steps if step.is_judge and step.reason]


def as_json(values: Mapping[str, object]) -> str:
    """Values of a row as one JSON text."""
    return dump_json(values).decode()
