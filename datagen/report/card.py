"""The files that tell what a run folder holds: `README.md` (a Hugging Face dataset card) and `report.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datagen import shards, storage
from datagen.config import RunConfig
from datagen.report.knobs import meaning
from datagen.report.provenance import describe_provenance, make_environment
from datagen.run_folder import RunFolder, StageRecord
from datagen.tables import SCHEMAS
from datagen.version import __version__

_MAX_ORIGINS = 20
_ATTRIBUTIONS = {
    "packaged:medquad-sample": " of MedQuAD (Ben Abacha and Demner-Fushman, BMC Bioinformatics 20:511, 2019), CC BY 4.0"
}


def write_report(folder: RunFolder, stages: Sequence[str], config: RunConfig) -> None:
    """Write the dataset card and the same facts as JSON.

    Args:
        folder: the run.
        stages: its finished stages, in order.
        config: its settings.
    """
    records = [record for name in stages if (record := folder.record(name))]
    tables = {name: _rows(folder, name) for name in SCHEMAS if any((folder.path / name).glob("*.parquet"))}
    filled = [name for name, rows in tables.items() if rows]  # `datasets` refuses a split without rows
    facts = {
        "datagen": __version__,
        "tables": tables,
        "stages": {record.name: {"seconds": record.seconds, **record.counts} for record in records},
        "origins": _origins(folder, stages),
    }
    storage.write_text(folder.path / "report.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    made_with = (folder.summary() or {}).get("made_with", {})
    provenance = describe_provenance(folder.path, config, records, made_with)
    card = _card(folder.path.name, records, filled, config, facts["origins"], provenance)
    storage.write_text(folder.path / "README.md", card)


def _card(
    name: str,
    records: Sequence[StageRecord],
    tables: Sequence[str],
    config: RunConfig,
    origins: object,
    provenance: str,
) -> str:
    calibrated = next((record.counts for record in records if record.name == "calibrate"), None)
    ledger = next((record.counts for record in reversed(records) if "negatives" in record.counts), None)
    return (
        make_environment()
        .get_template("card.md.j2")
        .render(
            name=name,
            version=__version__,
            records=[
                {
                    "name": record.name,
                    "seconds": record.seconds,
                    "counts_line": _line(record.counts),
                    "adversarial": record.counts.get("adversarial", []),
                }
                for record in records
            ],
            tables=[*(name for name in tables if name == "train"), *(name for name in tables if name != "train")],
            config=config,
            ledger=ledger,
            calibrated=calibrated,
            judged=any("decisions_changed" in record.counts for record in records),
            reasons=_reasons(ledger) if ledger else [],
            origins=origins,
            provenance=provenance,
        )
    )


def _reasons(ledger: Mapping[str, Any]) -> list[dict[str, object]]:  # Any: JSON counts
    ordered = sorted(ledger["reasons"].items(), key=lambda item: -item[1])
    return [{"reason": reason, "count": count, "meaning": meaning(reason)[0]} for reason, count in ordered]


def _line(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    plain = {key: value for key, value in counts.items() if isinstance(value, int | float | str)}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items())


def _rows(folder: RunFolder, table: str) -> int:
    return shards.count_rows(folder.path / table)


def _origins(folder: RunFolder, stages: Sequence[str]) -> list[str]:
    corpus = shards.scan(folder.table("corpus", stages))
    origins = (
        corpus.group_by("origin").len().sort("len", "origin", descending=[True, False]).head(_MAX_ORIGINS).collect()
    )
    return [f"{origin}: {count:,} passages{_ATTRIBUTIONS.get(origin, '')}" for origin, count in origins.iter_rows()]
