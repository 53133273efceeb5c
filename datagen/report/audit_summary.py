"""What `datagen audit` and `datagen repair` say in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from datagen.report.knobs import meaning

_WORST_SHOWN = 5
_SNIPPET = 90
_CLEAR_LEAK = 0.6
"""AUC from which on it is said that the query is not needed to tell positives from negatives."""


def render_audit(figures: Mapping[str, Any]) -> list[RenderableType]:  # Any: JSON figures
    """A table of faults, then a line for each measurement, then the worst negatives with their texts."""
    return [
        "{rows:,} rows, {positives:,} positives, {negatives:,} negatives, {passages:,} different passages".format(
            **figures
        ),
        _fault_table(figures["faults"]) if figures["faults"] else "no faults found",
        *_doubt_lines(figures),
        *_leak_lines(figures["leaks"]),
        *_other_lines(figures),
        *_worst_lines(figures["worst"]),
    ]


def render_changes(counts: Mapping[str, Mapping[str, int]]) -> list[RenderableType]:
    """A table of what a repair changed, for which reason."""
    if not counts:
        return ["nothing to repair"]
    table = Table("change", "reason", "what it means", "how many", title="What was changed", title_justify="left")
    for change, reasons in counts.items():
        for reason, number in reasons.items():
            table.add_row(change.replace("_", " "), reason, meaning(reason)[0], f"{number:,}")
    return [table]


def _fault_table(faults: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table("fault", "what it means", "found", "rows", "share", title="What is wrong", title_justify="left")
    for name, found in faults.items():
        table.add_row(name, meaning(name)[0], f"{found['findings']:,}", f"{found['rows']:,}", f"{found['share']:.2%}")
    return table


def _doubt_lines(figures: Mapping[str, Any]) -> list[str]:  # Any: JSON figures
    found = figures.get("false_negatives")
    if not found:
        return ["false negatives: not estimated, which takes a teacher, positives and negatives"]
    interval = f"{found['low']:.1%} to {found['high']:.1%} for other such rows"
    return [
        f"false negatives: about {found['rate']:.1%} of the negatives ({interval}), by the learned margin with "
        f"{escape(figures['teacher'])}"
    ]


def _leak_lines(leaks: Mapping[str, Any]) -> list[str]:  # Any: JSON figures
    if not leaks:
        return ["positives against negatives without reading the query: not measured"]
    style, length = ("{value:.2f} ({low:.2f} to {high:.2f})".format(**leaks[name]) for name in _AUCS)
    clear = min(leaks[name]["low"] for name in _AUCS[:1]) >= _CLEAR_LEAK
    verdict = ": a student can learn to tell them apart without the query" if clear else ""
    return [f"positives against negatives without reading the query: AUC {style}, by length alone {length}{verdict}"]


_AUCS = ("style_auc", "length_auc")


def _other_lines(figures: Mapping[str, Any]) -> list[str]:  # Any: JSON figures
    hubs, doubles = figures["hubs"], {name: n for name, n in figures["doubles"].items() if n}
    lines = [
        f"use of negatives: Gini {hubs['gini']:.2f}, the most used 1 % of the passages have {hubs['top_share']:.1%}; "
        f"{hubs['hubs']:,} serve more than {hubs['limit']:,} rows, which even use does not explain"
    ]
    told = [f"{name.replace('_', ' ')} {number:,}" for name, number in doubles.items()]
    bare = [f"{name.replace('_', ' ')} {figures[name]:,}" for name in _BARE if figures[name]]
    return lines + ([", ".join(told + bare)] if told or bare else [])


_BARE = ("rows_without_positives", "rows_without_negatives")


def _worst_lines(worst: list[Mapping[str, Any]]) -> list[str]:  # Any: JSON figures
    lines = [
        f"{found['p']:.2f}  {escape(_cut(found['query']))}\n      {escape(_cut(found['text']))}"
        for found in worst[:_WORST_SHOWN]
    ]
    return ["negatives that are most likely positives:", *lines] if lines else []


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SNIPPET else plain[:_SNIPPET] + " …"
