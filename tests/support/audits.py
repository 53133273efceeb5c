"""Rows of a data set in few words, and what an audit of them needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from datagen.audit.inspect import Inspector
from datagen.audit.material import Material, take_apart
from datagen.backends.registry import Registry
from datagen.config import RunConfig, build_config
from datagen.formats import ROWS
from datagen.progress import SilentProgress
from datagen.settings.audit import AuditConfig

TEACHER = "datagen.testing:HashingTeacher"
RERANKER = "datagen.testing:OverlapReranker"


def rows_of(*rows: tuple[str, Sequence[str], Sequence[str]]) -> pl.DataFrame:
    """Rows of query, positives and negatives; rows are q0, q1 …, a passage is named by its text."""
    return pl.DataFrame(
        [
            {
                "query_id": f"q{number}",
                "query": query,
                "instruction": None,
                "positives": [_document(text) for text in positives],
                "negatives": [_document(text) for text in negatives],
            }
            for number, (query, positives, negatives) in enumerate(rows)
        ],
        schema=ROWS,
    )


def material_of(*rows: tuple[str, Sequence[str], Sequence[str]]) -> Material:
    """The same, taken apart."""
    return take_apart(rows_of(*rows))


def found(findings: pl.DataFrame, fault: str | None = None) -> list[tuple[object, ...]]:
    """Row, role and place of each finding, or of those of one fault."""
    chosen = findings if fault is None else findings.filter(pl.col("fault") == fault)
    return chosen.select("row", "role", "place").rows()


def run_config(tmp_path: Path, **settings: object) -> RunConfig:
    """Settings with a teacher and a reranker that need no weights."""
    models = {"teacher": {"model": TEACHER}, "denoise": {"reranker": "none"}, "cache": tmp_path / "cache"}
    return build_config({"out": tmp_path, "input": {"pairs": "rows"}, **models, **settings})


def inspector(config: RunConfig, **more: object) -> Inspector:
    """An inspector with these settings."""
    return Inspector(AuditConfig(), config, Registry(config), SilentProgress(), **more)  # type: ignore[arg-type]


def _document(text: str) -> dict[str, object]:
    return {"doc_id": text, "text": text, "score": None}
