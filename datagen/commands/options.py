"""The options of the command line, and the settings that each of them fills.

An option is only handed on when it was given: the defaults live in `config.py` (a test compares them with the help
texts).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from datagen.commands.judge_options import JUDGE_SETTINGS

_N_TIERS = 3

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
    "two_step": ("generate.two_step",),
    "judge": ("generate.judge",),
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
    "also_teacher": ("teachers",),
    "query_prompt": ("teacher.query_prompt",),
    "document_prompt": ("teacher.document_prompt",),
    "document_template": ("teacher.document_template",),
    "max_tokens": ("teacher.max_tokens", "denoise.max_tokens"),
    "dtype": ("teacher.dtype", "denoise.dtype"),
    "device": ("teacher.device", "denoise.device"),
    "backend": ("teacher.backend",),
    "trust_remote_code": ("teacher.trust_remote_code", "denoise.trust_remote_code"),
    "sources": ("mine.sources.use",),
    "dims": ("mine.dims",),
    "num_negatives": ("mine.num_negatives",),
    "choice": ("mine.choice.method",),
    "tiers": ("mine.choice.tiers",),
    "hub_cap": ("mine.choice.hub_cap",),
    "diversity": ("mine.choice.diversity",),
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
    "max_false_negatives": ("calibration.max_false_negatives",),
    "confidence": ("calibration.confidence",),
    "labels": ("calibration.labels",),
    "labels_complete": ("calibration.labels_complete",),
    **JUDGE_SETTINGS,
    "soft_labels": ("export.soft_labels",),
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
RefreshedRun = Annotated[
    Path | None, _option("--refresh", _INPUT, "Mine an earlier run again, with a new --teacher, into a new --out.")
]
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
TwoStep = Annotated[
    bool, _option("--two-step", _ASKED, "First ask which persona, kind … suit the passage, then write with those.")
]
Judge = Annotated[
    str | None, _option("--judge", _ASKED, "A model that drops rows whose passage does not answer the query.")
]
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
    _option(
        "--reranker",
        _MODELS,
        "maxsim, hub id or folder (a cross-encoder, or an LLM that says yes or no), vllm:MODEL, or none.",
        "maxsim",
    ),
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
Backend = Annotated[
    str | None, _option("--backend", _MODELS, "What runs the teacher: torch, onnx or openvino.", "torch")
]
TrustRemoteCode = Annotated[
    bool, _option("--trust-remote-code", _MODELS, "Let a hub model run its own code: only for models you trust.")
]
AlsoTeacher = Annotated[
    list[str] | None, _option("--also-teacher", _MODELS, "A further teacher, whose candidates join; may be repeated.")
]
Sources = Annotated[
    str | None,
    _option("--sources", _CHOICE, "Where candidates come from: dense, bm25, random; with weights: bm25=0.5.", "dense"),
]
Dims = Annotated[
    int | None, _option("--dims", _CHOICE, "Search the first so many numbers of a vector first: Matryoshka teachers.")
]
NumNegatives = Annotated[int | None, _option("--num-negatives", _CHOICE, "Negatives wanted for each query.", "5")]
Choice = Annotated[str | None, _option("--choice", _CHOICE, "top, random, tiers or simans.", "top")]
Tiers = Annotated[
    str | None, _option("--tiers", _CHOICE, "Hard, medium and easy negatives wanted, such as 4,2,1: --choice tiers.")
]
HubCap = Annotated[int | None, _option("--hub-cap", _CHOICE, "Queries a document may serve as a negative.", "no limit")]
Diversity = Annotated[
    float | None, _option("--diversity", _CHOICE, "0 to 1: how far the negatives of a query should differ.", "0.0")
]
Candidates = Annotated[int | None, _option("--candidates", _CHOICE, "Nearest documents looked at first.", "100")]
MaxCandidates = Annotated[
    int | None, _option("--max-candidates", _CHOICE, "How deep a query short of negatives is searched.", "1000")
]
MarginPolicy = Annotated[
    str | None, _option("--margin-policy", _CHOICE, "adaptive, spread, relative or absolute.", "adaptive")
]
Margin = Annotated[
    float | None,
    _option("--margin", _CHOICE, "adaptive: highest P(false negative); else the gap to the positive.", "by policy"),
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
MaxFalseNegatives = Annotated[
    float | None,
    _option("--max-false-negatives", _CHOICE, "Share of the negatives that may be relevant, such as 0.05."),
]
Confidence = Annotated[float | None, _option("--confidence", _CHOICE, "With which that is kept; 0: on average.", "0.9")]
Judged = Annotated[str | None, _option("--labels", _INPUT, "Judgements for it: query id, document id, 0 or 1.")]
LabelsComplete = Annotated[
    bool, _option("--labels-complete", _INPUT, "What the labels do not list for a query of theirs is not relevant.")
]
SoftLabels = Annotated[
    bool,
    _option("--soft-labels", _RUN, "Label positives and negatives from 0 to 1, by all scores: to distil."),
]
Index = Annotated[
    str | None, _option("--index", _CHOICE, "auto, flat, blocked, ivf, hnsw or package.module:Class.", "auto")
]
MinRecall = Annotated[
    float | None, _option("--min-recall", _CHOICE, "Recall that ivf and hnsw must reach, 0 to 1.", "0.95")
]

# What `datagen tune` lays over the settings of a run; the first four may be repeated.
_OWN = "the run's own"
Policies = Annotated[
    list[str] | None, _option("--margin-policy", _CHOICE, "adaptive, spread, relative or absolute; repeatable.", _OWN)
]
Margins = Annotated[
    list[float] | None, _option("--margin", _CHOICE, "See mine-negatives; repeatable.", "of its policy")
]
PositiveScores = Annotated[
    list[str] | None, _option("--positive-score", _CHOICE, "min, own or quantile; repeatable.", _OWN)
]
Counts = Annotated[list[int] | None, _option("--num-negatives", _CHOICE, "Negatives a query; repeatable.", _OWN)]
OtherChoice = Annotated[str | None, _option("--choice", _CHOICE, "top, random, tiers or simans.", _OWN)]
OtherTiers = Annotated[str | None, _option("--tiers", _CHOICE, "Hard, medium and easy ones, such as 4,2,1.", _OWN)]
OtherCap = Annotated[int | None, _option("--hub-cap", _CHOICE, "Queries a document may serve.", _OWN)]
Labels = Annotated[
    str | None, typer.Option("--labels", help="For the leak: query id, document id, score; or a BEIR folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the rows as JSON alone.")]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows to this file, too.")]


def read_given(ctx: typer.Context) -> dict[str, Any]:  # Any: settings not yet validated
    """The settings that the options of this call give, nested; a named option wins over --set."""
    from datagen.config import merge

    values: dict[str, Any] = {}  # Any: settings not yet validated
    for text in ctx.params["overrides"] or ():
        values = merge(values, _parse_override(text))
    for name, settings in SETTINGS.items():
        value = ctx.params.get(name)
        if name in _READERS and value:
            values = merge(values, _READERS[name](value))
        elif name == "tiers" and value:
            values = merge(values, _read_tiers(value, ctx.params["choice"]))
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


def read_sources(text: str) -> dict[str, Any]:  # Any: settings not yet validated
    """The settings `mine.sources` of a text such as `dense,bm25=0.5`.

    Raises:
        ConfigError: a weight is no number.
    """
    from datagen.errors import ConfigError

    parts = [part.strip().partition("=") for part in text.split(",")]
    try:
        weights = {name: float(weight) for name, equals, weight in parts if equals}
    except ValueError as exc:
        raise ConfigError(f"--sources {text!r} must be names, some with a weight, such as dense,bm25=0.5") from exc
    return {"use": [name for name, _, _ in parts], "weights": weights}


def _read_teachers(models: list[str]) -> dict[str, Any]:  # Any: settings not yet validated
    """Further teachers, each named by the last part of its model."""
    from datagen.errors import ConfigError

    names = [re.split(r"[/\\:]", model.rstrip("/"))[-1] for model in models]
    if len(set(names)) < len(names):
        raise ConfigError(f"--also-teacher names two models {names[0]!r}: name them as `teachers` in a YAML file")
    return {"teachers": {name: {"model": model} for name, model in zip(names, models, strict=True)}}


_READERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {  # Any: what an option gives, settings not yet validated
    "llm": _read_writers,
    "also_teacher": _read_teachers,
    "sources": lambda text: _nest("mine.sources", read_sources(text)),
}


def _read_tiers(text: str, method: str | None) -> dict[str, Any]:  # Any: settings not yet validated
    """The numbers of `4,2,1`, and the method that uses them."""
    from datagen.errors import ConfigError

    numbers = text.split(",")
    if len(numbers) != _N_TIERS or not all(number.strip().isdecimal() for number in numbers):
        raise ConfigError(f"--tiers {text!r} must be three numbers, of hard, medium and easy negatives, such as 4,2,1")
    return _nest("mine.choice", {"method": method or "tiers", "tiers": [int(number) for number in numbers]})


def read_choice(method: str | None, tiers: str | None, hub_cap: int | None) -> dict[str, Any]:  # Any: not yet validated
    """The settings `mine.choice` of --choice, --tiers and --hub-cap; only those that are given.

    Raises:
        ConfigError: --tiers is not three numbers.
    """
    given = _read_tiers(tiers, method)["mine"]["choice"] if tiers else {"method": method} if method else {}
    return given | ({} if hub_cap is None else {"hub_cap": hub_cap})


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
