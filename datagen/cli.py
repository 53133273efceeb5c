"""The command line: parse, call, print; nothing else.

An option is only handed on when it was given: the defaults live in `config.py` (a test compares them with the help
texts). Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from datagen.config import RunConfig
    from datagen.doctor import Diagnosis
    from datagen.pipeline import RunResult

log = logging.getLogger(__name__)

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
WIDTH_OF_FILES = 120

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "out": ("out",),
    "seed": ("seed",),
    "cache": ("cache",),
    "beir": ("input.beir",),
    "corpus": ("input.corpus",),
    "queries": ("input.queries",),
    "qrels": ("input.qrels",),
    "pairs": ("input.pairs",),
    "anchor_column": ("input.anchor_column",),
    "positive_column": ("input.positive_column",),
    "llm": ("generate.llm",),
    "queries_per_passage": ("generate.queries_per_passage",),
    "teacher": ("teacher.model",),
    "query_prompt": ("teacher.query_prompt",),
    "document_prompt": ("teacher.document_prompt",),
    "document_template": ("teacher.document_template",),
    "max_tokens": ("teacher.max_tokens", "denoise.max_tokens"),
    "dtype": ("teacher.dtype", "denoise.dtype"),
    "device": ("teacher.device", "denoise.device"),
    "trust_remote_code": ("teacher.trust_remote_code", "denoise.trust_remote_code"),
    "num_negatives": ("mine.num_negatives",),
    "candidates": ("mine.candidates",),
    "max_candidates": ("mine.max_candidates",),
    "margin_policy": ("mine.margin_policy",),
    "margin": ("mine.margin",),
    "positive_score": ("mine.positive_score",),
    "reranker": ("denoise.reranker",),
}
"""Which settings an option of a command fills."""


def _option(flag: str, panel: str, text: str, default: str = "") -> Any:  # Any: what typer.Option gives
    shown = f"{text} \\[default: {default}]" if default else text  # the backslash: else rich takes it for markup
    return typer.Option(flag, help=shown, show_default=False, rich_help_panel=panel)


_INPUT, _MODELS, _CHOICE, _RUN = "Input", "Models", "Which negatives", "The run"

Out = Annotated[Path | None, _option("--out", _RUN, "The run folder.")]
Seed = Annotated[int | None, _option("--seed", _RUN, "Seed of every choice.", "42")]
Cache = Annotated[
    Path | None, _option("--cache", _RUN, "Folder of vectors and scores, shared by runs.", "~/.cache/datagen")
]
Fresh = Annotated[bool, _option("--fresh", _RUN, "Start over instead of going on.")]
Quiet = Annotated[bool, _option("--quiet", _RUN, "Say nothing but warnings and errors.")]
LogFile = Annotated[Path | None, _option("--log-file", _RUN, "Append all log lines, and tracebacks, to this file.")]
Set = Annotated[
    list[str] | None,
    _option("--set", _RUN, "Any other setting: SECTION.KEY=VALUE, such as mine.positive_quantile=0.3."),
]
ContinuedRun = Annotated[Path | None, _option("--run", _INPUT, "Go on in a folder that `datagen generate` made.")]
Beir = Annotated[str | None, _option("--beir", _INPUT, "Folder with corpus.jsonl, queries.jsonl and qrels.")]
Corpus = Annotated[str | None, _option("--corpus", _INPUT, "Passages: file, dataset folder or dataset id.")]
Queries = Annotated[str | None, _option("--queries", _INPUT, "Queries: file, dataset folder or dataset id.")]
Qrels = Annotated[str | None, _option("--qrels", _INPUT, "Known positives: query id, document id, score.")]
Pairs = Annotated[str | None, _option("--pairs", _INPUT, "A query and a positive a row; --corpus may add passages.")]
AnchorColumn = Annotated[
    str | None, _option("--anchor-column", _INPUT, "Column of the query in --pairs.", "a usual name")
]
PositiveColumn = Annotated[
    str | None, _option("--positive-column", _INPUT, "Column of the positive in --pairs.", "a usual name")
]
Llm = Annotated[str | None, _option("--llm", _MODELS, "Writer of the queries, or package.module:Class.", "extractive")]
QueriesPerPassage = Annotated[
    int | None, _option("--queries-per-passage", _CHOICE, "Queries asked for each passage.", "2")
]
Teacher = Annotated[
    str | None,
    _option("--teacher", _MODELS, "Embedder: hub id, folder or packaged:NAME.", "packaged:all-MiniLM-L6-v2"),
]
Reranker = Annotated[
    str | None,
    _option("--reranker", _MODELS, "maxsim, maxsim:MODEL, hub id or folder of a cross-encoder, or none.", "maxsim"),
]
QueryPrompt = Annotated[str | None, _option("--query-prompt", _MODELS, "Put before each query.", "the model's own")]
DocumentPrompt = Annotated[
    str | None, _option("--document-prompt", _MODELS, "Put before each document.", "the model's own")
]
DocumentTemplate = Annotated[
    str | None, _option("--document-template", _MODELS, "How title and text become one document.", "{title} {text}")
]
MaxTokens = Annotated[int | None, _option("--max-tokens", _MODELS, "Cut longer texts.", "the model's own limit")]
Dtype = Annotated[str | None, _option("--dtype", _MODELS, "auto, float32, float16 or bfloat16.", "auto")]
Device = Annotated[str | None, _option("--device", _MODELS, "auto, cpu, cuda, cuda:1, mps …", "auto")]
TrustRemoteCode = Annotated[
    bool, _option("--trust-remote-code", _MODELS, "Let a hub model run its own code: only for models you trust.")
]
NumNegatives = Annotated[int | None, _option("--num-negatives", _CHOICE, "Negatives wanted for each query.", "5")]
Candidates = Annotated[int | None, _option("--candidates", _CHOICE, "Nearest documents looked at first.", "100")]
MaxCandidates = Annotated[
    int | None, _option("--max-candidates", _CHOICE, "How deep a query short of negatives is searched.", "1000")
]
MarginPolicy = Annotated[str | None, _option("--margin-policy", _CHOICE, "adaptive, relative or absolute.", "adaptive")]
Margin = Annotated[
    float | None, _option("--margin", _CHOICE, "How far below the positive a negative must be.", "by policy")
]
PositiveScore = Annotated[
    str | None, _option("--positive-score", _CHOICE, "The positive compared with: min, own or quantile.", "quantile")
]

app = typer.Typer(
    name="datagen", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
)


def main() -> None:
    """Run the command that the arguments name."""
    app(prog_name="datagen")


def _print_version(wanted: bool) -> None:
    if wanted:
        from datagen import __version__

        typer.echo(f"datagen {__version__}")
        raise typer.Exit


@app.callback()
def describe(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Make training data for text-embedding and reranking models."""


