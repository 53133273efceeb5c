"""The flow of rows through the stages of a run: what each took in, what became of it, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from datagen.report.judged import judge_line
from datagen.report.knobs import meaning
from datagen.report.page import charts
from datagen.report.page.parts import Figure, Section, Table, figure
from datagen.report.summary import list_fallen
from datagen.run_folder import StageRecord
from datagen.runs import Run

_FATES = {"selected": "negative", "surplus": "spare", "known_positive": "positive", "promoted": "positive"}
"""What becomes of a candidate by its reason; every other one is ignored."""


def show_flow(run: Run) -> Section:
    """What each stage made of its rows, every reason, and what is there now."""
    parts: list[Figure | Table] = []
    pieces = trace_flow(run.records)
    if len(pieces):
        says = "Each bar is all rows that a step looked at, cut by what became of them; the tables tell each reason."
        parts.append(figure("Through the stages", charts.draw_flow(pieces), says))
    sizes = [(name, f"{run.scan(name).select(pl.len()).collect().item():,}") for name in run.tables]
    parts.append(Table("Rows in the folder now", ("table", "rows"), list(sizes)))
    fallen = list_fallen(run.records)
    if fallen:
        told = [(row.table, row.reason, f"{row.rows:,}", f"{row.share:.1%}", *meaning(row.reason)) for row in fallen]
        heads = ("of", "reason", "rows", "share", "what it means", "what would change it")
        parts.append(Table("Every reason", heads, list(told)))
    parts += [_judged(record.counts) for record in run.records if "decisions_changed" in record.counts]
    return Section("Flow", tuple(parts))


def trace_flow(records: Sequence[StageRecord]) -> pl.DataFrame:
    """What became of the rows of each step of each stage.

    Returns:
        step (stage, what the rows are, `|`, how many went in and came out), fate (a key of `charts.COLORS`), low, high
        (shares of the step's rows: where the piece begins and ends) and told; a step without rows is left out.
    """
    rows = [row for record in records for row in _steps(record)]
    schema = {"step": pl.String, "fate": pl.String, "reason": pl.String, "rows": pl.Int64}
    pieces = pl.DataFrame(rows, schema=schema, orient="row").filter(pl.col("rows") > 0)
    share = pl.col("rows") / pl.col("rows").sum()
    return pieces.select(
        "step",
        "fate",
        high=share.cum_sum().over("step"),
        low=(share.cum_sum() - share).over("step"),
        told=pl.format("{}: {} rows", pl.col("reason").str.replace_all("_", " "), "rows"),
    )


_Piece = tuple[str, str, str, int]


def _steps(record: StageRecord) -> Iterator[_Piece]:
    counts = record.counts
    for name, table in counts.get("tables", {}).items():
        step = f"{record.name}: {name}|{table['given']:,} → {table['kept']:,}"
        yield from _kept_and_lost(step, table["kept"], table["dropped"])
    if "rejected_by_reason" in counts:
        step = f"{record.name}: asked for|{counts['asked']:,} → {counts['accepted']:,}"
        repeated = {"repeated": counts["repeated"]} if "repeated" in counts else {}
        yield from _kept_and_lost(step, counts["accepted"], counts["rejected_by_reason"] | repeated)
    if "reasons" in counts:
        out = f"{counts['negatives']:,} negatives" if "negatives" in counts else f"{counts['eligible']:,} eligible"
        step = f"{record.name}: candidates|{counts['candidates']:,} → {out}"
        order = list(charts.COLORS)
        fates = {reason: _FATES.get(reason, "ignored") for reason in counts["reasons"]}
        for reason in sorted(fates, key=lambda reason: (order.index(fates[reason]), -counts["reasons"][reason])):
            yield step, fates[reason], reason, counts["reasons"][reason]


def _kept_and_lost(step: str, kept: int, dropped: Mapping[str, int]) -> Iterator[_Piece]:
    yield step, "kept", "kept", kept
    for reason, rows in sorted(dropped.items(), key=lambda item: -item[1]):
        yield step, "dropped", reason, rows


def _judged(counts: Mapping[str, Any]) -> Table:  # Any: JSON counts
    """What the judges gave, and what it changed."""
    grades = [(grade, f"{n:,}") for grade, n in counts.get("grades", {}).items()]
    return Table("The judges", ("grade", "candidates"), list(grades), judge_line(counts))
