"""Which setting each option fills: only what was given is handed on, and the help tells the true defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from datagen import pipeline
from datagen.cli import app
from datagen.commands.options import SETTINGS
from datagen.config import GENERATE_STAGES, MINE_STAGES, RunConfig, build_config
from datagen.pipeline import RunResult

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group, whichever click it is from
PROMISED = (
    "--beir --corpus --queries --qrels --pairs --anchor-column --positive-column --run --refresh --out --teacher "
    "--reranker --num-negatives --choice --tiers --hub-cap --diversity --candidates --max-candidates --margin-policy "
    "--margin --positive-score --same-field "
    "--exclude-same --same-doc --query-prompt --document-prompt --document-template --dtype --device --backend "
    "--dry-run --cache --seed --fresh --quiet --log-file --trust-remote-code --max-tokens --set "
    "--max-false-negatives --confidence --labels --labels-complete --also-teacher --sources --dims --index "
    "--min-recall --memory "
    "--judge --llm --judge-budget --judge-mode --max-cost --check-positives --base-url --max-in-flight --soft-labels"
)
NO_DEFAULT = ("None", "False", "required", "()", "{}")
STEERING = {"overrides", "fresh", "quiet", "log_file", "continued", "refreshed", "dry_run"}

MINE_OPTIONS: list[tuple[str, dict[str, Any]]] = [  # Any: settings not yet validated
    ("--teacher a/b", {"teacher": {"model": "a/b"}}),
    ("--also-teacher a/b --also-teacher c", {"teachers": {"b": {"model": "a/b"}, "c": {"model": "c"}}}),
    ("--sources dense,bm25", {"mine": {"sources": {"use": ["dense", "bm25"], "weights": {}}}}),
    ("--sources dense,bm25=0.5", {"mine": {"sources": {"use": ["dense", "bm25"], "weights": {"bm25": 0.5}}}}),
    ("--dims 64", {"mine": {"dims": 64}}),
    (
        "--max-false-negatives 0.05 --confidence 0",
        {"calibration": {"max_false_negatives": 0.05, "confidence": 0.0}},
    ),
    (
        "--max-false-negatives 0.05 --labels l.tsv --labels-complete",
        {"calibration": {"max_false_negatives": 0.05, "labels": "l.tsv", "labels_complete": True}},
    ),
    ("--reranker none", {"denoise": {"reranker": "none"}}),
    ("--soft-labels", {"export": {"soft_labels": True}}),
    ("--num-negatives 3", {"mine": {"num_negatives": 3}}),
    ("--choice random", {"mine": {"choice": {"method": "random"}}}),
    ("--tiers 3,0,2", {"mine": {"choice": {"method": "tiers", "tiers": [3, 0, 2]}}}),
    ("--choice tiers --tiers 1,1,1", {"mine": {"choice": {"method": "tiers", "tiers": [1, 1, 1]}}}),
    ("--hub-cap 8 --diversity 0", {"mine": {"choice": {"hub_cap": 8, "diversity": 0.0}}}),
    ("--candidates 50", {"mine": {"candidates": 50}}),
    ("--max-candidates 70", {"mine": {"max_candidates": 70}}),
    ("--margin-policy relative", {"mine": {"margin_policy": "relative"}}),
    ("--margin 0", {"mine": {"margin": 0.0}}),
    ("--positive-score min", {"mine": {"positive_score": "min"}}),
    ("--same-field a --same-field b", {"mine": {"rules": {"same_field": ["a", "b"]}}}),
    ("--exclude-same url", {"mine": {"rules": {"exclude_same": ["url"]}}}),
    ("--same-doc adjacent", {"mine": {"rules": {"same_doc": "adjacent"}}}),
    ("--index ivf --min-recall 0.9", {"mine": {"index": "ivf", "min_recall": 0.9}}),
    (
        "--judge openai:a --judge openai:b --judge-budget 9 --judge-mode span --max-cost 2",
        {"judge": {"judges": ["openai:a", "openai:b"], "budget": 9, "mode": "span", "max_cost": 2.0}},
    ),
    ("--llm openai:a --judge-budget 9", {"judge": {"judges": ["openai:a"], "budget": 9}}),
    ("--base-url http://h/v1 --max-in-flight 3", {"llm": {"base_url": "http://h/v1", "max_in_flight": 3}}),
    ("--check-positives weigh", {"verify": {"check_positives": "weigh"}}),
    ("--memory 4GiB", {"memory": "4GiB"}),
    ("--query-prompt q:", {"teacher": {"query_prompt": "q:"}}),
    ("--document-prompt d:", {"teacher": {"document_prompt": "d:"}}),
    ("--document-template {text}", {"teacher": {"document_template": "{text}"}}),
    ("--dtype float32", {"teacher": {"dtype": "float32"}, "denoise": {"dtype": "float32"}}),
    ("--device cpu", {"teacher": {"device": "cpu"}, "denoise": {"device": "cpu"}}),
    ("--backend onnx", {"teacher": {"backend": "onnx"}}),
    ("--max-tokens 64", {"teacher": {"max_tokens": 64}, "denoise": {"max_tokens": 64}}),
    ("--trust-remote-code", {"teacher": {"trust_remote_code": True}, "denoise": {"trust_remote_code": True}}),
    ("--cache c --seed 0", {"cache": "c", "seed": 0}),
    ("--set mine.positive_quantile=0.3", {"mine": {"positive_quantile": 0.3}}),
    ("--set cache=x --set seed=3", {"cache": "x", "seed": 3}),
    ("--set seed=3 --seed 4", {"seed": 4}),
    ("--set teacher.document_template={title}:{text}", {"teacher": {"document_template": "{title}:{text}"}}),
]
INPUTS: list[tuple[str, dict[str, str]]] = [
    ("--beir b", {"beir": "b"}),
    ("--corpus c --queries q --qrels r", {"corpus": "c", "queries": "q", "qrels": "r"}),
    ("--pairs p --corpus c", {"pairs": "p", "corpus": "c"}),
    (
        "--pairs p --anchor-column a --positive-column b",
        {"pairs": "p", "anchor_column": "a", "positive_column": "b"},
    ),
]


class Recorder:
    """Stands for `pipeline.run` and keeps what it was called with."""

    config: RunConfig
    fresh: bool

    def __call__(self, config: RunConfig, *, fresh: bool, progress: object, read_again: bool) -> RunResult:
        self.config, self.fresh = config, fresh
        return RunResult(config.out, ())


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(pipeline, "run", recorder)
    return recorder


def test_mine_negatives_has_the_options_that_were_promised() -> None:
    assert set(PROMISED.split()) == {name for parameter in COMMANDS["mine-negatives"].params for name in parameter.opts}


@pytest.mark.parametrize("command", ["generate", "mine-negatives"])
def test_every_option_fills_a_setting_or_steers_the_command(command: str) -> None:
    assert {parameter.name for parameter in COMMANDS[command].params} - SETTINGS.keys() <= STEERING


@pytest.mark.parametrize("setting", sorted({setting for settings in SETTINGS.values() for setting in settings}))
def test_setting_of_an_option_exists(setting: str) -> None:
    _default(setting)


@pytest.mark.parametrize("command", ["generate", "mine-negatives"])
def test_default_in_the_help_is_that_of_the_settings(command: str) -> None:
    told = {parameter.name: _told_default(parameter.help or "") for parameter in COMMANDS[command].params}
    true = {name: {_default(setting) for setting in SETTINGS[name]} for name in told if name in SETTINGS}
    plain = {name: values.pop() for name, values in true.items() if len(values) == 1}
    assert plain.keys() == true.keys()
    assert {name: told[name] for name, value in plain.items() if value not in NO_DEFAULT} == {
        name: value for name, value in plain.items() if value not in NO_DEFAULT
    }


@pytest.mark.parametrize(("options", "expected"), MINE_OPTIONS, ids=[options for options, _ in MINE_OPTIONS])
def test_option_of_mine_negatives_fills_its_setting(
    recorder: Recorder,
    options: str,
    expected: dict[str, Any],  # Any: settings not yet validated
) -> None:
    _call("mine-negatives --beir b --out r " + options)
    assert recorder.config == build_config({"input": {"beir": "b"}, "out": "r", "stages": MINE_STAGES, **expected})


@pytest.mark.parametrize(("options", "expected"), INPUTS, ids=[options for options, _ in INPUTS])
def test_input_of_mine_negatives_is_handed_on(recorder: Recorder, options: str, expected: dict[str, str]) -> None:
    _call("mine-negatives --out r " + options)
    assert recorder.config == build_config({"input": expected, "out": "r", "stages": MINE_STAGES})


def test_option_of_generate_fills_its_setting(recorder: Recorder) -> None:
    _call("generate --llm extractive --corpus c --out r --queries-per-passage 4 --seed 1 --set generate.cloze_keep=0")
    assert recorder.config == build_config(
        {
            "out": "r",
            "seed": 1,
            "stages": GENERATE_STAGES,
            "input": {"corpus": "c"},
            "generate": {"llm": "extractive", "queries_per_passage": 4, "cloze_keep": 0},
        }
    )


def test_options_of_generate_that_ask_a_language_model_fill_their_settings(recorder: Recorder) -> None:
    _call(
        "generate --corpus c --out r --llm openai:m --base-url http://h/v1 --lane batch --recipe corpus --num 9 "
        "--max-attempts 12 --temperature 0.1 --answer-tokens 99 --max-cost 1.5 --max-tokens 1000 --max-requests 7 "
        "--max-in-flight 3 --requests-per-minute 4 --tokens-per-minute 5"
    )
    assert recorder.config == build_config(
        {
            "out": "r",
            "stages": GENERATE_STAGES,
            "input": {"corpus": "c"},
            "generate": {
                "llm": "openai:m",
                "recipe": "corpus",
                "num": 9,
                "max_attempts": 12,
                "temperature": 0.1,
                "answer_tokens": 99,
                "max_cost": 1.5,
                "max_tokens": 1000,
                "max_requests": 7,
            },
            "llm": {
                "base_url": "http://h/v1",
                "lane": "batch",
                "max_in_flight": 3,
                "requests_per_minute": 4,
                "tokens_per_minute": 5,
            },
        }
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--tiers 4,2", "--tiers '4,2' must be three numbers, of hard, medium and easy negatives, such as 4,2,1"),
        ("--tiers 4,-2,1", "--tiers '4,-2,1' must be three numbers"),
        ("--choice random --tiers 4,2,1", "tiers are given but the method is 'random'"),
        ("--tiers 0,0,0", "tiers are 0, 0, 0: at least one negative"),
        ("--choice best", "choice.method 'best'"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(options: str, told: str) -> None:
    done = CliRunner().invoke(app, f"mine-negatives --beir b --out r {options}".split())
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_run_lays_its_options_over_the_file(recorder: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("out: a\ninput: {beir: b}\nmine: {candidates: 7}\n", encoding="utf-8")
    _call(f"run {file} --out c --set mine.num_negatives=4")
    expected = {"out": "c", "input": {"beir": "b"}, "mine": {"candidates": 7, "num_negatives": 4}}
    assert recorder.config == build_config(expected)


@pytest.mark.parametrize("fresh", [pytest.param(True, id="fresh"), pytest.param(False, id="going-on")])
def test_fresh_is_handed_on(recorder: Recorder, fresh: bool) -> None:
    _call("mine-negatives --beir b --out r" + " --fresh" * fresh)
    assert recorder.fresh is fresh


def _call(line: str) -> None:
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 0, done.output


def _told_default(help_text: str) -> str | None:
    found = re.search(r"\[default: (.*)\]", help_text)
    return found[1] if found else None


def _default(setting: str) -> str:
    """The default of a setting such as `mine.candidates`, as text; `required` where it has none."""
    *sections, key = setting.split(".")
    kind: Any = RunConfig  # Any: what an annotation holds
    for section in sections:
        kind = kind.model_fields[section].annotation
    field = kind.model_fields[key]
    if isinstance(field.default, tuple) and field.default:
        return ",".join(field.default)
    return "required" if field.is_required() else str(field.default)
