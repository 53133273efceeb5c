"""The end of a run in the terminal: what each stage did, what fell where, and which setting would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import RenderableType
from rich.table import Table

from datagen.report.knobs import meaning


class Record(Protocol):
    """What is read of a stage record."""

    @property
    def name(self) -> str:
        """The stage."""
        ...

    @property
    def counts(self) -> Mapping[str, Any]:  # Any: JSON counts
        """Its counts."""
        ...

    @property
    def seconds(self) -> float:
        """How long it took."""
        ...


def render_summary(records: Sequence[Record]) -> list[RenderableType]:
    """Tables for the terminal: the stages, the ledger's reasons, and a line on queries that are short."""
    shown: list[RenderableType] = [_stage_table(records)]
    ledgers = [record for record in records if "reasons" in record.counts]
    if ledgers:
        counts = ledgers[-1].counts
        shown += [_reason_table(counts), _short_line(counts)]
    return shown


def _stage_table(records: Sequence[Record]) -> Table:
    table = Table("stage", "seconds", "counts", title="What each stage did", title_justify="left")
    for record in records:
        plain = {key: value for key, value in record.counts.items() if isinstance(value, int | float | str)}
        table.add_row(record.name, f"{record.seconds:,.1f}", ", ".join(_worded(key, plain[key]) for key in plain))
    return table


def _worded(key: str, value: float | str) -> str:
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return f"{key.replace('_', ' ')} {shown}"


def _reason_table(counts: Mapping[str, Any]) -> Table:  # Any: JSON counts
    table = Table("candidates", "share", "reason", "meaning", title="What fell where", title_justify="left")
    table.add_column("setting that changes it", overflow="fold")
    for reason, count in sorted(counts["reasons"].items(), key=lambda item: -item[1]):
        said, knob = meaning(reason)
        table.add_row(f"{count:,}", f"{count / max(1, counts['candidates']):.1%}", reason, said, knob)
    return table


def _short_line(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    full, queries = counts["queries_with_all_negatives"], counts["queries"]
    line = f"{full:,} of {queries:,} queries have all their negatives"
    if full == queries:
        return line + "."
    return (
        f"{line}; {counts['queries_short']:,} have fewer and {counts['queries_without_negatives']:,} have none: "
        "--max-candidates looks deeper, a smaller --margin keeps more."
    )
