"""What `datagen probe` found of a run: its figures stand in RUN/probe."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from datagen.report.page import charts
from datagen.report.page.parts import Figure, Section, Table, figure
from datagen.runs import Run

_MOST_SLICES = 60


def show_probe(run: Run) -> Section:
    """The arms of a probe beside each other, and their slices; nothing where none was made or it was stopped."""
    try:
        found = json.loads((run.path / "probe" / "probe.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Section("Probe")
    sure = f"{found['settings']['confidence']:.0%}"
    return Section("Probe", (*_arms(found, sure), *_slices(found["slices"], sure)))


def _arms(found: dict[str, Any], sure: str) -> tuple[Figure | Table, ...]:  # Any: JSON values
    rows = [
        (
            arm["arm"],
            f"{arm['ndcg']:.4f}",
            _difference(arm, "over_untrained"),
            _difference(arm, "lead"),
            f"{arm['recall']:.4f}",
            "–" if arm["loss"] is None else f"{arm['loss']:.3f}",
        )
        for arm in found["arms"]
    ]
    heads = ("arm", "nDCG@10", "over the untrained", "this run's lead", "recall@100", "loss")
    says = (
        f"{found['settings']['student']}, trained for {found['settings']['steps']:,} steps on each, evaluated on "
        f"{found['queries']:,} queries; intervals of {sure}, paired over queries."
    )
    table = Table("A student trained on this data", heads, list(rows), says)
    gains = [(a["arm"], *(a[f"over_untrained{end}"] for end in ("", "_low", "_high"))) for a in found["arms"]]
    gained = pl.DataFrame(gains, ["arm", "value", "low", "high"], orient="row").drop_nulls()
    if gained.is_empty():
        return (table,)
    numbers = (pl.col(name).round(4) for name in ("value", "low", "high"))
    svg = charts.draw_intervals(
        gained.with_columns(told=pl.format("{}: {} ({} to {})", "arm", *numbers)), "arm", "nDCG@10 over the untrained"
    )
    return figure("What training gained", svg, f"Difference in nDCG@10 with its {sure} interval."), table


def _difference(arm: dict[str, Any], name: str) -> str:  # Any: JSON values
    if arm[name] is None:
        return "–"
    return f"{arm[name]:+.4f} ({arm[f'{name}_low']:+.4f} to {arm[f'{name}_high']:+.4f})"


def _slices(slices: list[dict[str, Any]], sure: str) -> tuple[Table, ...]:  # Any: JSON values
    if not slices:
        return ()
    rows = [
        (
            f"{row['slice']}: {row['value']}",
            f"{row['queries']:,}",
            row["arm"],
            f"{row['ndcg']:.4f}",
            f"{row['low']:.4f} to {row['high']:.4f}",
        )
        for row in slices[:_MOST_SLICES]
    ]
    cut = (
        f" The first {_MOST_SLICES} of {len(slices)}; the rest is in probe.json." if len(slices) > _MOST_SLICES else ""
    )
    heads = ("slice", "queries", "arm", "nDCG@10", "interval")
    return (Table("By slice", heads, list(rows), f"Intervals of {sure}.{cut}"),)
