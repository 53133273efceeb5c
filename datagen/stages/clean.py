"""First stage: the user's files become corpus, queries and pairs that every later stage can rely on."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from datagen import cleaning, shards
from datagen.backends.protocols import Backends
from datagen.chunking import Chunker, PairPointer, check_ids
from datagen.config import RunConfig, StageName
from datagen.errors import InputError
from datagen.run_folder import Counts
from datagen.sources import (
    RawInput,
    RunTables,
    Slices,
    input_fingerprint,
    load_input,
    locate_run,
    shape_nothing,
)
from datagen.stages.base import Work
from datagen.storage import link_file, make_folder, remove_folder
from datagen.tables import CORPUS, EARLIER_CANDIDATES

log = logging.getLogger(__name__)

ROWS_PER_PART = 250_000
_SLICE = 65_536
_AS_READ = "as_read"
"""Folder of the documents as they were read, which are looked at more than once."""
_LISTED = 20
"""Adversarial documents named in the report, at most."""
_HEADLINES = {"corpus": "documents", "queries": "queries", "pairs": "pairs"}


class Clean:
    """Reads the input, drops what cannot be used, and writes the rest."""

    name: StageName = "clean"
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ("corpus", "queries", "pairs", "dropped")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """What the input holds, which columns and split of it are read, and what counts as unusable."""
        if config.input.run is not None:
            return {"input": input_fingerprint(config.input)}
        chosen = config.input.model_dump(include={"anchor_column", "positive_column", "split"})
        values = {"input": input_fingerprint(config.input), **chosen, **config.clean.model_dump()}
        if not config.chunk.enabled:
            return values
        return {**values, "chunk": config.chunk.model_dump(), "tokenizer": backends.token_counter_identity()}

    def run(self, work: Work) -> Counts:
        """Write the usable rows and the dropped ones; queries and pairs only when the input has them.

        Raises:
            InputError: the input cannot be read, or nothing of it can be used.
        """
        if work.config.input.run is not None:
            return _take_over(work, locate_run(work.config.input.run))
        loaded = load_input(work.config.input)
        with _spooled(work.partial / _AS_READ, loaded.corpus) as corpus:
            return self._clean(work, dataclasses.replace(loaded, corpus=corpus))

    def _clean(self, work: Work, raw: RawInput) -> Counts:
        result = cleaning.clean_tables(raw, work.config.clean)
        for sentence in cleaning.explain(result, work.config.clean):
            log.warning("%s", sentence)
        _check_something_is_left(raw, result)
        tables = {"dropped": result.dropped}
        pairs, counts = _write_corpus(work, result)
        if work.config.input.has_queries or work.config.input.is_empty:
            tables |= {"queries": result.queries, "pairs": pairs}
        _write(work, tables)
        return _headline(result.counts) | counts | {"tables": result.counts, **_adversarial(result.dropped)}


class Spool:
    """Documents on disk, in slices of even size, as often as they are wanted."""

    def __init__(self, folder: Path, documents: Slices) -> None:
        """Write them into a folder, which must not be there."""
        self._folder = folder
        self.rows = shards.write_parts(folder, "corpus", documents)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The documents in order; one empty frame where there are none."""
        yield from shards.iterate(self._folder, CORPUS.names, _SLICE) if self.rows else [shape_nothing()]


@contextlib.contextmanager
def _spooled(folder: Path, documents: Slices) -> Iterator[Spool]:
    """The documents on disk as long as the block runs; what an interrupted stage left there goes first."""
    try:
        remove_folder(folder)
        yield Spool(folder, documents)
    finally:
        remove_folder(folder)


def _check_something_is_left(raw: RawInput, result: cleaning.CleanResult) -> None:
    for table, what in (("corpus", "documents"), ("queries", "queries")):
        told = result.counts.get(table, {"given": 0, "kept": 0})
        given = told["given"]
        if given and not told["kept"]:
            reasons = _reasons(result.counts[table])
            hint = f"; of the pairs {_reasons(result.counts['pairs'])}" if table == "queries" else ""
            examples = _examples(raw) if table == "queries" else ""
            raise InputError(f"none of the {given:,} {what} can be used ({reasons}{hint}){examples}")


