"""What the commands print when they are done. Nothing heavy is imported before something is printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
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
    typer.echo(
        f"together {forecast.seconds:10,.0f} s {decimal(forecast.disk):>12}, from a trial on a few hundred texts"
    )


def print_result(result: RunResult) -> None:
    """What each stage did, what fell where, and what to type now."""
    from datagen.report.summary import render_summary

    for part in render_summary(result.records):
        _console().print(part)
    typer.echo("\n" + _next_step(result))


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


def _console() -> Console:
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
    _console().print(table)
    for device in diagnosis.devices:
        typer.echo(device)
    cache = diagnosis.cache
    typer.echo(f"cache: {cache.folder}, {decimal(cache.size)} used, {decimal(cache.free)} free on its disk")
    for extra, command in diagnosis.missing.items():
        typer.echo(f"missing extra {extra} ({PURPOSES[extra]}); to add it:\n    {command}")
    if not diagnosis.missing:
        typer.echo("all extras are installed")
