"""Training data written in a format: of a run (`datagen export`), or of a data set that was read and repaired."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from datagen import storage
from datagen.errors import ConfigError, StorageError
from datagen.formats.card import CARD, Batches, Exported, count_batches, describe_export
from datagen.formats.catalog import Facts, Format, Numbers, Table
from datagen.formats.content import Content, DatasetContent, open_run_content
from datagen.formats.dataset import SIDES, Dataset
from datagen.formats.fit import Fitting
from datagen.formats.options import ExportOptions
from datagen.formats.ordering import BATCH, Batcher, cut_into_units, keep_rows, sort_by_batch
from datagen.formats.reading import FORMATS, find_format
from datagen.formats.split import assign_splits
from datagen.formats.survey import Survey, survey_content
from datagen.formats.writing import TableWriter
from datagen.progress import Advance, Progress, SilentProgress
from datagen.selection.arrays import Int64, UInt64

_PLACES = ("{query}", "{instruction}")

log = logging.getLogger(__name__)


def export_run(
    run: Path,
    format: str,
    out: Path,
    options: ExportOptions | None = None,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
    batcher: Batcher | None = None,
) -> Exported:
    """Write the training data of a run in a format; the same run and options give the same bytes.

    Args:
        run: the folder of a run that has been mined.
        format: one of `FORMATS`.
        out: the folder to write, which must be new or empty; it appears when it is whole.
        options: see `ExportOptions`; its defaults when None.
        fresh: replace an earlier export in `out`.
        progress: told how far it is.
        batcher: puts the rows into batches, see `datagen.batching`; they stay in the order of the run when None.

    Raises:
        ConfigError: there is no such format, or the options do not fit it.
        RunFolderError: it is no run, or not mined yet.
        StorageError: `out` holds something else, or the disk refused.
        InputError: a split would be empty, or with `short` of `error` a query does not fit.
    """
    options = options or ExportOptions()
    form = find_format(format)
    content = open_run_content(run, _scores_of(form, options))
    if batcher is not None and form.unit is None:
        having = ", ".join(name for name, other in FORMATS.items() if other.unit)
        raise ConfigError(
            f"rows of the format {format!r} cannot stand in batches: leave out --batches, or take {having}"
        )
    return _Export(form, options, content, progress or SilentProgress(), batcher).write(out, fresh=fresh)


def write_dataset(
    dataset: Dataset, out: Path, options: ExportOptions | None = None, *, fresh: bool = False
) -> Exported:
    """Write a data set in its format, with the scores it has; see `export_run`. `options.scores` counts for nothing.

    Raises:
        ConfigError: the format cannot be written, or needs scores that are not there.
        StorageError: `out` holds something else, or the disk refused.
        InputError: a split would be empty, or with `short` of `error` a query does not fit.
    """
    form = find_format(dataset.format)
    has = any(int(dataset.rows[side].explode().struct.field("score").count()) for side in SIDES)
    if form.scores == "required" and not has:
        raise ConfigError(f"the format {form.name!r} needs scores, and {dataset.path} has none: name another format")
    content = DatasetContent(dataset, "file" if has and form.scores != "none" else None)
    return _Export(form, options or ExportOptions(), content, SilentProgress()).write(out, fresh=fresh)


def _scores_of(form: Format, options: ExportOptions) -> Literal["teacher", "reranker"] | None:
    if options.scores and form.scores == "none":
        raise ConfigError(f"the format {form.name!r} has no place for scores: leave out --scores")
    return options.scores or ("teacher" if form.scores == "required" else None)


@dataclass(frozen=True)
class _Export:
    form: Format
    options: ExportOptions
    content: Content
    progress: Progress
    batcher: Batcher | None = None

    def write(self, out: Path, *, fresh: bool) -> Exported:
        """Write all into a folder beside `out`, which takes its name when it is whole."""
        if not self.form.tables:
            raise ConfigError(f"the format {self.form.name!r} can only be read: choose another one")
        _check_is_free(out, fresh=fresh)
        partial = out.with_name(f".{out.name}.partial")
        storage.remove_folder(partial)
        storage.make_folder(partial)
        seen = self._survey()
        facts = Facts(self.content.scores, seen.instructed)
        facts = replace(facts, numbers=self._write_documents(partial, facts, seen.named))
        fitting = self._fitting(seen)
        counts = self._write_rows(partial, facts, seen, fitting)
        if self.form.finish is not None:
            self.form.finish(partial, out, tuple(self.options.split))
        self._tell_instructions(seen)
        files = [path for path in partial.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        done = Exported(
            out, self.form.name, counts.queries, counts.rows, len(files), size, dict(fitting.counts), counts.batches
        )
        card = describe_export(self.form, self.options, done, self.content.scores, self.content.provenance())
        storage.write_text(partial / CARD, card)
        storage.rename_folder(partial, out)
        return done

    def _survey(self) -> Survey:
        wanted = self.form.has_documents and not self.form.whole
        return survey_content(self.content, grouped=len(self.options.split) > 1, named=wanted)

    def _fitting(self, seen: Survey) -> Fitting:
        wanted = self.options.num_negatives or (max(1, seen.most_negatives) if self.form.fixed else None)
        return Fitting(self.form, wanted, self.options.short, scored=self.content.scores is not None)

    def _write_documents(self, folder: Path, facts: Facts, named: UInt64 | None) -> Numbers | None:
        """The tables of documents; the place of each document where places are asked for."""
        tables = [table for table in self.form.tables if table.of == "documents"]
        if not tables:
            return None
        ids, place = [], 0
        with ExitStack() as stack:
            writers = [stack.enter_context(self._writer(folder, table, "train")) for table in tables]
            for documents in _only_named(self.content.documents(), named):
                frame = documents.with_row_index("number", offset=place)
                place += len(frame)
                for table, writer in zip(tables, writers, strict=True):
                    writer.write(table.shape(frame, facts))
                if self.form.numbered:
                    ids.append(frame["doc_id"].hash().to_numpy())
        return Numbers.of(np.concatenate(ids)) if ids else None

    def _write_rows(self, folder: Path, facts: Facts, seen: Survey, fitting: Fitting) -> _Counts:
        """The tables of rows."""
        splits = list(self.options.split)
        places = None if seen.groups is None else assign_splits(seen.groups, self.options.split, self.options.seed)
        tables = [
            table for table in self.form.tables if table.of == "rows" and (facts.scored or not table.needs_scores)
        ]
        counts = _Counts(dict.fromkeys(splits, 0))
        with ExitStack() as stack, self.progress.step("export", seen.queries, "queries") as advance:
            writers = {}
            for table, split in ((table, split) for table in tables for split in splits):
                if "{s" in table.path or split == splits[0]:
                    writers[table, split] = stack.enter_context(self._writer(folder, table, split))
                else:
                    writers[table, split] = writers[table, splits[0]]
            parts = self._fit_rows(fitting, splits, places, counts, advance)
            number = 0
            for place, fitted in self._in_batches(parts, counts, folder / ".batches"):
                named = self._with_queries(fitted, number)
                number += len(named)
                for table in tables:
                    writers[table, splits[place]].write(_shape(table, named, facts))
        counts.rows = sum({id(writers[tables[0], split]): writers[tables[0], split].rows for split in splits}.values())
        return counts

    def _fit_rows(
        self, fitting: Fitting, splits: list[str], places: Int64 | None, counts: _Counts, advance: Advance
    ) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows that fit, with the number of their split."""
        start = 0
        for frame in _read_ahead(self.content.rows()):
            for place, part in _divide(frame, len(splits), None if places is None else places[start:]):
                fitted = fitting.fit(part)
                counts.queries[splits[place]] += len(fitted)
                yield place, fitted
            start += len(frame)
            advance(len(frame))

    def _in_batches(
        self, parts: Iterator[tuple[int, pl.DataFrame]], counts: _Counts, folder: Path
    ) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows batch by batch where batches are asked for."""
        if self.batcher is None or self.form.unit is None:
            yield from parts
            return
        unit, kept = self.form.unit, folder / "rows.arrow"
        storage.make_folder(folder)
        units = ((place, cut_into_units(rows, unit)) for place, rows in parts)
        numbers = self.batcher.number(keep_rows(units, kept))
        for place, split in enumerate(self.options.split):
            counts.batches[split] = count_batches(numbers[1][numbers[0] == place], self.batcher.options)
        yield from sort_by_batch(kept, *numbers)
        storage.remove_folder(folder)

    def _writer(self, folder: Path, table: Table, split: str) -> TableWriter:
        return TableWriter(folder, table, split, self.options.rows_per_shard)

    def _with_queries(self, rows: pl.DataFrame, first: int) -> pl.DataFrame:
        """The rows with the `number` of each query, and the query as it is to be written.

        One without an instruction is written as it is where the template has a place for instructions.
        """
        rows = rows.with_row_index("number", offset=first)
        if self.options.query_template == "{query}":
            return rows
        pieces = re.split(r"(\{query\}|\{instruction\})", self.options.query_template)
        parts = [pl.col(piece.strip("{}")) if piece in _PLACES else pl.lit(piece) for piece in pieces if piece]
        return rows.with_columns(pl.coalesce(pl.concat_str(parts), "query").alias("query"))

    def _tell_instructions(self, seen: Survey) -> None:
        if seen.instructed and not self.form.instructions and "{instruction}" not in self.options.query_template:
            log.warning(
                "queries have instructions, for which %s has no place: put them before the queries with "
                "--query-template 'Instruct: {instruction}\\nQuery: {query}'",
                self.form.name,
            )


@dataclass
class _Counts:
    """What was written."""

    queries: dict[str, int]
    rows: int = 0
    batches: dict[str, Batches] = field(default_factory=dict)


def _shape(table: Table, rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    shaped = table.shape(rows, facts)
    return shaped.with_columns(rows[BATCH]) if BATCH in rows.columns else shaped


def _divide(frame: pl.DataFrame, splits: int, places: Int64 | None) -> Iterator[tuple[int, pl.DataFrame]]:
    if places is None:
        yield 0, frame
        return
    own = places[: len(frame)]
    for place in range(splits):
        yield place, frame.filter(pl.Series(own == place))


def _read_ahead(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same frames, each read by another thread while the one before it is worked on."""
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(next, frames, None)
        while (frame := waiting.result()) is not None:
            waiting = reader.submit(next, frames, None)
            yield frame


def _only_named(documents: Iterator[pl.DataFrame], named: UInt64 | None) -> Iterator[pl.DataFrame]:
    for frame in documents:
        if named is None:
            yield frame
        elif len(named):
            hashes = frame["doc_id"].hash().to_numpy()
            places = np.minimum(np.searchsorted(named, hashes), len(named) - 1)
            yield frame.filter(pl.Series(named[places] == hashes))


def _check_is_free(out: Path, *, fresh: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not is_export(out):
        raise StorageError(f"{out} holds files that are no export of datagen: name a folder that is new or empty")
    if not fresh:
        raise StorageError(f"{out} holds an earlier export: name another folder, or replace it with --fresh")


def is_export(folder: Path) -> bool:
    """Whether a folder holds an earlier export."""
    card = folder / CARD
    return card.is_file() and "datagen export" in card.read_text(encoding="utf-8")
