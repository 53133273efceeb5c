"""`datagen export`: a run's training data in the format of a framework."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datagen.commands import options
from datagen.commands.base import speaking

if TYPE_CHECKING:
    from datagen.formats import Exported


def _list_formats(wanted: bool) -> None:
    if wanted:
        from datagen.formats import FORMATS

        for name, form in FORMATS.items():
            typer.echo(f"{name:22} {form.description}")
        raise typer.Exit


def _option(flag: str, metavar: str, text: str, default: str) -> Any:  # Any: what typer.Option gives
    return typer.Option(flag, metavar=metavar, help=f"{text} \\[default: {default}]", show_default=False)


def export_run(
    run: options.RunArgument,
    format_: Annotated[str, typer.Option("--format", metavar="F", help="One of `datagen export --list`.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write, new or empty.")],
    num_negatives: Annotated[
        int | None,
        _option("--num-negatives", "N", "Negatives of each query.", "all, or the most where all need as many"),
    ] = None,
    short: Annotated[
        str | None,
        _option("--short", "RULE", "A query with fewer: pad (its own, from the first on again), drop or error.", "pad"),
    ] = None,
    scores: Annotated[
        str | None, _option("--scores", "WHOSE", "Scores of the teacher or the reranker.", "none")
    ] = None,
    split: Annotated[
        str | None,
        _option("--split", "SHARES", "Such as train=0.9,dev=0.1; what shares a positive stays together.", "train=1"),
    ] = None,
    query_template: Annotated[
        str | None,
        _option("--query-template", "TEXT", "Such as 'Instruct: {instruction}\\nQuery: {query}'.", "{query}"),
    ] = None,
    batches: Annotated[
        str | None,
        _option("--batches", "KIND", "Rows in batches of one cluster (topic) and source, or of one source.", "none"),
    ] = None,
    batch_size: Annotated[int | None, _option("--batch-size", "N", "Rows of a batch.", "32")] = None,
    rows_per_shard: Annotated[int | None, _option("--rows-per-shard", "N", "Rows in one file.", "100000")] = None,
    seed: Annotated[int | None, _option("--seed", "N", "Seed of the split and of the batches.", "42")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace an earlier export.")] = False,
    quiet: options.Quiet = False,
    listed: Annotated[
        bool, typer.Option("--list", callback=_list_formats, is_eager=True, help="List the formats and stop.")
    ] = False,
) -> None:
    """Write the training data of a run in the format of a framework, some rows at a time."""
    with speaking(quiet, log_file=None):
        from datagen import formats
        from datagen.batching import open_batcher
        from datagen.console import make_progress

        chosen = formats.read_options(
            num_negatives=num_negatives,
            short=short,
            scores=scores,
            split=split,
            rows_per_shard=rows_per_shard,
            seed=seed,
            query_template=None if query_template is None else query_template.replace("\\n", "\n"),
        )
        batched = formats.read_batch_options(batches=batches, batch_size=batch_size, seed=seed)
        progress = make_progress(quiet)
        batcher = open_batcher(run, batched, progress) if batched else None
        done = formats.export_run(run, format_, out, chosen, fresh=fresh, progress=progress, batcher=batcher)
        if not quiet:
            _print_export(done)


def _print_export(done: Exported) -> None:
    from rich.filesize import decimal

    from datagen.formats import FORMATS
    from datagen.formats.card import explain_lost

    split = ", ".join(f"{name} {queries:,}" for name, queries in done.queries.items())
    typer.echo(f"queries: {split}; {done.rows:,} rows, {done.files:,} files, {decimal(done.bytes)} in {done.path}")
    for what, number in done.lost.items():
        typer.echo(f"{number:,} {explain_lost(what)}")
    for name, made in done.batches.items():
        typer.echo(f"{name}: {made}, numbered in the column batch")
    typer.echo(f"\nTo load it:  {FORMATS[done.format].load.replace('OUT', str(done.path))}")
