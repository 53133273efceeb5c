"""Every knob of datagen, with its range and default, and the fingerprints that decide what is redone.

YAML first, command-line options second, nothing from the environment but secrets. Unknown keys are
refused. The resolved settings are saved in `run.json`.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from string import Formatter
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from datagen.errors import ConfigError
from datagen.memory import Size
from datagen.settings.base import Settings, Share
from datagen.settings.calibration import CalibrationConfig
from datagen.settings.chunk import ChunkConfig
from datagen.settings.generate import EXTRACTIVE, BrainstormConfig, GenerateConfig, LLMConfig
from datagen.settings.input import InputConfig
from datagen.settings.judge import JudgeConfig
from datagen.settings.mine import MineConfig
from datagen.settings.reading import read_settings
from datagen.settings.rerank import LLMRerankerConfig
from datagen.settings.sources import SOURCES

StageName = Literal[
    "clean", "brainstorm", "generate", "embed", "verify", "calibrate", "mine", "denoise", "judge", "choose", "export"
]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Backend = Literal["torch", "onnx", "openvino"]
CheckPositives = Literal["off", "drop", "weigh"]

STAGE_ORDER: tuple[StageName, ...] = (
    "clean",
    "brainstorm",
    "generate",
    "embed",
    "verify",
    "calibrate",
    "mine",
    "denoise",
    "judge",
    "choose",
    "export",
)
BRAINSTORM_STAGES: tuple[StageName, ...] = ("clean", "brainstorm")
GENERATE_STAGES: tuple[StageName, ...] = ("clean", "brainstorm", "generate")
MINE_STAGES: tuple[StageName, ...] = (
    "clean",
    "embed",
    "verify",
    "calibrate",
    "mine",
    "denoise",
    "judge",
    "choose",
    "export",
)
ROUND_TRIP_RANK, ROUND_TRIP_SHARE = 20, 0.001
JUDGED_RESERVE = 2


class CleanConfig(Settings):
    """What makes a row unusable before anything is spent on it."""

    min_document_characters: int = Field(default=1, ge=1, description="shorter documents are dropped")
    min_query_characters: int = Field(default=1, ge=1, description="shorter queries are dropped")
    adversarial: bool = Field(
        default=True, description="drop documents that nobody wrote to be read: gibberish, symbols, stuffed with words"
    )


class TeacherConfig(Settings):
    """The embedder that finds and scores candidates."""

    model: str = Field(
        default="packaged:all-MiniLM-L6-v2", description="hub id, folder, packaged:NAME or package.module:Class"
    )
    revision: str | None = Field(default=None, description="revision of a hub model")
    query_prompt: str | None = Field(default=None, description="put before each query (default: the model's own)")
    document_prompt: str | None = Field(default=None, description="put before each document (default: the model's own)")
    document_template: str = Field(default="{title} {text}", description="how title and text become one document")
    dtype: Dtype = Field(default="auto", description="auto: bfloat16 where the processor has it, else float32")
    device: str = Field(
        default="auto", description="auto (all GPUs), cpu, cuda, cuda:1, mps …, or several: cuda:0,cuda:2"
    )
    backend: Backend = Field(default="torch", description="what runs the model: torch, onnx or openvino")
    max_tokens: int | None = Field(default=None, ge=8, description="cut longer texts (default: the model's own limit)")
    batch_tokens: int | None = Field(
        default=None, ge=256, description="padded tokens in one batch (default: 2,048 on processors, else 16,384)"
    )
    trust_remote_code: bool = Field(
        default=False, description="let a hub model run its own code: only for models you trust"
    )

    @model_validator(mode="after")
    def _backend_has_dtype(self) -> Self:
        if self.backend == "onnx" and self.dtype not in ("auto", "float32"):
            raise ValueError(f"the backend 'onnx' computes in the type of its file: leave dtype {self.dtype!r} out")
        return self

    @field_validator("document_template")
    @classmethod
    def _names_text(cls, template: str) -> str:
        try:
            named = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        except ValueError as exc:
            raise ValueError(f"{template!r} cannot be read as a template: {exc}") from exc
        if "text" not in named or named - {"title", "text"}:
            raise ValueError(f"{template!r} must name {{text}} and may name {{title}}, nothing else")
        return template


class VerifyConfig(Settings):
    """Which generated rows the teacher believes, and on request which of the user's own positives."""

    enabled: bool = Field(default=True, description="whether rows that were generated are checked before mining")
    round_trip_rank: int | None = Field(
        default=None,
        ge=1,
        description="rank among all documents that the passage of a generated query must reach (default: 20, or 0.1 % "
        "of the documents where that is more)",
    )
    check_positives: CheckPositives = Field(
        default="off",
        description="the user's own positives that fail in both directions, the query not finding its passage among "
        "the nearest documents nor the passage its query among the nearest queries: off, drop, or weigh (less)",
    )
    positive_weight: Share = Field(
        default=0.5, gt=0, description="weigh: the relevance of such a positive in `pairs` is multiplied by this"
    )

    def resolved_rank(self, count: int) -> int:
        """The rank wanted among so many documents, or queries: at most their number."""
        default = max(ROUND_TRIP_RANK, math.ceil(ROUND_TRIP_SHARE * count))
        return min(self.round_trip_rank or default, count)

    def applies(self, *, generated: bool) -> bool:
        """Whether there is anything to check, in a run that writes queries or in one that does not."""
        return (self.enabled and generated) or self.check_positives != "off"


