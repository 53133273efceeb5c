"""`datagen report`: the page of a run, of two beside each other, or with queries of people to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datagen.commands import options
from datagen.commands.base import speaking


def write_report(
    run: options.RunArgument,
    compare: Annotated[list[Path] | None, typer.Option("--compare", help="Another run, shown beside it.")] = None,
    human: Annotated[
        str | None, typer.Option("--human", help="Queries of people: file, dataset folder or dataset id.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write. [default: RUN/report.html]", show_default=False)
    ] = None,
) -> None:
    """Write the page that shows a run: flow, scores, hubs, diversity, cost and samples, in one file."""
    with speaking(quiet=False, log_file=None):
        from datagen.run_page import make_page

        made = make_page(run, out, others=compare or (), human=human)
        typer.echo(f"{made} ({made.stat().st_size / 1e6:.1f} MB): open it in a browser; it needs no network")
