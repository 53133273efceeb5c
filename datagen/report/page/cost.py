"""What each stage of a run took: time, tokens, requests and money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from datagen.report.page import charts
from datagen.report.page.parts import Figure, Section, Table, figure
from datagen.runs import Run

_SPENT = {
    "answers": "answers of a model",
    "answers_from_journal": "answers kept from before",
    "prompt_tokens": "tokens read",
    "completion_tokens": "tokens written",
    "tokens": "tokens embedded",
    "pairs_scored": "pairs reranked",
    "pairs_cached": "pairs reranked before",
    "queries_embedded": "queries embedded",
    "documents_embedded": "documents embedded",
    "cost": "money",
}


def show_cost(run: Run) -> Section:
    """Time of each stage, what was asked of models, and what a model that writes took for a kept row."""
    seconds = pl.DataFrame(
        [(record.name, round(record.seconds, 1)) for record in run.records],
        {"stage": pl.String, "seconds": pl.Float64},
        orient="row",
    )
    if seconds.is_empty():
        return Section("Cost")
    rows = [
        (record.name, told, _amount(name, record.counts[name]))
        for record in run.records
        for name, told in _SPENT.items()
        if record.counts.get(name) and not (name == "tokens" and record.name != "embed")
    ]
    parts: list[Figure | Table] = [figure("Seconds of each stage", charts.draw_bars(seconds, "stage", "seconds"))]
    if rows:
        parts.append(Table("What models did", ("stage", "what", "amount"), list(rows)))
    parts += [_generators(record.counts) for record in run.records if record.counts.get("generators")]
    return Section("Cost", tuple(parts))


def is_money(value: object) -> bool:
    """Whether a cost is known."""
    return isinstance(value, int | float)


def _amount(name: str, value: float) -> str:
    return f"{value:,.4f}" if name == "cost" else f"{value:,}"


def _generators(counts: Mapping[str, Any]) -> Table:  # Any: JSON counts
    known = is_money(counts.get("cost"))  # else the sums are of zeros
    rows = [
        (
            name,
            f"{each['asked']:,}",
            f"{each['accepted']:,}",
            f"{each['tokens']:,}",
            _money(each["cost"] if known else None),
            _money(each["cost_of_one"] if known else None),
        )
        for name, each in counts["generators"].items()
    ]
    return Table("Models that wrote", ("model", "asked", "kept", "tokens", "money", "a kept row"), list(rows))


def _money(value: float | None) -> str:
    return f"{value:,.6f}" if is_money(value) else "not known"