@app.command("run")
def run_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="Settings, such as pipelines/quickstart.yaml.")],
    out: Out = None,
    overrides: Set = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> None:
    """Run the stages of a YAML file, going on where an earlier call was stopped."""
    with _speaking(quiet, log_file):
        from datagen.config import load_config

        _run(load_config(file, _given(ctx)), fresh=fresh, quiet=quiet)


@app.command("generate")
def generate(
    ctx: typer.Context,
    corpus: Corpus = None,
    llm: Llm = None,
    queries_per_passage: QueriesPerPassage = None,
    out: Out = None,
    seed: Seed = None,
    overrides: Set = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> None:
    """Write queries for your own passages."""
    with _speaking(quiet, log_file):
        from datagen.config import GENERATE_STAGES, build_config

        _run(build_config({"stages": GENERATE_STAGES, **_given(ctx)}), fresh=fresh, quiet=quiet)


@app.command("mine-negatives")
def mine_negatives(
    ctx: typer.Context,
    beir: Beir = None,
    corpus: Corpus = None,
    queries: Queries = None,
    qrels: Qrels = None,
    pairs: Pairs = None,
    anchor_column: AnchorColumn = None,
    positive_column: PositiveColumn = None,
    continued: ContinuedRun = None,
    teacher: Teacher = None,
    reranker: Reranker = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    document_template: DocumentTemplate = None,
    max_tokens: MaxTokens = None,
    dtype: Dtype = None,
    device: Device = None,
    trust_remote_code: TrustRemoteCode = False,
    num_negatives: NumNegatives = None,
    candidates: Candidates = None,
    max_candidates: MaxCandidates = None,
    margin_policy: MarginPolicy = None,
    margin: Margin = None,
    positive_score: PositiveScore = None,
    out: Out = None,
    cache: Cache = None,
    seed: Seed = None,
    overrides: Set = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> None:
    """Mine hard negatives, filter and denoise them, and write training shards."""
    with _speaking(quiet, log_file):
        from datagen.config import MINE_STAGES, build_config

        given = _given(ctx)
        config = _continue(continued, given) if continued else build_config({"stages": MINE_STAGES, **given})
        _run(config, fresh=fresh, quiet=quiet)


@app.command("doctor")
def doctor() -> None:
    """Say what is installed, which devices there are, which extras are missing and how to add them."""
    from datagen.doctor import diagnose

    _print_diagnosis(diagnose())


@contextlib.contextmanager
def _speaking(quiet: bool, log_file: Path | None) -> Iterator[None]:
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


def _given(ctx: typer.Context) -> dict[str, Any]:  # Any: settings not yet validated
    """The settings that the options of this call give, nested; a named option wins over --set."""
    from datagen.config import merge

    values: dict[str, Any] = {}  # Any: settings not yet validated
    for text in ctx.params["overrides"] or ():
        values = merge(values, _parse_override(text))
    for name, settings in SETTINGS.items():
        value = ctx.params.get(name)
        if value is not None and value is not False:  # 0 is a value, a flag left out is none
            for setting in settings:
                values = merge(values, _nest(setting, value))
    return values


def _parse_override(text: str) -> dict[str, Any]:  # Any: settings not yet validated
    import yaml

    from datagen.errors import ConfigError

    setting, equals, value = text.partition("=")
    if not equals or not setting:
        raise ConfigError(f"--set {text!r} is not SECTION.KEY=VALUE, such as mine.positive_quantile=0.3")
    try:
        return _nest(setting, yaml.safe_load(value))
    except yaml.YAMLError:
        return _nest(setting, value)  # a plain text such as `{title}: {text}`


def _nest(setting: str, value: object) -> dict[str, Any]:  # Any: settings not yet validated
    for part in reversed(setting.split(".")):
        value = {part: value}
    return dict(value) if isinstance(value, dict) else {}


def _continue(run: Path, given: dict[str, Any]) -> RunConfig:  # Any: settings not yet validated
    """The settings of an earlier run with these laid over them, and the mining stages added to its own."""
    from datagen.config import MINE_STAGES, STAGE_ORDER, build_config, merge
    from datagen.errors import ConfigError, RunFolderError
    from datagen.run_folder import RunFolder

    if "out" in given or "input" in given:
        raise ConfigError("--run goes on in a folder with the input it has: leave out --out and the input options")
    summary = RunFolder(run).summary()
    if summary is None:
        raise RunFolderError(f"{run} holds no run.json to go on from: name a folder that `datagen generate` made")
    earlier = build_config({**summary["settings"], "out": run})
    stages = [name for name in STAGE_ORDER if name in (*earlier.resolved_stages, *MINE_STAGES)]
    return build_config(merge(summary["settings"], {**given, "out": run, "stages": stages}))


def _run(config: RunConfig, *, fresh: bool, quiet: bool) -> None:
    from datagen import pipeline
    from datagen.console import make_progress

    result = pipeline.run(config, fresh=fresh, progress=make_progress(quiet))
    if not quiet:
        _print_result(result)


def _print_result(result: RunResult) -> None:
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


def _print_diagnosis(diagnosis: Diagnosis) -> None:
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
