"""`datagen canary`: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datagen.commands import options
from datagen.commands.base import speaking

if TYPE_CHECKING:
    from datagen.canary.measure import Share
    from datagen.canary.run import Canary

Sample = Annotated[int, typer.Option("--sample", min=1, help="Known positives that plants are made of, at most.")]
FromRun = Annotated[
    Path | None,
    typer.Option("--run", metavar="RUN", help="Take input and settings of this run.", rich_help_panel="Input"),
]


def measure_canary(
    ctx: typer.Context,
    beir: options.Beir = None,
    corpus: options.Corpus = None,
    queries: options.Queries = None,
    qrels: options.Qrels = None,
    pairs: options.Pairs = None,
    anchor_column: options.AnchorColumn = None,
    positive_column: options.PositiveColumn = None,
    run: FromRun = None,
    sample: Sample = 400,
    llm: options.Llm = None,
    base_url: options.BaseUrl = None,
    max_cost: options.MaxCost = None,
    max_requests: options.MaxRequests = None,
    teacher: options.Teacher = None,
    also_teacher: options.AlsoTeacher = None,
    reranker: options.Reranker = None,
    query_prompt: options.QueryPrompt = None,
    document_prompt: options.DocumentPrompt = None,
    document_template: options.DocumentTemplate = None,
    max_tokens: options.MaxTokens = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    sources: options.Sources = None,
    num_negatives: options.NumNegatives = None,
    candidates: options.Candidates = None,
    margin_policy: options.MarginPolicy = None,
    margin: options.Margin = None,
    positive_score: options.PositiveScore = None,
    same_doc: options.SameDoc = None,
    as_json: options.AsJson = False,
    out: options.Out = None,
    cache: options.Cache = None,
    memory: options.Memory = None,
    seed: options.Seed = None,
    overrides: options.Set = None,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Measure on your own corpus which false negatives the settings remove, and which hard negatives they keep.

    Plants made out of known positives are added to a copy of the corpus, and the very stages of mine-negatives run.
    """
    with speaking(quiet or as_json, log_file):
        from datagen.canary.run import run_canary
        from datagen.config import MINE_STAGES, build_config
        from datagen.console import make_progress
        from datagen.earlier_runs import refresh_run

        given = options.read_given(ctx)
        config = refresh_run(run, given, "--run") if run else build_config({"stages": MINE_STAGES, **given})
        found = run_canary(config, sample, fresh=fresh, progress=make_progress(quiet or as_json))
        if as_json:
            typer.echo(found.as_json())
        else:
            _print(found)


def _print(canary: Canary) -> None:
    """A row for each kind, and the two numbers with what they mean."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from datagen.canary.run import MEANINGS
    from datagen.commands.output import open_console

    console = open_console()
    table = Table("kind", "planted", "in reach", "may be negative", "what is against the others", box=SIMPLE_HEAD)
    for row in canary.kinds.iter_rows(named=True):
        table.add_row(row["kind"], *(f"{row[name]:,}" for name in ("planted", "in_reach", "eligible")), row["reasons"])
    console.print(table)
    for name, share in (("recall", canary.recall), ("retention", canary.retention)):
        console.print(f"[bold]{name} {_told(share)}[/bold]: {MEANINGS[name]}")
    console.print(f"altered: {MEANINGS['altered']}")
    if not canary.curve.is_empty():
        _print_curve(canary)
    typer.echo(f"\nThe mined run, with the ledger of all candidates:  {canary.path / 'run'}")


def _print_curve(canary: Canary) -> None:
    """What other margins would do, and the one to take."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from datagen.canary.measure import WANTED_RECALL
    from datagen.commands.output import open_console

    table = Table("--margin", "recall", "retention", title="Other margins", title_justify="left", box=SIMPLE_HEAD)
    for margin, recall, retention in canary.curve.iter_rows():
        table.add_row(f"{margin:g}", f"{recall:.1%}", f"{retention:.1%}")
    open_console().print(table)
    if canary.suggested is None:
        typer.echo(f"No margin brings recall to {WANTED_RECALL:.0%}: what is missed scores like a right negative.")
    else:
        typer.echo(
            f"--margin {canary.suggested:g} keeps most hard negatives at a recall of {WANTED_RECALL:.0%} or more."
        )


def _told(share: Share) -> str:
    if not share.of:
        return "unknown, there are none"
    low, high = share.interval
    return f"{share.value:.1%} ({low:.1%} to {high:.1%} at 95 %, of {share.of:,})"
