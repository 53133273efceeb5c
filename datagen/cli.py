"""The command line: parse, call, print; nothing else.

The options are those of `commands/options.py`. Nothing heavy is imported before a command runs: `--help` is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datagen.commands import judge_options, options
from datagen.commands.audit import audit, repair
from datagen.commands.base import read_times, run_config, speaking
from datagen.commands.canary import measure_canary
from datagen.commands.export import export_run
from datagen.commands.inspect import inspect_run
from datagen.commands.output import print_diagnosis, print_forecast, print_tuning
from datagen.commands.probe import probe_run
from datagen.commands.push import push_folder
from datagen.commands.report import write_report

app = typer.Typer(
    name="datagen", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
)


def main() -> None:
    """Run the command that the arguments name."""
    app(prog_name="datagen")


def _print_version(wanted: bool) -> None:
    if wanted:
        from datagen.version import __version__

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
    out: options.Out = None,
    max_false_negatives: options.MaxFalseNegatives = None,
    confidence: options.Confidence = None,
    labels: options.Judged = None,
    labels_complete: options.LabelsComplete = False,
    overrides: options.Set = None,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Run the stages of a YAML file, going on where an earlier call was stopped."""
    with speaking(quiet, log_file):
        from datagen.config import load_config

        run_config(load_config(file, options.read_given(ctx)), fresh=fresh, quiet=quiet)


@app.command("generate")
def generate(
    ctx: typer.Context,
    corpus: options.Corpus = None,
    beir: options.Beir = None,
    pairs: options.Pairs = None,
    llm: options.Llm = None,
    base_url: options.BaseUrl = None,
    lane: options.Lane = None,
    temperature: options.Temperature = None,
    answer_tokens: options.AnswerTokens = None,
    recipe: options.Recipe = None,
    prompts: options.Prompts = None,
    two_step: options.TwoStep = False,
    judge: options.Judge = None,
    tasks: options.Tasks = None,
    avoid: options.Avoid = None,
    queries_per_passage: options.QueriesPerPassage = None,
    num: options.Num = None,
    max_attempts: options.MaxAttempts = None,
    max_in_flight: options.MaxInFlight = None,
    requests_per_minute: options.RequestsPerMinute = None,
    tokens_per_minute: options.TokensPerMinute = None,
    max_cost: options.MaxCost = None,
    max_tokens_of_run: options.MaxTokensOfRun = None,
    max_requests: options.MaxRequests = None,
    dry_run: options.DryRun = False,
    out: options.Out = None,
    seed: options.Seed = None,
    overrides: options.Set = None,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Write queries for your own passages, with a language model or without one."""
    with speaking(quiet, log_file):
        from datagen.config import GENERATE_STAGES, build_config

        config = build_config({"stages": GENERATE_STAGES, **options.read_given(ctx)})
        if dry_run:
            from datagen.pilot import ask_pilot, describe_pilot

            typer.echo(describe_pilot(ask_pilot(config)))
        else:
            run_config(config, fresh=fresh, quiet=quiet)


@app.command("brainstorm")
def brainstorm(
    ctx: typer.Context,
    llm: options.Llm = None,
    base_url: options.BaseUrl = None,
    temperature: options.Temperature = None,
    answer_tokens: options.AnswerTokens = None,
    recipe: options.Recipe = None,
    prompts: options.Prompts = None,
    tasks: options.Tasks = None,
    out: options.Out = None,
    seed: options.Seed = None,
    overrides: options.Set = None,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Think up tasks for a recipe that writes rows for tasks, and stop there."""
    with speaking(quiet, log_file):
        from datagen.config import BRAINSTORM_STAGES, build_config

        run_config(build_config({"stages": BRAINSTORM_STAGES, **options.read_given(ctx)}), fresh=fresh, quiet=quiet)


recipes = typer.Typer(help="List the recipes, or show one.", invoke_without_command=True)
app.add_typer(recipes, name="recipes")


@recipes.callback()
def list_recipes(ctx: typer.Context, prompts: options.Prompts = None) -> None:
    """List the recipes: what language models can be asked for."""
    if ctx.invoked_subcommand is None:
        with speaking(quiet=False, log_file=None):
            from datagen.generation.recipes.load import list_recipes, load_recipe

            for name in list_recipes(prompts):
                typer.echo(f"{name:16} {load_recipe(name, prompts).spec.description}")


@recipes.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of `datagen recipes`.")],
    prompts: options.Prompts = None,
    llm: Annotated[str, typer.Option("--llm", help="The model whose price is used.")] = "",
) -> None:
    """Show slots and weights, a rendered prompt, the expected answer and what a row costs."""
    with speaking(quiet=False, log_file=None):
        from datagen.generation.recipes.load import load_recipe
        from datagen.generation.recipes.show import describe_recipe
        from datagen.generation.runtime.prices import load_prices

        prices = load_prices()
        typer.echo(describe_recipe(load_recipe(name, prompts), prices.find(llm) if llm else None, prices.currency))