def _take_over(work: Work, tables: RunTables) -> Counts:
    """Tables of an earlier run, which was cleaned then; of what it dropped, the rows that mining looks at."""
    for table in ("corpus", "queries", "pairs", "candidates"):
        folder = work.partial / (EARLIER_CANDIDATES if table == "candidates" else table)
        remove_folder(folder)
        make_folder(folder)
        for path in tables[table]:
            link_file(path.resolve(), folder / path.name)
    dropped = [pl.read_parquet(path, glob=False).filter(pl.col("stage") == "verify") for path in tables["dropped"]]
    work.write("dropped", [pl.concat(dropped)] if dropped else [])
    kept = {rows: shards.scan(work.partial / table).select(pl.len()) for table, rows in _HEADLINES.items()}
    return {f"{rows}_kept": int(number.collect().item()) for rows, number in kept.items()}


def _headline(tables: Mapping[str, Mapping[str, Any]]) -> Counts:  # Any: as in cleaning.Counts
    counts: Counts = {}
    for table, told in tables.items():
        rows = _HEADLINES[table]
        counts |= {f"{rows}_kept": told["kept"], f"{rows}_dropped": told["given"] - told["kept"]}
    return counts


def _adversarial(dropped: pl.DataFrame) -> Counts:
    """The first documents that were dropped as adversarial, each with why."""
    rows = dropped.filter(pl.col("reason") == cleaning.ADVERSARIAL).head(_LISTED)
    why = pl.col("payload").str.json_path_match("$.why")
    return {"adversarial": rows.select("key", why=why).rename({"key": "doc_id"}).to_dicts()} if len(rows) else {}


def _reasons(counts: Mapping[str, Any]) -> str:  # Any: numbers, and a table of numbers by reason
    return ", ".join(f"{number:,} {reason}" for reason, number in counts["dropped"].items()) or "none dropped"


def _examples(raw: RawInput) -> str:
    """Ids side by side: the usual cause is that two files count differently."""
    pairs, queries, corpus = raw.pairs.head(1), raw.queries.head(1), next(iter(raw.corpus)).head(1)
    return (
        f": the pairs name query {pairs['query_id'].to_list()} and document {pairs['doc_id'].to_list()}, the queries "
        f"have ids like {queries['query_id'].to_list()}, the corpus like {corpus['doc_id'].to_list()}; make them match"
    )


def _write_corpus(work: Work, result: cleaning.CleanResult) -> tuple[pl.DataFrame, Counts]:
    """Write the corpus, its long documents cut where that is wanted; the pairs as they then are, and what was cut."""
    if not work.config.chunk.enabled:
        work.write("corpus", _parts(_advancing(work, "write documents", result.corpus)))
        return result.pairs, {}
    chunker = Chunker(work.config.chunk, work.backends.token_counter())
    pointer = PairPointer(result.pairs, result.queries)
    work.write("corpus", _parts(_cut(work, result.corpus, chunker, pointer)))
    counts: Counts = {
        "documents_cut": chunker.documents_cut,
        "passages_cut": chunker.passages,
        "html_documents": chunker.html_documents,
        "pairs_pointed": pointer.moved,
        "pairs_without_shared_words": pointer.without_shared_words,
    }
    return pointer.pointed(), counts


def _advancing(work: Work, name: str, corpus: cleaning.CleanCorpus) -> Iterator[pl.DataFrame]:
    with work.progress.step(name, len(corpus), "documents") as advance:
        for documents in corpus:
            yield documents
            advance(len(documents))


def _cut(work: Work, corpus: cleaning.CleanCorpus, chunker: Chunker, pointer: PairPointer) -> Iterator[pl.DataFrame]:
    for documents in _advancing(work, "cut documents", corpus):
        for _, chunks in chunker.cut(documents):
            check_ids(corpus.ids, chunks)
            pointer.see(chunks.cut)
            yield chunks.corpus


def _parts(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The frames put together to parts of enough rows."""
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(map(len, held)) >= ROWS_PER_PART:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _write(work: Work, tables: Mapping[str, pl.DataFrame]) -> None:
    total = sum(len(frame) for frame in tables.values())
    with work.progress.step("write clean tables", total, "rows") as advance:
        for table, frame in tables.items():
            work.write(table, shards.slices(frame, ROWS_PER_PART))
            advance(len(frame))
