from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import pytest

from datagen.config import (
    MINE_STAGES,
    STAGE_ORDER,
    RunConfig,
    TeacherConfig,
    build_config,
    fingerprint,
    load_config,
    merge,
)
from datagen.errors import ConfigError
from datagen.settings.mine import DEFAULT_MARGINS, MineConfig

Values = dict[str, Any]  # Any: settings not yet validated

WRONG: list[tuple[str, Values, list[str]]] = [
    ("unknown-setting", {"mine": {"negatives": 3}}, ["unknown setting 'mine.negatives'", "num_negatives, candidates"]),
    (
        "unknown-section",
        {"miner": {}},
        ["unknown setting 'miner'", "teacher, teachers, verify, calibration"],
    ),
    ("unknown-policy", {"mine": {"margin_policy": "x"}}, ["margin_policy 'x'", "absolute, adaptive, relative"]),
    ("unknown-dtype", {"teacher": {"dtype": "int8"}}, ["dtype 'int8'", "auto, bfloat16, float16, float32"]),
    ("unknown-stage", {"stages": ["clean", "mime"]}, ["stages[1] 'mime'", "clean, denoise, embed"]),
    (
        "stages-out-of-order",
        {"stages": ["mine", "clean"]},
        ["stages are mine, clean", "order clean, brainstorm, generate"],
    ),
    ("export-without-choose", {"stages": ["clean", "mine", "export"]}, ["lack choose", "add choose"]),
    ("stage-twice", {"stages": ["clean", "clean"]}, ["stages are clean, clean", "at most once"]),
    ("stages-no-list", {"stages": "mine"}, ["'stages' is 'mine'", "must be a list"]),
    ("no-negatives", {"mine": {"num_negatives": 0}}, ["'mine.num_negatives' is 0", "greater than or equal to 1"]),
    ("too-many", {"mine": {"num_negatives": 1001}}, ["is 1001", "less than or equal to 1000"]),
    ("no-number", {"mine": {"candidates": "many"}}, ["'mine.candidates' is 'many'", "valid integer"]),
    ("negative-margin", {"mine": {"margin": -0.1}}, ["'mine.margin' is -0.1", "greater than or equal to 0"]),
    ("endless-margin", {"mine": {"margin": float("inf")}}, ["'mine.margin' is inf", "finite number"]),
    ("share", {"mine": {"positive_quantile": 2}}, ["'mine.positive_quantile' is 2", "less than or equal to 1"]),
    ("section-no-section", {"clean": None}, ["'clean' is None", "a section with settings such as min_document"]),
    ("weights", {"generate": {"mix": {"keywords": 0}}}, ["generate.mix: at least one query kind", "above 0"]),
    ("weight", {"generate": {"mix": {"keywords": -1}}}, ["'generate.mix.keywords' is -1", "equal to 0"]),
    ("template-field", {"teacher": {"document_template": "{body}"}}, ["'{body}' must name {text}"]),
    ("template-no-field", {"teacher": {"document_template": "text"}}, ["'text' must name {text}"]),
    ("template-broken", {"teacher": {"document_template": "{text"}}, ["'{text' cannot be read as a template"]),
    ("input-none", {"input": {}}, ["setting 'input' is missing", "give `beir`"]),
    ("input-half", {"input": {"queries": "q", "corpus": "c"}}, ["corpus, queries given", "`qrels`"]),
    ("input-two", {"input": {"beir": "b", "pairs": "p"}}, ["beir, pairs given", "not one of the forms"]),
    ("no-queries", {"input": {"corpus": "c"}, "stages": ["clean", "mine"]}, ["no queries to mine", "generate"]),
    ("two-at-once", {"seed": -1, "cache": 3}, ["'seed' is -1", "'cache' is 3"]),
]