@app.command("reparse")
def reparse(
    ctx: typer.Context,
    run: options.RunArgument,
    overrides: options.Set = None,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Read the kept answers of a language model again, with changed rules and without a call."""
    with speaking(quiet, log_file):
        from datagen.earlier_runs import read_earlier

        run_config(read_earlier(run, options.read_given(ctx)), quiet=quiet, read_again=True)


@app.command("retry")
def retry(
    ctx: typer.Context,
    run: options.RunArgument,
    reason: options.Reason,
    longer: options.TimesTokens = "1x",
    overrides: options.Set = None,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Ask the rows again that ended with a reason; all other rows keep their answers."""
    with speaking(quiet, log_file):
        from datagen.earlier_runs import read_earlier
        from datagen.settings.generate import RetryRule

        config = read_earlier(run, options.read_given(ctx))
        rule = RetryRule(reason=reason, max_tokens=read_times(longer))
        rules = (*config.generate.retries, rule)
        generate = config.generate.model_copy(update={"retries": rules})
        run_config(config.model_copy(update={"generate": generate}), quiet=quiet)


@app.command("why")
def why(
    run: options.RunArgument,
    row_id: Annotated[str, typer.Argument(metavar="ROW_ID", help="A query_id, or the key of a dropped row.")],
) -> None:
    """Tell how a row came about: slots, prompt, answers, every rung of the parse, every decision."""
    with speaking(quiet=False, log_file=None):
        from datagen.lineage import explain_row

        for section in explain_row(run, row_id):
            typer.echo(f"{section.title}\n{'-' * len(section.title)}\n{section.text}\n")


@app.command("mine-negatives")
def mine_negatives(
    ctx: typer.Context,
    beir: options.Beir = None,
    corpus: options.Corpus = None,
    queries: options.Queries = None,
    qrels: options.Qrels = None,
    pairs: options.Pairs = None,
    anchor_column: options.AnchorColumn = None,
    positive_column: options.PositiveColumn = None,
    continued: options.ContinuedRun = None,
    refreshed: options.RefreshedRun = None,
    teacher: options.Teacher = None,
    also_teacher: options.AlsoTeacher = None,
    reranker: options.Reranker = None,
    query_prompt: options.QueryPrompt = None,
    document_prompt: options.DocumentPrompt = None,
    document_template: options.DocumentTemplate = None,
    max_tokens: options.MaxTokens = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    backend: options.Backend = None,
    trust_remote_code: options.TrustRemoteCode = False,
    sources: options.Sources = None,
    dims: options.Dims = None,
    num_negatives: options.NumNegatives = None,
    choice: options.Choice = None,
    tiers: options.Tiers = None,
    hub_cap: options.HubCap = None,
    diversity: options.Diversity = None,
    candidates: options.Candidates = None,
    max_candidates: options.MaxCandidates = None,
    index: options.Index = None,
    min_recall: options.MinRecall = None,
    margin_policy: options.MarginPolicy = None,
    margin: options.Margin = None,
    positive_score: options.PositiveScore = None,
    same_field: options.SameField = None,
    exclude_same: options.ExcludeSame = None,
    same_doc: options.SameDoc = None,
    max_false_negatives: options.MaxFalseNegatives = None,
    confidence: options.Confidence = None,
    labels: options.Judged = None,
    labels_complete: options.LabelsComplete = False,
    check_positives: judge_options.CheckPositives = None,
    judges: judge_options.Judges = None,
    judge_budget: judge_options.JudgeBudget = None,
    judge_mode: judge_options.JudgeMode = None,
    judge_max_cost: judge_options.JudgeMaxCost = None,
    base_url: options.BaseUrl = None,
    max_in_flight: options.MaxInFlight = None,
    soft_labels: options.SoftLabels = False,
    dry_run: options.Forecast = False,
    out: options.Out = None,
    cache: options.Cache = None,
    memory: options.Memory = None,
    seed: options.Seed = None,
    overrides: options.Set = None,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Mine hard negatives, filter and denoise them, and write training shards."""
    with speaking(quiet, log_file):
        from datagen.earlier_runs import choose_run

        config = choose_run(options.read_given(ctx), continued, refreshed)
        if dry_run:
            from datagen.forecast import forecast_mining

            print_forecast(forecast_mining(config))
        else:
            run_config(config, fresh=fresh, quiet=quiet)


@app.command("tune")
def tune_margin(
    run: options.RunArgument,
    margin_policy: options.Policies = None,
    margin: options.Margins = None,
    positive_score: options.PositiveScores = None,
    num_negatives: options.Counts = None,
    choice: options.OtherChoice = None,
    tiers: options.OtherTiers = None,
    hub_cap: options.OtherCap = None,
    labels: options.Labels = None,
    as_json: options.AsJson = False,
    csv: options.Csv = None,
) -> None:
    """Show in seconds what other margins or choices would make of a run, from its ledger, without a model.

    Options may be repeated: all combinations are shown. Without any: margins around the run's own, and other policies.
    """
    with speaking(quiet=False, log_file=None):
        from datagen import storage, tuning
        from datagen.sources import load_labels

        axes = {"margin_policy": margin_policy, "margin": margin, "positive_score": positive_score}
        values = {name: given for name, given in (*axes.items(), ("num_negatives", num_negatives)) if given}
        chosen = options.read_choice(choice, tiers, hub_cap)
        grid = tuning.cross(values, chosen) if values or chosen else None
        rows = tuning.tune(run, grid, load_labels(labels) if labels else None)
        if csv:
            storage.write_text(csv, rows.write_csv())
        if as_json:
            typer.echo(rows.write_json())
        else:
            print_tuning(rows, tuning.tell_limits(run, rows))


app.command("inspect")(inspect_run)
app.command("export")(export_run)
app.command("audit")(audit)
app.command("repair")(repair)
app.command("report")(write_report)
app.command("canary")(measure_canary)
app.command("probe")(probe_run)
app.command("push")(push_folder)


@app.command("doctor")
def doctor() -> None:
    """Say what is installed, which devices there are, which extras are missing and how to add them."""
    from datagen.doctor import diagnose

    print_diagnosis(diagnose())
