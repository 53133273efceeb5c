"""All analyses of a data set in order, and what they say together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datagen.audit.contamination import TestTexts, find_by_vectors, find_by_words, load_test_sets
from datagen.audit.copies import find_copies
from datagen.audit.doubles import count_doubles, find_doubles
from datagen.audit.doubts import DEPTH, Doubter
from datagen.audit.findings import FALSE_NEGATIVE, FAULTS, no_findings
from datagen.audit.hubs import find_hubs
from datagen.audit.labels import find_labelled
from datagen.audit.leaks import measure_leaks
from datagen.audit.material import LISTS, NEGATIVE, POSITIVE, Material, take_apart
from datagen.audit.ranks import find_missed
from datagen.audit.rerank import find_by_reranker
from datagen.audit.teaching import Teaching, open_teaching
from datagen.backends.protocols import Backends
from datagen.config import RunConfig, VerifyConfig
from datagen.errors import InputError
from datagen.mining.words import open_words
from datagen.progress import Progress
from datagen.selection.doubt import load_doubt_model
from datagen.settings.audit import AuditConfig

log = logging.getLogger(__name__)

Figures = dict[str, Any]  # Any: JSON
_WORST = 20


@dataclass(frozen=True)
class Audit:
    """What is wrong with a data set."""

    figures: Figures
    """Sizes; `faults`: findings and share of each; and what the analyses measure beside them. JSON."""
    findings: pl.DataFrame
    """With the columns of `findings.FINDINGS`, fault by fault."""


@dataclass(frozen=True)
class Inspector:
    """The settings of an audit and what it may use."""

    config: AuditConfig
    run: RunConfig
    """Names teacher, reranker and cache."""
    backends: Backends | None
    """None: no model; what needs one is left out."""
    progress: Progress
    against: tuple[Path, ...] = ()
    """BEIR folders of test sets."""
    labels: pl.DataFrame | None = None
    """Judgements: query_id, doc_id and relevance."""

    def inspect(self, rows: pl.DataFrame) -> Audit:
        """Look at a data set in every way that the settings allow.

        Args:
            rows: query_id, query, and the lists `positives` and `negatives` of structs with doc_id and text.

        Raises:
            InputError: there are no rows, or no passages.
            DatagenError: a test set cannot be read, or a model fails.
        """
        material = take_apart(rows)
        if material.uses.is_empty():
            raise InputError(f"the data set holds no passage in {len(rows):,} rows: nothing can be audited")
        template = self.run.teacher.document_template
        tests = load_test_sets(self.against, template) if self.against else None
        figures, found = self._by_text(material, tests)
        if self.backends is not None:
            more, parts = self._by_models(material, tests, self.backends)
            figures, found = figures | more, found + parts
        findings = pl.concat([no_findings(), *found])
        summary = {**_sizes(material), "faults": _count_faults(findings, material), **figures}
        return Audit({**summary, "worst": _worst(rows, findings)}, findings)

    def _by_text(self, material: Material, tests: TestTexts | None) -> tuple[Figures, list[pl.DataFrame]]:
        cache, closure = self.run.cache_folder, self.config.closure
        hubs, uneven = find_hubs(material)
        found = [find_doubles(material), find_copies(material, closure, cache, self.progress), hubs]
        figures: Figures = {"doubles": count_doubles(material), "hubs": uneven}
        if tests is not None:
            found.append(find_by_words(material, tests, closure.near_query))
            sets = [folder.resolve().name for folder in self.against]
            figures["against"] = {"sets": sets, "queries": len(tests.queries), "positives": len(tests.positives)}
        if self.labels is not None:
            labelled, figures["labels"] = find_labelled(material, self.labels)
            found.append(labelled)
        figures["leaks"] = measure_leaks(material, self.config.leak_sample, self.run.seed)
        return figures, found

    def _by_models(
        self, material: Material, tests: TestTexts | None, backends: Backends
    ) -> tuple[Figures, list[pl.DataFrame]]:
        teaching = open_teaching(self.run, backends, material, DEPTH, self.progress)
        wanted = VerifyConfig(round_trip_rank=self.config.round_trip_rank).resolved_rank(len(material.passages))
        doubts = self._doubter(material, teaching).measure(material, self.progress)
        found = [doubts.find(self.config.max_p), find_missed(material, teaching, wanted, self.progress)]
        if tests is not None and self.config.test_vector is not None:
            places, _ = teaching.store.ensure(tests.queries["text"], backends.teacher, self.progress)
            vectors = teaching.store, teaching.places, places
            found.append(find_by_vectors(material, tests, vectors, self.config.test_vector, self.run.seed))
        if self.run.denoise.enabled and len(material.used_as(POSITIVE)):
            found.append(find_by_reranker(material, self.run, backends, self.progress))
        estimate = doubts.estimate(self.run.seed)
        return {"false_negatives": estimate, "round_trip_rank": wanted, "teacher": self.run.teacher.model}, found

    def _doubter(self, material: Material, teaching: Teaching) -> Doubter:
        texts = [material.passages["text"], material.queries["query"]]
        words = open_words(self.run.cache_folder, texts.copy, len(material.passages), self.progress)
        return Doubter(teaching, words, load_doubt_model(self.run.mine.margin_model), self.run.seed)


def _sizes(material: Material) -> Figures:
    counts = {column: len(material.used_as(role)) for role, column in LISTS.items()}
    rows = {f"rows_without_{column}": _rows_without(material, role) for role, column in LISTS.items()}
    return {"rows": len(material.queries), **counts, "passages": len(material.passages), **rows}


def _rows_without(material: Material, role: str) -> int:
    return len(material.queries) - material.uses.filter(pl.col("role") == role)["row"].n_unique()


def _count_faults(findings: pl.DataFrame, material: Material) -> Figures:
    """Findings of each fault, the rows that they are in, and their share of all there is of their role."""
    there = {role: len(material.used_as(role)) for role in LISTS} | {"query": len(material.queries)}
    out: Figures = {}
    for fault in FAULTS:
        own = findings.filter(pl.col("fault") == fault)
        if len(own):
            of = sum(there[role] for role in own["role"].unique())
            out[fault] = {"findings": len(own), "rows": own["row"].n_unique(), "share": len(own) / of}
    return out


def _worst(rows: pl.DataFrame, findings: pl.DataFrame) -> list[Figures]:
    """The negatives that are most likely positives, with their texts."""
    chosen = findings.filter(pl.col("fault") == FALSE_NEGATIVE).sort("score", descending=True).head(_WORST)
    worst = []
    for row, place, p in chosen.select("row", "place", "score").iter_rows():
        of_row = rows.row(row, named=True)
        use = of_row[LISTS[NEGATIVE]][place]
        named = {"query_id": of_row["query_id"], "query": of_row["query"], "doc_id": use["doc_id"], "text": use["text"]}
        worst.append({**named, "p": p})
    return worst
