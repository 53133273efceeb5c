"""What every command does alike: speak to the person, stop with one line, run the stages."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from datagen.commands.output import print_result

if TYPE_CHECKING:
    from datagen.config import RunConfig

log = logging.getLogger(__name__)

EXIT_ERROR, EXIT_INTERRUPTED = 2, 130
MOST_TIMES = 64


@contextlib.contextmanager
def speaking(quiet: bool, log_file: Path | None) -> Iterator[None]:
    """Log while the block runs; an error that datagen means is one line, an interruption a word on how to go on."""
    from datagen.console import setup_logging
    from datagen.errors import DatagenError

    try:
        with setup_logging(quiet, log_file):
            try:
                yield
            except DatagenError:
                log.debug("stopped by an error", exc_info=True)  # to the log file alone
                raise
    except DatagenError as exc:
        typer.echo(f"error: {exc}", err=True)
        raise typer.Exit(EXIT_ERROR) from exc
    except KeyboardInterrupt as exc:
        typer.echo("stopped; run the same command again to go on", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from exc


def run_config(config: RunConfig, *, quiet: bool, fresh: bool = False, read_again: bool = False) -> None:
    """Run the stages of these settings and print what came of it."""
    from datagen import pipeline
    from datagen.console import make_progress

    result = pipeline.run(config, progress=make_progress(quiet), fresh=fresh, read_again=read_again)
    if not quiet:
        print_result(result)


def read_times(text: str) -> float:
    """The number of `2x`.

    Raises:
        ConfigError: it is none.
    """
    from datagen.errors import ConfigError

    try:
        times = float(text.removesuffix("x"))
    except ValueError:
        times = 0.0
    if not 1 <= times <= MOST_TIMES:
        raise ConfigError(
            f"--max-tokens {text!r} must say how many times as long, from 1x to {MOST_TIMES}x, such as 2x"
        )
    return times
