"""`datagen inspect`: rows of a run in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datagen.commands import options
from datagen.commands.base import speaking
from datagen.commands.output import open_console

if TYPE_CHECKING:
    import polars as pl

    from datagen.inspection import Filter

_SNIPPET = 160


def inspect_run(
    run: options.RunArgument,
    query: Annotated[str | None, typer.Option("--query", help="A query_id.")] = None,
    decision: Annotated[str | None, typer.Option("--decision", help="negative, ignored or positive.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="A reason of the ledger, such as margin.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="Words in the query or the passage.")] = None,
    slot: Annotated[list[str] | None, typer.Option("--slot", help="NAME=VALUE of the query; may repeat.")] = None,
    score: Annotated[
        str | None, typer.Option("--score", help="LOW:HIGH of the teacher score, or NAME=LOW:HIGH of another one.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows shown at most.")] = 20,
    as_json: options.AsJson = False,
) -> None:
    """Show rows of the ledger with their texts, filtered by reason, score, slot or words."""
    with speaking(quiet=False, log_file=None):
        from datagen.inspection import Filter, inspect
        from datagen.runs import load_run

        wanted = Filter(query, decision, reason, text, tuple(_read_slot(each) for each in slot or ()))
        rows = inspect(load_run(run), _with_score(wanted, score), limit)
        if as_json:
            typer.echo(rows.write_json())
        else:
            _print_rows(rows)


def _read_slot(text: str) -> tuple[str, str]:
    from datagen.errors import ConfigError

    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--slot {text!r} is not NAME=VALUE, such as kind=question")
    return name, value


def _with_score(wanted: Filter, text: str | None) -> Filter:
    """The filter with the band of `0.2:0.5`, `:0.5` or `reranker_score=1:`."""
    from dataclasses import replace

    from datagen.errors import ConfigError

    if text is None:
        return wanted
    name, _, band = text.rpartition("=")
    low, colon, high = band.partition(":")
    try:
        edges = [float(edge) if edge else None for edge in (low, high)]
    except ValueError:
        colon = ""
    if not colon:
        raise ConfigError(f"--score {text!r} is not LOW:HIGH, such as 0.2:0.5 or reranker_score=1:")
    return replace(wanted, score=name or wanted.score, low=edges[0], high=edges[1])


def _print_rows(rows: pl.DataFrame) -> None:
    """Each query with the rows that were asked for."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    console = open_console()
    if rows.is_empty():
        typer.echo("no row matches all of that")
        return
    for (query_id,), part in rows.group_by("query_id", maintain_order=True):
        table = Table("rank", "teacher", "reranker", "P(false)", "decision", "passage", box=SIMPLE_HEAD, pad_edge=False)
        for row in part.iter_rows(named=True):
            passage = " ".join(filter(None, (row["title"], row["text"])))
            shown = passage[:_SNIPPET] + ("…" if len(passage) > _SNIPPET else "")
            scores = (_number(row[name]) for name in ("teacher_score", "reranker_score", "p_false_negative"))
            said = f"{row['decision']}: {row['reason']}" + (f" ({row['tier']})" if row["tier"] else "")
            table.add_row(str(row["rank"]), *scores, said, escape(_printable(f"{row['doc_id']}  {shown}")))
        console.print(f"[bold]{escape(_printable(part['query'][0]))}[/bold]  {escape(str(query_id))}", highlight=False)
        console.print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _printable(text: str) -> str:
    from datagen.lineage import printable

    return " ".join(printable(text).split())
