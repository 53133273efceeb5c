"""What a probe keeps in RUN/probe: one file for each arm and seed, whole or absent, and the tables made of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from datagen import storage
from datagen.probe.measures import bootstrap
from datagen.selection.arrays import Float64
from datagen.settings.probe import OWN, UNTRAINED

_INTERVAL_SEED = 7


@dataclass(frozen=True)
class ArmResult:
    """One arm trained with one seed, and evaluated."""

    arm: str
    seed: int
    fingerprint: str
    """Hash of all that decides the figures: student, rows in order, budget, evaluated set."""
    ndcg: list[float]
    """nDCG@10 of each query."""
    recall: list[float]
    """recall@100 of each query."""
    loss: float | None = None
    """Mean training loss; None where nothing was trained."""
    filled: int = 0
    """Queries of the run without a negative in this arm, which got random ones."""
    seconds: float = 0.0


def keep_result(folder: Path, result: ArmResult) -> None:
    """Write the file of an arm."""
    storage.write_text(_file(folder, result.arm, result.seed), json.dumps(dataclasses.asdict(result)))


def kept_result(folder: Path, arm: str, seed: int, fingerprint: str) -> ArmResult | None:
    """What an earlier call has found for the same arm; None where there is nothing, or it was of other settings."""
    file = _file(folder, arm, seed)
    try:
        result = ArmResult(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # absent, or of another version: it is made anew
        return None
    return result if result.fingerprint == fingerprint else None


def compare(results: Sequence[ArmResult], confidence: float) -> pl.DataFrame:
    """One row for each arm, in their order, its figures averaged over seeds.

    Returns:
        arm, loss, filled, seconds, ndcg and recall (means over queries); then four differences in nDCG@10 and in
        recall@100, with `_low` and `_high`: `over_untrained` is the arm less the untrained student, `lead` the arm of
        the run less this one, both nDCG@10; null for an arm against itself.
    """
    tables = _by_arm(results)
    rows = [
        {
            "arm": arm,
            **_of_training([result for result in results if result.arm == arm]),
            "ndcg": float(tables[arm][0].mean()),
            "recall": float(tables[arm][1].mean()),
            **_difference("over_untrained", arm, UNTRAINED, tables, confidence, 1),
            **_difference("lead", arm, OWN, tables, confidence, -1),
        }
        for arm in tables
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def compare_slices(results: Sequence[ArmResult], slices: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """A row for each arm and value of each column of the queries: slice, value, queries, arm, ndcg, low, high."""
    tables = _by_arm(results)
    rows = []
    for column in slices.columns:
        for value in slices[column].unique().sort().to_list():
            places = (slices[column] == value).arg_true().to_numpy()
            for arm, (ndcg, _) in tables.items():
                found = bootstrap(ndcg[places], confidence, _INTERVAL_SEED)
                names = {"slice": column, "value": value, "queries": len(places), "arm": arm}
                rows.append({**names, "ndcg": found.mean, "low": found.low, "high": found.high})
    return pl.DataFrame(rows)


def _by_arm(results: Sequence[ArmResult]) -> dict[str, tuple[Float64, Float64]]:
    """nDCG@10 and recall@100 of each query, averaged over seeds."""
    arms: dict[str, list[ArmResult]] = {}
    for result in results:
        arms.setdefault(result.arm, []).append(result)
    return {
        arm: (np.mean([r.ndcg for r in found], axis=0), np.mean([r.recall for r in found], axis=0))
        for arm, found in arms.items()
    }


def _of_training(results: Sequence[ArmResult]) -> dict[str, float | int | None]:
    losses = [result.loss for result in results if result.loss is not None]
    return {
        "loss": float(np.mean(losses)) if losses else None,
        "filled": results[0].filled,
        "seconds": sum(result.seconds for result in results),
    }


def _difference(
    name: str, arm: str, other: str, tables: dict[str, tuple[Float64, Float64]], confidence: float, sign: int
) -> dict[str, float | None]:
    names = (name, f"{name}_low", f"{name}_high")
    if arm == other or other not in tables:
        return dict.fromkeys(names)
    found = bootstrap(sign * (tables[arm][0] - tables[other][0]), confidence, _INTERVAL_SEED)
    return dict(zip(names, (found.mean, found.low, found.high), strict=True))


def _file(folder: Path, arm: str, seed: int) -> Path:
    return folder / f"{arm}-{seed}.json"
