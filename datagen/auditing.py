"""`datagen audit` and `datagen repair`: from a path to an audit, its files, and the data set without what it found.

Between the command line and the analyses of `audit`, which know no file.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from datagen.audit.findings import FAULTS
from datagen.audit.inspect import Audit, Inspector
from datagen.audit.repair import Repaired, count_changes, repair
from datagen.backends.registry import Registry
from datagen.config import build_config
from datagen.errors import ConfigError, InputError, StorageError, unknown_choice
from datagen.formats import Dataset, detect_format, read_dataset, write_dataset
from datagen.formats.reading import find_format
from datagen.progress import Progress
from datagen.settings.audit import AuditSettings, build_audit_settings
from datagen.sources import load_labels
from datagen.storage import replacing, write_text

log = logging.getLogger(__name__)

NO_TEACHER = "none"
MEASURES: Mapping[str, tuple[str, ...]] = {
    "false_negative_rate": ("false_negatives", "rate"),
    "style_auc": ("leaks", "style_auc", "value"),
    "length_auc": ("leaks", "length_auc", "value"),
    "gini": ("hubs", "gini"),
    "top_share": ("hubs", "top_share"),
    "hubs": ("hubs", "hubs"),
}
"""What `--fail-on` may name beside the faults, and where it stands in the figures."""
_SECTIONS = tuple(AuditSettings.model_fields)


@dataclass(frozen=True)
class AuditRequest:
    """What is to be audited, and with what."""

    dataset: Path
    format: str | None
    """None: told from the files."""
    settings: Mapping[str, Any]  # Any: settings not yet validated
    """Settings of a run (teacher, denoise, cache …), and the sections `audit` and `repair`."""
    against: tuple[Path, ...] = ()
    """BEIR folders of test sets."""
    qrels: str | None = None
    """Judgements of the pairs of the data set."""


@dataclass(frozen=True)
class Audited:
    """A data set and what is wrong with it."""

    dataset: Dataset
    audit: Audit


def audit_dataset(request: AuditRequest, progress: Progress) -> Audited:
    """Read a data set and look at it.

    Raises:
        DatagenError: the data set, a test set or a model cannot be used, or a setting is wrong.
    """
    inspector = _open(request, progress)
    dataset = read_dataset(request.dataset, request.format)
    return Audited(dataset, inspector.inspect(dataset.rows))


def repair_dataset(request: AuditRequest, out: Path, report: Path | None, progress: Progress) -> Repaired:
    """Audit a data set and write it without its faults, in its own format.

    Args:
        request: the data set and the settings.
        out: where the cleaned data set goes.
        report: folder for the files of the audit and of the changes; None: `OUT-repair`, beside it.
        progress: shows the work.

    Raises:
        DatagenError: as for `audit_dataset`; there is no fault of a name; no row is left; or the disk refused.
    """
    config = _sections(request).repair
    for fault in config.faults:
        if fault not in FAULTS:
            raise unknown_choice("fault", fault, FAULTS)
    form = find_format(request.format) if request.format else detect_format(request.dataset)
    if not form.tables:
        raise ConfigError(
            f"{str(request.dataset)!r} has the format {form.name!r}, which can only be read: repair what "
            "`datagen export` makes of it"
        )
    if out.exists():
        raise StorageError(f"{out} exists already: name another --out for the cleaned data set")
    audited = audit_dataset(request, progress)
    repaired = repair(audited.dataset.rows, audited.audit.findings, config, needs_negatives=form.negatives)
    folder = report or out.with_name(f"{out.name}-repair")
    write_audit(audited.audit, folder)
    _write_changes(repaired, folder)
    if repaired.rows.is_empty():
        raise InputError(
            f"no row of {str(request.dataset)!r} is left after the repair: {folder} says why; name single faults with "
            "--fault"
        )
    written = write_dataset(replace(audited.dataset, rows=repaired.rows), out)
    for what, number in written.lost.items():
        log.warning("to fit the format %s: %s %s", written.format, f"{number:,}", what.replace("_", " "))
    return repaired


def write_audit(audit: Audit, folder: Path) -> None:
    """`audit.json` with all figures, and `findings.parquet`.

    Raises:
        StorageError: the disk refused.
    """
    write_text(folder / "audit.json", json.dumps(audit.figures, ensure_ascii=False, indent=2) + "\n")
    _write_table(folder / "findings.parquet", audit.findings)


def read_limits(texts: Sequence[str]) -> dict[str, float]:
    """The limits of `NAME=VALUE` texts.

    Raises:
        ConfigError: a text is not of that form, or nothing of that name is measured.
    """
    limits = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in (*MEASURES, *FAULTS):
            raise unknown_choice("measure for --fail-on", name, (*MEASURES, *FAULTS))
        try:
            limits[name] = float(value) if equals else 0.0
        except ValueError as exc:
            raise ConfigError(f"--fail-on {text!r} is not NAME=NUMBER, such as false_negative_rate=0.05") from exc
    return limits


def exceeded(figures: Mapping[str, Any], limits: Mapping[str, float]) -> list[str]:  # Any: JSON figures
    """A sentence for each limit that the figures exceed; what was not measured exceeds its limit, too."""
    return [sentence for name, limit in limits.items() if (sentence := _exceeds(figures, name, limit))]


def _exceeds(figures: Mapping[str, Any], name: str, limit: float) -> str:  # Any: JSON figures
    path = MEASURES.get(name)
    value = _look_up(figures, path) if path else figures["faults"].get(name, {"share": 0.0})["share"]
    if value is None:
        return f"{name} was not measured, so that it cannot be said to be at most {limit:g}"
    return f"{name} is {value:.4g}, above {limit:g}" if value > limit else ""


def _look_up(figures: Mapping[str, Any], path: Sequence[str]) -> float | None:  # Any: JSON figures
    value: Any = figures  # Any: JSON figures
    for key in path:
        value = value.get(key, {})
    return None if value == {} else float(value)


def _open(request: AuditRequest, progress: Progress) -> Inspector:
    """The inspector of a request; whatever can be wrong with settings and models is found here, before the work."""
    config = _sections(request).audit
    values = {name: value for name, value in request.settings.items() if name not in _SECTIONS}
    without = values.get("teacher", {}).get("model") == NO_TEACHER
    if without:
        values = {name: value for name, value in values.items() if name != "teacher"}
    run = build_config({"out": ".", "input": {"pairs": str(request.dataset)}, **values})
    backends = None if without else Registry(run)
    if backends is not None:
        backends.check("embed")
        backends.check("mine")
        if run.denoise.enabled:
            backends.check("denoise")
    labels = load_labels(request.qrels) if request.qrels else None
    return Inspector(config, run, backends, progress, request.against, labels)


def _sections(request: AuditRequest) -> AuditSettings:
    return build_audit_settings({name: value for name, value in request.settings.items() if name in _SECTIONS})


def _write_changes(repaired: Repaired, folder: Path) -> None:
    """`changes.parquet`, and `changes.json` with how many there are of each kind."""
    _write_table(folder / "changes.parquet", repaired.changes)
    write_text(folder / "changes.json", json.dumps(count_changes(repaired.changes), indent=2) + "\n")


def _write_table(path: Path, frame: pl.DataFrame) -> None:
    with replacing(path) as temporary:
        frame.write_parquet(temporary, compression="zstd")
