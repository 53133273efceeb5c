"""`datagen probe`: its options, and the table that it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datagen.commands import options
from datagen.commands.base import speaking
from datagen.commands.output import open_console

if TYPE_CHECKING:
    import polars as pl

    from datagen.probe.loop import ProbeResult

_TRAINING, _BESIDE = "Training", "What it is compared with"


def _option(flag: str, panel: str, text: str, default: str | None = None) -> Any:  # Any: what typer.Option gives
    shown = f"{text} \\[default: {default}]" if default else text
    return typer.Option(flag, help=shown, show_default=False, rich_help_panel=panel)


def probe_run(
    ctx: typer.Context,
    run: options.RunArgument,
    judged: Annotated[
        Path, typer.Option("--eval", help="BEIR folder to evaluate on: qrels/test.tsv, or all its judgements.")
    ],
    student: Annotated[
        str | None, _option("--student", _TRAINING, "What is trained.", "packaged:all-MiniLM-L6-v2")
    ] = None,
    steps: Annotated[int | None, _option("--steps", _TRAINING, "Training steps of each arm.", "100")] = None,
    batch_size: Annotated[int | None, _option("--batch-size", _TRAINING, "Queries in a step.", "32")] = None,
    negatives: Annotated[
        int | None, _option("--negatives", _TRAINING, "Negatives of each query in a step.", "1")
    ] = None,
    learning_rate: Annotated[float | None, _option("--learning-rate", _TRAINING, "At its height.", "2e-05")] = None,
    max_tokens: Annotated[int | None, _option("--max-tokens", _TRAINING, "Cut longer texts.", "128")] = None,
    seeds: Annotated[
        list[int] | None, _option("--seed", _TRAINING, "Each arm is trained once a seed; repeatable.", "42")
    ] = None,
    device: options.Device = None,
    trust_remote_code: options.TrustRemoteCode = False,
    baselines: Annotated[
        str | None,
        _option(
            "--baselines",
            _BESIDE,
            "Of in-batch, random, top-k, closed-top-k, st-mined.",
            "in-batch,random,top-k,st-mined",
        ),
    ] = None,
    also: Annotated[
        list[str] | None, _option("--also", _BESIDE, "NAME=RUN: another run over the same input; repeatable.")
    ] = None,
    confidence: Annotated[float | None, _option("--confidence", _BESIDE, "Of the intervals.", "0.95")] = None,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Train a small student on a run and on baselines, and show whether the run's data is better.

    Every arm reads the same queries in the same order for as many steps. A probe that was stopped goes on with the next
    arm.
    """
    with speaking(quiet, log_file):
        from datagen.console import make_progress
        from datagen.probe.loop import probe
        from datagen.settings.probe import ProbeConfig, build_probe_config

        given = {
            name: value
            for name, value in ctx.params.items()
            if name in ProbeConfig.model_fields and value not in (None, [], ())
        }
        if baselines is not None:
            given["baselines"] = [name.strip() for name in baselines.split(",") if name.strip()]
        config = build_probe_config(given)
        found = probe(run, judged, config, dict(_read_other(text) for text in also or ()), make_progress(quiet))
        print_probe(found, config.confidence)


def print_probe(found: ProbeResult, confidence: float) -> None:
    """The figures of each arm, and of each slice where there are some."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    heads = ("arm", "nDCG@10", "over the untrained", "datagen's lead", "recall@100", "loss", "random", "seconds")
    title = f"{found.queries:,} queries evaluated, intervals of {confidence:.0%}, paired over queries"
    table = Table(heads[0], title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in heads[1:]:
        table.add_column(head, justify="right")
    for row in found.arms.iter_rows(named=True):
        table.add_row(
            row["arm"],
            f"{row['ndcg']:.4f}",
            _difference(row, "over_untrained"),
            _difference(row, "lead"),
            f"{row['recall']:.4f}",
            "-" if row["loss"] is None else f"{row['loss']:.3f}",
            f"{row['filled']:,}",
            f"{row['seconds']:,.0f}",
        )
    open_console().print(table)
    typer.echo(
        "datagen's lead: nDCG@10 of this run less that of the arm; random: queries without a negative of the arm"
    )
    if len(found.slices):
        open_console().print(_table_of_slices(found.slices))


def _difference(row: dict[str, Any], name: str) -> str:  # Any: cells of a table
    if row[name] is None:
        return "-"
    return f"{row[name]:+.4f} [{row[f'{name}_low']:+.4f}, {row[f'{name}_high']:+.4f}]"


def _table_of_slices(slices: pl.DataFrame) -> Any:  # Any: a table of rich
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    arms = slices["arm"].unique(maintain_order=True).to_list()
    table = Table("slice", "queries", *arms, title="nDCG@10", title_justify="left", box=SIMPLE_HEAD)
    wide = slices.pivot("arm", index=["slice", "value", "queries"], values="ndcg")
    for row in wide.iter_rows(named=True):
        table.add_row(f"{row['slice']}: {row['value']}", f"{row['queries']:,}", *(f"{row[arm]:.4f}" for arm in arms))
    return table


def _read_other(text: str) -> tuple[str, Path]:
    from datagen.errors import ConfigError

    name, equals, folder = text.partition("=")
    if not (equals and name and folder):
        raise ConfigError(f"--also {text!r} is not NAME=RUN, such as spread=runs/spread")
    return name, Path(folder)
