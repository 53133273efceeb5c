"""`datagen audit` and `datagen repair`: their options, and what they print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datagen.commands import options
from datagen.commands.base import speaking
from datagen.commands.output import open_console

if TYPE_CHECKING:
    from rich.console import RenderableType

    from datagen.auditing import AuditRequest

EXIT_FAILED = 1


def _option(flag: str, panel: str, text: str, metavar: str | None = None) -> Any:  # Any: what typer.Option gives
    return typer.Option(flag, help=text, metavar=metavar, show_default=False, rich_help_panel=panel)


_DATA, _FAULTS, _MODELS, _REPAIR = "The data", "What is a fault", "Models", "What is done"

DatasetArgument = Annotated[Path, typer.Argument(metavar="DATASET", help="Training data: a file or a folder.")]
FormatName = Annotated[str | None, _option("--format", _DATA, "Its format, where it cannot be told from the files.")]
Against = Annotated[
    list[Path] | None, _option("--against", _FAULTS, "BEIR folder of a test set that must not be in it; repeatable.")
]
Judgements = Annotated[
    str | None, _option("--qrels", _FAULTS, "Judgements: query id, document id, score; or a BEIR folder.")
]
MaxP = Annotated[
    float | None, _option("--max-p", _FAULTS, "Highest P(false negative) of a good negative. \\[default: 0.3]")
]
Teacher = Annotated[
    str | None,
    _option(
        "--teacher",
        _MODELS,
        "Embedder: hub id, folder, packaged:NAME; or none, to look at the texts alone. "
        "\\[default: packaged:all-MiniLM-L6-v2]",
    ),
]
Reranker = Annotated[
    str | None, _option("--reranker", _MODELS, "A second opinion: maxsim, or a cross-encoder. \\[default: none]")
]
FailOn = Annotated[
    list[str] | None,
    _option(
        "--fail-on",
        _FAULTS,
        "End with exit code 1 where this is higher: the share of a fault, false_negative_rate, style_auc …",
        "NAME=LIMIT",
    ),
]
Report = Annotated[Path | None, _option("--out", "The run", "Folder for audit.json and findings.parquet.")]
RepairReport = Annotated[
    Path | None, _option("--report", _REPAIR, "Folder for the audit and the changes. \\[default: beside --out]")
]
CleanedOut = Annotated[Path, typer.Option("--out", help="Where the cleaned data set goes.")]
Faults = Annotated[
    list[str] | None, _option("--fault", _REPAIR, "Remove this fault alone; repeatable. \\[default: all certain ones]")
]
MinNegatives = Annotated[
    int | None, _option("--min-negatives", _REPAIR, "Negatives that a row has to keep. \\[default: 1]")
]
ShortRows = Annotated[
    str | None, _option("--short", _REPAIR, "Rows with fewer: keep (and say so) or drop. \\[default: keep]")
]


def audit(
    ctx: typer.Context,
    dataset: DatasetArgument,
    format: FormatName = None,
    against: Against = None,
    judgements: Judgements = None,
    max_p: MaxP = None,
    fail_on: FailOn = None,
    teacher: Teacher = None,
    reranker: Reranker = None,
    query_prompt: options.QueryPrompt = None,
    document_prompt: options.DocumentPrompt = None,
    max_tokens: options.MaxTokens = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    report: Report = None,
    cache: options.Cache = None,
    memory: options.Memory = None,
    seed: options.Seed = None,
    overrides: options.Set = None,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Say what is wrong with training data, made here or elsewhere."""
    with speaking(quiet, log_file):
        from datagen.auditing import audit_dataset, exceeded, read_limits, write_audit
        from datagen.console import make_progress
        from datagen.report.audit_summary import render_audit

        limits = read_limits(fail_on or ())
        found = audit_dataset(_request(ctx), make_progress(quiet)).audit
        if report is not None:
            write_audit(found, report)
        if not quiet:
            _show(render_audit(found.figures))
        _end(exceeded(found.figures, limits))


def repair(
    ctx: typer.Context,
    dataset: DatasetArgument,
    out: CleanedOut,
    format: FormatName = None,
    against: Against = None,
    judgements: Judgements = None,
    max_p: MaxP = None,
    faults: Faults = None,
    min_negatives: MinNegatives = None,
    short: ShortRows = None,
    teacher: Teacher = None,
    reranker: Reranker = None,
    query_prompt: options.QueryPrompt = None,
    document_prompt: options.DocumentPrompt = None,
    max_tokens: options.MaxTokens = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    report: RepairReport = None,
    cache: options.Cache = None,
    memory: options.Memory = None,
    seed: options.Seed = None,
    overrides: options.Set = None,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Write training data without the faults that an audit finds, every change with its reason."""
    with speaking(quiet, log_file):
        from datagen.audit.repair import count_changes
        from datagen.auditing import repair_dataset
        from datagen.console import make_progress
        from datagen.report.audit_summary import render_changes

        repaired = repair_dataset(_request(ctx), out, report, make_progress(quiet))
        if not quiet:
            _show(render_changes(count_changes(repaired.changes)))


def _request(ctx: typer.Context) -> AuditRequest:
    """What the options of this call ask for."""
    from datagen.auditing import AuditRequest
    from datagen.config import merge

    given = options.read_given(ctx)
    given.pop("out", None)  # of the cleaned data set
    names = {"audit": ("max_p",), "repair": ("faults", "min_negatives", "short")}
    own = {
        section: {name: value for name in keys if (value := ctx.params.get(name)) not in (None, [], ())}
        for section, keys in names.items()
    }
    settings = merge(merge({"denoise": {"reranker": "none"}}, given), own)
    paths = tuple(ctx.params["against"] or ())
    return AuditRequest(ctx.params["dataset"], ctx.params["format"], settings, paths, ctx.params["judgements"])


def _show(parts: Iterable[RenderableType]) -> None:
    console = open_console()
    for part in parts:
        console.print(part)


def _end(failures: Sequence[str]) -> None:
    for sentence in failures:
        typer.echo(f"failed: {sentence}", err=True)
    if failures:
        raise typer.Exit(EXIT_FAILED)