@pytest.mark.parametrize(("values", "parts"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_setting_is_named_with_what_is_allowed(values: Values, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        _build(**values)
    assert [part for part in parts if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_missing_settings_are_named_with_what_they_are() -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({})
    assert "setting 'out' is missing: give the run folder" in str(caught.value)
    with pytest.raises(ConfigError, match="setting 'input' is missing: give `beir`"):
        build_config({"out": "r"})


def test_unknown_setting_lists_all_that_stand_beside_it() -> None:
    with pytest.raises(ConfigError) as caught:
        _build(mine={"negatives": 3})
    assert [name for name in MineConfig.model_fields if name not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"beir": "b"}, MINE_STAGES, id="beir"),
        pytest.param({"corpus": "c", "queries": "q", "qrels": "r"}, MINE_STAGES, id="three-files"),
        pytest.param({"pairs": "p"}, MINE_STAGES, id="pairs"),
        pytest.param({"pairs": "p", "corpus": "c"}, MINE_STAGES, id="pairs-and-corpus"),
        pytest.param({"corpus": "c"}, STAGE_ORDER, id="corpus"),
    ],
)
def test_stages_follow_from_the_input_when_none_are_named(given: Values, expected: tuple[str, ...]) -> None:
    assert _build(input=given).resolved_stages == expected


def test_named_stages_are_kept() -> None:
    assert _build(stages=["clean", "embed"]).resolved_stages == ("clean", "embed")


@pytest.mark.parametrize("policy", sorted(DEFAULT_MARGINS))
def test_margin_follows_the_policy_unless_given(policy: str) -> None:
    assert _build(mine={"margin_policy": policy}).mine.resolved_margin == DEFAULT_MARGINS[policy]
    assert _build(mine={"margin_policy": policy, "margin": 0}).mine.resolved_margin == 0


def test_reranker_none_switches_denoising_off() -> None:
    assert _build().denoise.enabled
    assert not _build(denoise={"reranker": "none"}).denoise.enabled


def test_cache_is_in_the_home_folder_unless_given(tmp_path: Path) -> None:
    assert _build().cache_folder == Path.home() / ".cache" / "datagen"
    assert _build(cache=str(tmp_path)).cache_folder == tmp_path


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        _build().seed = 3


def test_settings_survive_json() -> None:
    config = _build(cache="vectors", stages=["clean"], mine={"margin": 0.1})
    assert build_config(config.model_dump(mode="json")) == config


def test_every_setting_has_a_sentence() -> None:
    sections = [kind for kind in _sections() if kind is not RunConfig]
    own = {f"{kind.__name__}.{name}": field for kind in sections for name, field in kind.model_fields.items()}
    assert [name for name, field in own.items() if not field.description] == []


def test_file_gives_the_settings_that_options_are_laid_over(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("out: a\ninput: {beir: b}\nmine: {candidates: 7, num_negatives: 3}\n", encoding="utf-8")
    config = load_config(file, {"out": "c", "mine": {"num_negatives": 4}})
    assert (str(config.out), config.mine.candidates, config.mine.num_negatives) == ("c", 7, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, "cannot read settings from", id="no-file"),
        pytest.param("a: [", "cannot read settings from", id="no-yaml"),
        pytest.param("- clean\n- mine\n", "must hold settings as `name: value` lines, not list", id="a-list"),
        pytest.param("", "must hold settings as `name: value` lines, not NoneType", id="empty"),
    ],
)
def test_file_that_holds_no_settings_is_an_error(tmp_path: Path, text: str | None, expected: str) -> None:
    file = tmp_path / "run.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(file)
    assert "\n" not in str(caught.value)


def test_merge_replaces_values_and_joins_sections() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": {"e": 1}, "f": 1}
    assert merge(base, {"a": {"b": 3}, "d": 4, "f": {"g": 5}}) == {"a": {"b": 3, "c": 2}, "d": 4, "f": {"g": 5}}
    assert base["a"] == {"b": 1, "c": 2}


def test_fingerprint_follows_values_not_their_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert len({fingerprint(value) for value in (1, "1", [1], {"a": 1}, None)}) == 5


def test_fingerprint_is_the_same_on_every_machine() -> None:
    assert fingerprint("ä", {"b": 1, "a": None}) == "e80a2794995be5b101a89ee5"


def test_models_say_nothing_of_the_network_by_default() -> None:
    assert TeacherConfig().model.startswith("packaged:")
    assert not TeacherConfig().trust_remote_code


def _build(**values: Any) -> RunConfig:  # Any: settings not yet validated
    return build_config({"out": "run", "input": {"beir": "x"}, **values})


def _sections() -> list[type[pydantic.BaseModel]]:
    found: list[type[pydantic.BaseModel]] = [RunConfig]
    for section in found:
        nested = [field.annotation for field in section.model_fields.values()]
        found += [kind for kind in nested if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)]
    return found
