"""The end of a run in the terminal: what each stage did, what fell where, and which setting would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rich.console import RenderableType
from rich.table import Table

from datagen.report.judged import judge_line
from datagen.report.knobs import meaning
from datagen.report.promise import tell_promise

_HUBS_SHOWN = 5


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


class Fallen(NamedTuple):
    """How many rows of a table one reason took."""

    table: str
    reason: str
    rows: int
    share: float


def render_summary(records: Sequence[Record]) -> list[RenderableType]:
    """Tables for the terminal: the stages, the ledger's reasons, the hubs, and a line on queries that are short."""
    shown: list[RenderableType] = [_stage_table(records)]
    fallen = list_fallen(records)
    if fallen:
        shown.append(_reason_table(fallen))
    shown += [_recall_line(record.counts["index"]) for record in records if "recall" in record.counts.get("index", {})]
    shown += [tell_promise(record.counts) for record in records if record.name == "calibrate"]
    shown += [judge_line(record.counts) for record in records if "decisions_changed" in record.counts]
    chosen = [record.counts for record in records if "queries_with_all_negatives" in record.counts]
    if chosen:
        if "candidates_by_source" in chosen[-1]:
            shown.append(_source_table(chosen[-1]))
        shown += _hub_lines(chosen[-1])
        shown.append(_short_line(chosen[-1]))
    return shown


def list_fallen(records: Sequence[Record]) -> list[Fallen]:
    """What became of rows and why: what the stages set aside, then every reason of the last ledger, most rows first."""
    fallen = [row for record in records for row in _dropped(record)]
    ledgers = [record for record in records if "reasons" in record.counts]
    return fallen + (_ledger_rows(ledgers[-1]) if ledgers else [])


def _stage_table(records: Sequence[Record]) -> Table:
    table = Table("stage", "seconds", "counts", title="What each stage did", title_justify="left")
    for record in records:
        plain = {key: value for key, value in record.counts.items() if isinstance(value, int | float | str)}
        table.add_row(record.name, f"{record.seconds:,.1f}", ", ".join(_worded(key, plain[key]) for key in plain))
    return table


def _worded(key: str, value: float | str) -> str:
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return f"{key.replace('_', ' ')} {shown}"


def _dropped(record: Record) -> list[Fallen]:
    """What the clean and generate stages set aside."""
    rows: list[Fallen] = []
    for name, table in record.counts.get("tables", {}).items():
        rows += [Fallen(name, reason, n, n / table["given"]) for reason, n in table["dropped"].items()]
    for reason, n in record.counts.get("rejected_by_reason", {}).items():
        rows.append(Fallen("new queries", reason, n, n / record.counts["asked"]))
    return rows


def _ledger_rows(record: Record) -> list[Fallen]:
    reasons = sorted(record.counts["reasons"].items(), key=lambda item: -item[1])
    return [Fallen("candidates", reason, n, n / record.counts["candidates"]) for reason, n in reasons]


def _reason_table(rows: Sequence[Fallen]) -> Table:
    table = Table("of", "reason", "rows", "share", "meaning", title="What fell where", title_justify="left")
    table.add_column("setting that changes it", overflow="fold")
    for row in rows:
        said, knob = meaning(row.reason)
        table.add_row(row.table, row.reason, f"{row.rows:,}", f"{row.share:.1%}", said, knob)
    return table


def _source_table(counts: Mapping[str, Any]) -> Table:  # Any: JSON counts
    table = Table("source", "candidates", "negatives", title="Where candidates come from", title_justify="left")
    for source, candidates in counts["candidates_by_source"].items():
        table.add_row(source, f"{candidates:,}", f"{counts['negatives_by_source'].get(source, 0):,}")
    return table


def _hub_lines(counts: Mapping[str, Any]) -> list[RenderableType]:  # Any: JSON counts
    """The documents that are negatives most often; nothing where none is twice."""
    hubs = counts["hubs"]
    shown = [hub for hub in hubs["most_used"][:_HUBS_SHOWN] if hub["queries"] > 1]
    if not shown:
        return []
    line = (
        f"{hubs['documents_used']:,} of {hubs['documents']:,} documents are negatives; the most used 1 % of all make "
        f"up {hubs['share_of_top_1_percent']:.1%} of them (Gini {hubs['gini']:.2f}); --hub-cap limits a document."
    )
    table = Table("document", "negative of queries", title="The most used negatives", title_justify="left")
    for hub in shown:
        table.add_row(hub["doc_id"], f"{hub['queries']:,}")
    return [table, line]


def _recall_line(facts: Mapping[str, Any]) -> str:  # Any: JSON counts
    """What approximate search finds of the true nearest documents, and a warning where that is less than asked for."""
    line = f"Search with {facts['index']} finds {facts['recall']:.1%} of the true nearest {facts['depth']} documents"
    if facts["recall"] >= facts["min_recall"]:
        return f"{line}, measured on {facts['sample']} queries."
    return f"[bold]{line}, less than --min-recall {facts['min_recall']}[/bold]: --index blocked searches exactly."


def _short_line(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    full, queries = counts["queries_with_all_negatives"], counts["queries"]
    line = f"{full:,} of {queries:,} queries have all their negatives"
    tiers = ", ".join(f"{n:,} of {name}" for name, n in counts["queries_short_of_tier"].items() if n)
    short_of_tier = f" Queries with fewer negatives of a tier than asked for: {tiers}." if tiers else ""
    if full == queries:
        return f"{line}.{short_of_tier}"
    return (
        f"{line}; {counts['queries_short']:,} have fewer and {counts['queries_without_negatives']:,} have none: "
        f"--max-candidates looks deeper, a smaller --margin keeps more, as does a higher --hub-cap.{short_of_tier}"
    )
