"""Generate: queries for the passages of the corpus, each with its passage as the known positive.

The passages are read in batches; what stages before have written of corpus, queries and pairs stays in place and new
parts are laid beside it. Which LLM answers, this stage does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from datagen import shards, storage
from datagen.backends.protocols import LLM, Backends, CorpusReader, LLMReply, LLMRequest
from datagen.config import RunConfig, StageName
from datagen.documents import GENERATED_ORIGIN
from datagen.errors import InputError, RunFolderError
from datagen.generation.plan import Ask, Plan, Sample, Source, check_kinds, write_queries
from datagen.generation.slots import digest
from datagen.generation.tally import Tally
from datagen.generation.words import normalise
from datagen.run_folder import Counts
from datagen.stages.base import Work
from datagen.tables import SCHEMAS

DUPLICATE_QUERY = "duplicate_query"

_BATCH = 2048
_ROWS_PER_PART = 64_000
_SOURCE = "generated"
_COLUMNS = ["doc_id", "title", "text", "language"]
_GROWING = ("corpus", "queries", "pairs")


class Generate:
    """Reads the corpus; writes queries, pairs, shortened passages and what was rejected."""

    name: StageName = "generate"
    reads = ("corpus", "queries", "pairs")
    writes = ("corpus", "queries", "pairs", "dropped")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The settings of the section, the name of the LLM among them, and the seed.

        Raises:
            ConfigError: the mix names an unknown kind of query.
        """
        check_kinds(config.generate.mix)
        return {**config.generate.model_dump(mode="json"), "seed": config.seed}

    def run(self, work: Work) -> Counts:
        """Ask, check and write, batch by batch; asked, accepted, rejected per reason, kinds, lexical overlap.

        Raises:
            InputError: there is no passage, or no query could be kept.
        """
        corpus = work.source("corpus")
        total = shards.scan(corpus).select(pl.len()).collect().item()
        llm = work.backends.llm()
        if isinstance(llm, CorpusReader):
            llm.read_corpus(_shown(work, corpus, total))
        writer = _Writer(work, llm.name)
        plan = Plan(work.config.generate, work.config.seed)
        with _asking(llm) as ask, work.progress.step("write queries", total, "passages") as advance:
            for batch in _batches(corpus):
                writer.add(write_queries(batch, plan, ask), len(batch))
                advance(len(batch))
        writer.close()
        _check_any(writer.tally)
        return writer.tally.counts()


class _Writer:
    """Sorts samples into the tables of the stage, and counts them."""

    def __init__(self, work: Work, generator: str) -> None:
        self.tally = Tally()
        self._generator = generator
        self._tables = {name: _GrowingTable(work, name) for name in (*_GROWING, "dropped")}
        self._seen = _SeenQueries(self._tables["queries"].earlier)

    def add(self, samples: Sequence[Sample], passages: int) -> None:
        """Take in the samples of a batch of passages, in corpus order."""
        self.tally.passages += passages
        for sample in samples:
            if sample.written is None:
                self._reject(sample, sample.reason)
            elif twin := self._seen.earlier(sample.written.query, sample.query_id):
                self._tables["pairs"].add(_pair(twin, sample.source.doc_id))
                self._reject(sample, DUPLICATE_QUERY)
            else:
                self._accept(sample)

    def close(self) -> None:
        """Write what is still in memory."""
        for table in self._tables.values():
            table.flush(last=True)

    def _accept(self, sample: Sample) -> None:
        self.tally.accept(sample)
        self._tables["queries"].add(_query(sample, self._generator))
        self._tables["pairs"].add(_pair(sample.query_id, sample.source.doc_id))
        if shortened := _shortened(sample):
            self._tables["corpus"].add(shortened)
            self._tables["pairs"].add(_pair(sample.query_id, str(shortened["doc_id"])))

    def _reject(self, sample: Sample, reason: str) -> None:
        self.tally.reject(sample, reason)
        self._tables["dropped"].add(_dropped(sample, reason))