class DenoiseConfig(Settings):
    """How a second scorer checks what the margin let through."""

    reranker: str = Field(
        default="maxsim",
        description="maxsim, hub id or folder of a model whose kind its files tell (else KIND:MODEL, KIND being "
        "cross-encoder, maxsim, llm or vllm), package.module:Class, or none",
    )
    llm: LLMRerankerConfig = Field(
        default=LLMRerankerConfig(), description="how a language model is asked that answers yes or no"
    )
    revision: str | None = Field(default=None, description="revision of a hub model")
    dtype: Dtype = Field(default="auto", description="auto: bfloat16 where the processor has it, else float32")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps …")
    max_tokens: int | None = Field(default=None, ge=8, description="cut longer texts (default: the model's own limit)")
    batch_tokens: int | None = Field(
        default=None, ge=256, description="padded tokens in one batch (default: 2,048 on processors, else 16,384)"
    )
    round_size: int | None = Field(
        default=None, ge=1, description="candidates scored a query and round (default: by reranker)"
    )
    spare_candidates: int = Field(
        default=27, ge=0, description="candidates beyond num_negatives kept ready for the reranker"
    )
    margin: Share = Field(
        default=0.5,
        description="how far below the positive, in the order of all positives' scores, a negative must lie: 0 not "
        "above it, 1 not above the weakest of all; less where the run has few unmarked positives, 0 where hardly any",
    )
    floor_quantile: Share = Field(
        default=0.05, description="a candidate below this quantile of all positives' scores is a negative in any case"
    )
    max_overruled: Share = Field(
        default=0.75,
        description="share of its candidates that the reranker may set aside of a query that it leaves too few",
    )
    promote_margin: Share = Field(
        default=0.5,
        description="how far above the positive a promoted candidate must lie: 0 not below it, 1 not below the best of "
        "all positives",
    )
    promote_depth: int = Field(
        default=0, ge=0, description="candidates above the positive that are checked for promotion"
    )
    trust_remote_code: bool = Field(
        default=False, description="let a hub model run its own code: only for models you trust"
    )

    @property
    def enabled(self) -> bool:
        """Whether a reranker was named."""
        return self.reranker != "none"

    @property
    def is_own_model(self) -> bool:
        """Whether the second scorer is the teacher's own model."""
        return self.reranker == "maxsim"


class ExportConfig(Settings):
    """How the training shards are written."""

    rows_per_shard: int = Field(default=100_000, ge=1, description="queries in one parquet file of train/")
    soft_labels: bool = Field(
        default=False, description="fuse the scores of positives and negatives to labels from 0 to 1, for distillation"
    )


