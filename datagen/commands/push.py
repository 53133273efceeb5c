"""`datagen push`: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datagen.commands import options
from datagen.commands.base import speaking

if TYPE_CHECKING:
    from datagen.pushing import PushPlan


def push_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A run, or what `datagen export` wrote.")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="The dataset: NAME or OWNER/NAME.")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who can read a new dataset: you and your group, or everybody.")
    ] = True,
    revision: Annotated[
        str | None,
        typer.Option("--revision", help="Branch, made when it is not there. \\[default: main]", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, list what would be pushed, and ask no network.")
    ] = False,
    allow_keys: Annotated[
        bool, typer.Option("--allow-keys", help="Push texts that look like keys, such as examples in documentation.")
    ] = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Push a run or an export to the Hugging Face hub as a dataset. The token is read from HF_TOKEN."""
    with speaking(quiet, log_file):
        from datagen import pushing

        pushing.check_repo(repo)
        plan = pushing.plan_push(folder, allow_keys=allow_keys)
        if dry_run or not quiet:
            _print_plan(plan)
        if dry_run:
            readers = "you and your group" if private else "everybody"
            typer.echo(f"\nNothing was sent. A new dataset {repo} would be readable by {readers}.")
            return
        done = pushing.push(plan, repo, private=private, revision=revision, quiet=quiet)
        typer.echo(f"pushed: {done.url}" if done.changed else f"{repo} holds all of it already: {done.url}")


def _print_plan(plan: PushPlan) -> None:
    from rich.filesize import decimal

    for name, size in plan.files.items():
        typer.echo(f"{decimal(size):>10}  {name}")
    typer.echo(f"{decimal(plan.bytes):>10}  in {len(plan.files):,} files")
    for name, reason in plan.left_out.items():
        typer.echo(f"left out    {name} ({reason})")
