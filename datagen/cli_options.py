"""The options of the command line, and the settings that each of them fills.

An option is only handed on when it was given: the defaults live in `config.py` (a test compares them with the help
texts).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

MOST_TIMES = 64

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "out": ("out",),
    "seed": ("seed",),
    "cache": ("cache",),
    "memory": ("memory",),
    "beir": ("input.beir",),
    "corpus": ("input.corpus",),
    "queries": ("input.queries",),
    "qrels": ("input.qrels",),
    "pairs": ("input.pairs",),
    "anchor_column": ("input.anchor_column",),
    "positive_column": ("input.positive_column",),
    "llm": ("generate.llm",),
    "recipe": ("generate.recipe",),
    "tasks": ("brainstorm.num",),
    "avoid": ("generate.avoid",),
    "prompts": ("generate.prompts",),
    "queries_per_passage": ("generate.queries_per_passage",),
    "num": ("generate.num",),
    "max_attempts": ("generate.max_attempts",),
    "temperature": ("generate.temperature",),
    "answer_tokens": ("generate.answer_tokens",),
    "max_cost": ("generate.max_cost",),
    "max_tokens_of_run": ("generate.max_tokens",),
    "max_requests": ("generate.max_requests",),
    "base_url": ("llm.base_url",),
    "lane": ("llm.lane",),
    "max_in_flight": ("llm.max_in_flight",),
    "requests_per_minute": ("llm.requests_per_minute",),
    "tokens_per_minute": ("llm.tokens_per_minute",),
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
    "same_field": ("mine.rules.same_field",),
    "exclude_same": ("mine.rules.exclude_same",),
    "same_doc": ("mine.rules.same_doc",),
    "index": ("mine.index",),
    "min_recall": ("mine.min_recall",),
    "reranker": ("denoise.reranker",),
}
"""Which settings an option of a command fills."""


def _option(flag: str, panel: str, text: str, default: str = "") -> Any:  # Any: what typer.Option gives
    shown = f"{text} \\[default: {default}]" if default else text  # the backslash: else rich takes it for markup
    return typer.Option(flag, help=shown, show_default=False, rich_help_panel=panel)


_INPUT, _MODELS, _CHOICE, _RUN = "Input", "Models", "Which negatives", "The run"
_ASKED, _LIMITS = "What is asked", "Limits"

Out = Annotated[Path | None, _option("--out", _RUN, "The run folder.")]
Seed = Annotated[int | None, _option("--seed", _RUN, "Seed of every choice.", "42")]
Cache = Annotated[
    Path | None, _option("--cache", _RUN, "Folder of vectors and scores, shared by runs.", "~/.cache/datagen")
]
Memory = Annotated[
    str | None, _option("--memory", _RUN, "Memory that the run may use, such as 4GiB.", "half of what is free")
]
Fresh = Annotated[bool, _option("--fresh", _RUN, "Start over instead of going on.")]
Quiet = Annotated[bool, _option("--quiet", _RUN, "Say nothing but warnings and errors.")]
LogFile = Annotated[Path | None, _option("--log-file", _RUN, "Append all log lines, and tracebacks, to this file.")]
Set = Annotated[
    list[str] | None,
    _option("--set", _RUN, "Any other setting: SECTION.KEY=VALUE, such as mine.positive_quantile=0.3."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason in `dropped`, such as truncated.")]
TimesTokens = Annotated[str, typer.Option("--max-tokens", help="How much longer the new answers may be, such as 2x.")]
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
Llm = Annotated[
    list[str] | None,
    _option(
        "--llm", _MODELS, "extractive, openai:MODEL, vllm:MODEL or package.module:Class; several: A=0.7.", "extractive"
    ),
]
BaseUrl = Annotated[
    str | None,
    _option("--base-url", _MODELS, "Server of openai:MODEL, with its /v1.", "https://api.openai.com/v1"),
]
Lane = Annotated[str | None, _option("--lane", _MODELS, "online, or batch: the cheaper Batch API.", "online")]
Temperature = Annotated[float | None, _option("--temperature", _MODELS, "How freely words are drawn.", "0.8")]
AnswerTokens = Annotated[int | None, _option("--answer-tokens", _MODELS, "Tokens of one answer at most.", "1024")]
Recipe = Annotated[str | None, _option("--recipe", _ASKED, "What is asked.", "extractive for that writer, else corpus")]
Tasks = Annotated[int | None, _option("--tasks", _ASKED, "Tasks thought up first, for recipes with tasks.", "400")]
Avoid = Annotated[list[Path] | None, _option("--avoid", _ASKED, "Earlier runs whose queries are not repeated.")]
Prompts = Annotated[Path | None, _option("--prompts", _ASKED, "Folder of your own recipes, looked into first.")]
QueriesPerPassage = Annotated[
    int | None, _option("--queries-per-passage", _ASKED, "Queries asked for each passage.", "2")
]
Num = Annotated[int | None, _option("--num", _ASKED, "Accepted queries wanted.", "what the passages give")]
MaxAttempts = Annotated[int | None, _option("--max-attempts", _ASKED, "Rows tried to get --num.", "three times num")]
MaxInFlight = Annotated[int | None, _option("--max-in-flight", _LIMITS, "Requests open at once at most.", "128")]
RequestsPerMinute = Annotated[int | None, _option("--requests-per-minute", _LIMITS, "Requests a minute at most.")]
TokensPerMinute = Annotated[int | None, _option("--tokens-per-minute", _LIMITS, "Tokens a minute at most.")]
MaxCost = Annotated[float | None, _option("--max-cost", _LIMITS, "Money at most; needs a known price.")]
MaxTokensOfRun = Annotated[int | None, _option("--max-tokens", _LIMITS, "Tokens at most, read and written.")]
MaxRequests = Annotated[int | None, _option("--max-requests", _LIMITS, "Answers at most.")]
DryRun = Annotated[
    bool, _option("--dry-run", _RUN, "Show three prompts, ask 20 rows, and say what the whole run would cost.")
]
Forecast = Annotated[
    bool, _option("--dry-run", _RUN, "Try the models on a few texts, and say what time and disk the run would take.")
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
SameField = Annotated[
    list[str] | None,
    _option("--same-field", _CHOICE, "Field in which negatives are like a positive, such as language; repeatable."),
]
ExcludeSame = Annotated[
    list[str] | None,
    _option("--exclude-same", _CHOICE, "Field in which negatives are unlike every positive, such as url; repeatable."),
]
SameDoc = Annotated[
    str | None,
    _option("--same-doc", _CHOICE, "Passages of a positive's document: ignore, adjacent or allow.", "ignore"),
]

Index = Annotated[
    str | None, _option("--index", _CHOICE, "auto, flat, blocked, ivf, hnsw or package.module:Class.", "auto")
]
MinRecall = Annotated[
    float | None, _option("--min-recall", _CHOICE, "Recall that ivf and hnsw must reach, 0 to 1.", "0.95")
]


def read_given(ctx: typer.Context) -> dict[str, Any]:  # Any: settings not yet validated
    """The settings that the options of this call give, nested; a named option wins over --set."""
    from datagen.config import merge

    values: dict[str, Any] = {}  # Any: settings not yet validated
    for text in ctx.params["overrides"] or ():
        values = merge(values, _parse_override(text))
    for name, settings in SETTINGS.items():
        value = ctx.params.get(name)
        if name == "llm" and value:
            values = merge(values, _read_writers(value))
        elif (
            value is not None and value is not False and value not in ([], ())
        ):  # 0 is a value, a flag left out is none
            for setting in settings:
                values = merge(values, _nest(setting, value))
    return values


def _read_writers(texts: list[str]) -> dict[str, Any]:  # Any: settings not yet validated
    """One writer, or several with their shares."""
    from datagen.errors import ConfigError

    if len(texts) == 1 and "=" not in texts[0]:
        return {"generate": {"llm": texts[0]}}
    shares = {name: share for name, _, share in (text.rpartition("=") for text in texts)}
    if "" in shares:
        raise ConfigError(f"--llm is given {len(texts)} times: say the share of each, such as --llm openai:big=0.7")
    return {"generate": {"llm": texts[0].rpartition("=")[0], "llms": shares}}


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