class _GrowingTable:
    """A table that keeps the parts of the stages before and gets new ones; few rows are in memory at a time."""

    def __init__(self, work: Work, name: str) -> None:
        self._name = name
        self._folder = work.partial / name
        self._prefix = work.stage if name == "dropped" else "part"
        self._rows: list[dict[str, object]] = []
        self.earlier = _earlier_parts(work, name) if name in _GROWING else []
        storage.make_folder(self._folder)
        for number, part in enumerate(self.earlier):
            target = self._folder / shards.part_name(number)
            target.unlink(missing_ok=True)
            storage.link_file(part, target)
        self._next = len(self.earlier)

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
                self.earlier(query, query_id)

    def earlier(self, query: str, own_id: str) -> str | None:
        """The id of the first query of equal text after normalisation; None when this is the first one."""
        first = self._ids.setdefault(digest(normalise(query), size=12), own_id)
        return first if first != own_id else None


def _query(sample: Sample, generator: str) -> dict[str, object]:
    slots = {
        "kind": sample.kind,
        "doc_id": sample.source.doc_id,
        "sample": sample.number,
        "take": sample.take,
        "span": sample.written.span if sample.written else None,
        "tried": sample.tried,
    }
    return {
        "query_id": sample.query_id,
        "query": sample.written.query if sample.written else "",
        "language": sample.source.language,
        "origin": _SOURCE,
        "slots": json.dumps(slots, ensure_ascii=False),
        "generator": generator,
    }


def _pair(query_id: str, doc_id: str) -> dict[str, object]:
    return {"query_id": query_id, "doc_id": doc_id, "relevance": 1.0, "source": _SOURCE}


def _shortened(sample: Sample) -> dict[str, object] | None:
    """The passage without its query, as a document that names its parent."""
    if sample.written is None or sample.written.passage is None:
        return None
    return {
        "doc_id": f"{sample.source.doc_id}#cloze-{sample.query_id.removeprefix('g-')[:8]}",
        "title": sample.source.title,
        "text": sample.written.passage,
        "language": sample.source.language,
        "origin": f"{GENERATED_ORIGIN}{sample.kind}",
        "meta": json.dumps({"parent": sample.source.doc_id}, ensure_ascii=False),
    }


def _dropped(sample: Sample, reason: str) -> dict[str, object]:
    query = sample.written.query if sample.written else None
    payload = {"doc_id": sample.source.doc_id, "kind": sample.kind, "query": query, "tried": sample.tried}
    return {
        "stage": "generate",
        "key": sample.query_id,
        "reason": reason,
        "payload": json.dumps(payload, ensure_ascii=False),
    }


def _batches(corpus: Path) -> Iterator[list[Source]]:
    for part in sorted(corpus.glob("*.parquet")):
        for batch in pq.ParquetFile(part).iter_batches(_BATCH, columns=_COLUMNS):
            yield [Source(*row) for row in zip(*(batch[name].to_pylist() for name in _COLUMNS), strict=True)]


def _shown(work: Work, corpus: Path, total: int) -> Iterator[str]:
    """All passages for a generator that wants to see them first."""
    with work.progress.step("read the corpus", total, "passages") as advance:
        for batch in _batches(corpus):
            yield from (f"{source.title or ''} {source.text}" for source in batch)
            advance(len(batch))


def _earlier_parts(work: Work, table: str) -> list[Path]:
    try:
        return sorted(work.source(table).glob("*.parquet"))
    except RunFolderError:  # no stage before has written such a table
        return []


@contextlib.contextmanager
def _asking(llm: LLM) -> Iterator[Ask]:
    """One event loop for all requests, in a thread of its own: the caller may have a loop, as notebooks do."""
    runner = asyncio.Runner()
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            yield lambda requests: thread.submit(runner.run, _answers(llm, requests)).result()
        finally:
            thread.submit(runner.close).result()


async def _answers(llm: LLM, requests: Sequence[LLMRequest]) -> dict[str, LLMReply]:
    return {reply.row_id: reply async for reply in llm.complete(requests)}


def _check_any(tally: Tally) -> None:
    if tally.passages == 0:
        raise InputError("the corpus holds no passage to write queries for: look at `dropped` for what was left out")
    if tally.all_kinds.queries == 0:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.rejected.most_common())
        raise InputError(
            f"no query could be written for any of the {tally.passages:,} passages ({reasons}): give passages of some "
            "whole sentences, give other kinds weight in generate.mix, or widen generate.min_query_words and "
            "generate.max_query_words"
        )
