"""What the commands print when they are done. Nothing heavy is imported before something is printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from datagen.doctor import Diagnosis
    from datagen.forecast import Forecast
    from datagen.pipeline import RunResult

WIDTH_OF_FILES = 120


def print_forecast(forecast: Forecast) -> None:
    """What a run of mining would take."""
    from rich.filesize import decimal

    size = forecast.size
    typer.echo(f"{size.documents:,} documents, {size.queries:,} queries, about {forecast.pairs:,} candidates")
    typer.echo(f"memory at the peak: about {decimal(forecast.memory)}")
    for stage in forecast.stages:
        typer.echo(f"{stage.stage:8} {stage.seconds:10,.0f} s {decimal(stage.disk):>12} on disk")
    if forecast.cut:
        typer.echo(forecast.cut)
    typer.echo(
        f"together {forecast.seconds:10,.0f} s {decimal(forecast.disk):>12}, from a trial on a few hundred texts"
    )


def print_result(result: RunResult) -> None:
    """What each stage did, what fell where, and what to type now."""
    from datagen.report.summary import render_summary

    for part in render_summary(result.records):
        open_console().print(part)
    typer.echo("\n" + _next_step(result))


_TUNED = {
    "policy": "policy",
    "margin": "margin",
    "positive_score": "positive",
    "choice": "choice",
    "full": "all",
    "without": "none",
    "negatives": "negatives",
    "log2_rank": "log2 rank",
    "gap": "gap",
    "doubted": "doubted",
    "unscored": "unscored",
    "deeper": "short",
    "leak": "leak",
}
"""Columns of `datagen tune` and what stands above them."""
_LEGEND = {
    "full": "all, none: queries with all their negatives, and with none",
    "log2_rank": "log2 rank: mean of the negatives, smaller is harder; gap: mean to the positive, in spreads",
    "doubted": "doubted: of the eligible candidates that the reranker has seen, those that it sets aside",
    "unscored": "unscored: negatives that the reranker has not seen and may still set aside",
    "deeper": "short: queries short of negatives that the search would follow deeper than the run did",
    "leak": "leak: negatives labelled relevant, over queries with a relevant document that the run does not know",
}
_SHARES = ("full", "without", "doubted", "unscored", "leak")


def print_tuning(rows: pl.DataFrame, notes: list[str]) -> None:
    """What a run's negatives would be under each of some settings, and the command that applies one of them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    same = [name for name in ("positive_score", "choice") if rows[name].n_unique() == 1]
    shown = [name for name in _TUNED if name not in same and rows[name].null_count() < len(rows)]
    title = ", ".join([f"{rows['queries'][0]:,} queries", *(f"{_TUNED[name]} {rows[name][0]}" for name in same)])
    heads = [_TUNED[name] for name in shown]
    table = Table("row", *heads, title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, row in enumerate(rows.iter_rows(named=True), start=1):
        table.add_row(f"{number} *" if row["own"] else str(number), *(_tuned_cell(name, row[name]) for name in shown))
    open_console().print(table)
    for line in ("*: the run as it is", *(text for name, text in _LEGEND.items() if name in shown), *notes):
        typer.echo(line)
    number = min(2, len(rows))
    typer.echo(f"\nTo apply a row, such as {number}:  {rows['command'][number - 1]}")


def _tuned_cell(name: str, value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    if name in _SHARES:
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if name == "margin" else f"{value:.2f}"


def _next_step(result: RunResult) -> str:
    """What to type now: three lines of Python that load the shards, or the command that makes some."""
    if not any(record.name == "export" for record in result.records):
        return f"To mine negatives for these queries:  datagen mine-negatives --run {result.path}"
    folder = json.dumps(str(result.path / "train"), ensure_ascii=False)
    return (
        "To load the training rows:\n\n"
        "    import datasets\n"
        f'    rows = datasets.load_dataset("parquet", data_dir={folder}, split="train")\n'
        "    print(rows[0])\n"
    )


def open_console() -> Console:
    """Standard output; wider than rich's 80 columns where it is a file or a pipe."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=WIDTH_OF_FILES)


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """What is installed and what is missing."""
    from rich.filesize import decimal
    from rich.table import Table

    from datagen.doctor import PURPOSES

    table = Table("package", "version", "part of", title=f"datagen {diagnosis.datagen}, Python {diagnosis.python}")
    for package in diagnosis.packages:
        part = f"extra {package.extra}: {PURPOSES[package.extra]}" if package.extra else "core"
        table.add_row(package.name, package.version or "[red]not installed[/red]", part)
    open_console().print(table)
    for device in diagnosis.devices:
        typer.echo(device)
    cache = diagnosis.cache
    typer.echo(f"cache: {cache.folder}, {decimal(cache.size)} used, {decimal(cache.free)} free on its disk")
    for extra, command in diagnosis.missing.items():
        typer.echo(f"missing extra {extra} ({PURPOSES[extra]}); to add it:\n    {command}")
    if not diagnosis.missing:
        typer.echo("all extras are installed")