class RunConfig(Settings):
    """Everything one run depends on."""

    out: Path = Field(description="the run folder")
    seed: int = Field(default=42, ge=0, description="seed of every choice")
    stages: tuple[StageName, ...] = Field(default=(), description="what to run (default: what the input calls for)")
    cache: Path | None = Field(
        default=None, description="vectors and reranker scores, shared by runs (default ~/.cache/datagen)"
    )
    memory: Size | None = Field(
        default=None, description="memory that the run may use, such as 4GiB (default: half of what is free)"
    )
    page: bool = Field(default=True, description="write report.html at the end of the run")
    input: InputConfig = Field(
        default=InputConfig(),
        description="`beir`, or `corpus`, `queries`, `qrels`, or `pairs`, or `run`: where the data is",
    )
    clean: CleanConfig = CleanConfig()
    chunk: ChunkConfig = ChunkConfig()
    brainstorm: BrainstormConfig = BrainstormConfig()
    generate: GenerateConfig = GenerateConfig()
    llm: LLMConfig = LLMConfig()
    teacher: TeacherConfig = TeacherConfig()
    teachers: dict[str, TeacherConfig] = Field(
        default={}, description="further teachers by name, each a source of candidates with prompts of its own"
    )
    verify: VerifyConfig = VerifyConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    mine: MineConfig = MineConfig()
    denoise: DenoiseConfig = DenoiseConfig()
    judge: JudgeConfig = JudgeConfig()
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _known_order(self) -> Self:
        if list(self.stages) != [name for name in STAGE_ORDER if name in self.stages]:
            raise ValueError(
                f"stages are {', '.join(self.stages)}, but they run in the order {', '.join(STAGE_ORDER)}, each at "
                "most once"
            )
        return self

    @model_validator(mode="after")
    def _known_sources(self) -> Self:
        taken = [name for name in self.teachers if name in SOURCES]
        if taken:
            raise ValueError(f"teachers: {taken[0]!r} is the name of a source already: give the teacher another")
        choices = [*SOURCES, *self.teachers]
        for section in ("weights", "depths", "quotas"):
            for name in getattr(self.mine.sources, section):
                if name not in choices:
                    raise ValueError(f"mine.sources.{section} names {name!r}: choose among {', '.join(choices)}")
        return self

    @model_validator(mode="after")
    def _promise_can_be_kept(self) -> Self:
        if self.calibration.evidence == "reranker" and not self.denoise.enabled:
            raise ValueError("calibration.evidence is 'reranker', but denoise.reranker is 'none': name a reranker")
        if self.calibration.enabled and (self.mine.margin_policy != "adaptive" or self.mine.margin is not None):
            raise ValueError(
                "calibration.max_false_negatives chooses the cut of the margin policy 'adaptive' itself: leave "
                "mine.margin and mine.margin_policy out"
            )
        return self

    @model_validator(mode="after")
    def _chosen_before_export(self) -> Self:
        if "export" in self.stages and "choose" not in self.stages:
            raise ValueError("stages end in export but lack choose, so that no query would have a negative: add choose")
        return self

    @model_validator(mode="after")
    def _somebody_to_judge(self) -> Self:
        if self.judge.enabled and not self.judges:
            raise ValueError(
                f"judge.budget is {self.judge.budget}, but there is nobody to ask: name a language model with --judge, "
                "such as openai:MODEL, or leave the budget out"
            )
        if self.judge.enabled and "mine" in self.stages and "judge" not in self.stages:
            raise ValueError("judge.budget is given but stages lack judge: add it before choose")
        return self

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        if self.input.is_empty and ("generate" not in self.stages or self.generate.resolved_recipe == EXTRACTIVE):
            about = RunConfig.model_fields["input"].description
            if self.stages != BRAINSTORM_STAGES:
                raise ValueError(f"setting 'input' is missing: give {about}")
        return self

    @model_validator(mode="after")
    def _queries_from_somewhere(self) -> Self:
        if (
            not self.input.has_queries
            and {"embed", "verify", "mine"} & set(self.stages)
            and "generate" not in self.stages
        ):
            raise ValueError(
                "the input has passages but no queries to mine negatives for: give `queries` and `qrels`, or `pairs`, "
                "or `beir`; or have queries written first (`datagen generate`, then `mine-negatives --run`)"
            )
        return self

    @model_validator(mode="after")
    def _another_folder_than_the_earlier_run(self) -> Self:
        if self.input.run is not None and Path(self.input.run).expanduser().resolve() == self.out.resolve():
            raise ValueError(f"`input.run` and `out` are both {self.out}: mining again writes a new run, name another")
        return self

    def teacher_named(self, name: str | None) -> TeacherConfig:
        """The further teacher of this name, or for None the run's own."""
        return self.teacher if name is None else self.teachers[name]

    @property
    def judges(self) -> tuple[str, ...]:
        """The judges of candidates: those named, or the language model that writes queries; none where it is none."""
        writers = tuple(name for name in self.generate.resolved_llms if name != EXTRACTIVE)
        return self.judge.judges or writers[:1]

    @property
    def reserve(self) -> int:
        """Candidates made ready for each negative wanted: more than one where some may have to give way."""
        return max(self.mine.choice.reserve, JUDGED_RESERVE if self.judge.enabled else 1)

    @property
    def resolved_stages(self) -> tuple[StageName, ...]:
        """The stages to run, in order: those named, or those that the input calls for."""
        if self.stages:
            return self.stages
        return MINE_STAGES if self.input.has_queries else STAGE_ORDER

    @property
    def cache_folder(self) -> Path:
        """Where vectors and scores are kept."""
        return self.cache or default_cache()


def default_cache() -> Path:
    """Where vectors and scores are kept unless a run says otherwise."""
    return Path.home() / ".cache" / "datagen"


def build_config(values: dict[str, Any]) -> RunConfig:  # Any: unvalidated input
    """Validated settings from plain values.

    Raises:
        ConfigError: naming each wrong setting, its value, and what is allowed.
    """
    return read_settings(RunConfig, values)


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> RunConfig:  # Any: unvalidated input
    """Settings of a YAML file, with overrides of the same nested shape laid over them.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds wrong settings.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigError(f"cannot read settings from {path}: {' '.join(str(exc).split())}") from exc
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold settings as `name: value` lines, not {type(values).__name__}")
    return build_config(merge(values, overrides or {}))


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:  # Any: unvalidated input
    """`base` with the values of `over` laid over it, section by section."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def fingerprint(*parts: object) -> str:
    """A short stable hash of plain values (settings, names, other fingerprints)."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]
