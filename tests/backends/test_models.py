"""From a model's name to its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datagen.backends.models import find_model, hash_model, is_user_class, load_user_class, tell_reranker_kind
from datagen.backends.protocols import Teacher
from datagen.errors import BackendMissingError, ConfigError, ModelLoadError


def test_packaged_model_is_the_original(tmp_path: Path) -> None:
    folder = find_model("packaged:all-MiniLM-L6-v2")
    assert (folder / "model.safetensors").exists()
    assert len(hash_model(folder)) == 32


def test_unknown_packaged_model_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="unknown packaged model 'bge': choose one of all-MiniLM-L6-v2"):
        find_model("packaged:bge")


def test_missing_package_gives_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.backends.models.PACKAGED", {"other": ("no_such_module_here", "model")})
    with pytest.raises(BackendMissingError, match=r"pip install 'datagen\[packaged\]'"):
        find_model("packaged:other")


def test_missing_folder_is_named() -> None:
    with pytest.raises(ModelLoadError, match=r"model folder './nowhere' does not exist"):
        find_model("./nowhere")


@pytest.mark.parametrize("spec", ["someone/no-such-model", "not a valid id!!"])
def test_unreachable_hub_says_how_to_point_to_a_folder(spec: str) -> None:
    with pytest.raises(ModelLoadError, match=r"hub was not reachable .* give its folder"):
        find_model(spec)


def test_hash_changes_with_any_weight_and_not_with_the_readme(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"1")
    (tmp_path / "b" / "README.md").write_text("other")
    (tmp_path / "c" / "model.safetensors").write_bytes(b"2")
    first, same, other = (hash_model(tmp_path / name) for name in ("a", "b", "c"))
    assert first == same != other


def test_user_classes_are_told_from_model_names() -> None:
    assert is_user_class("package.module:Class")
    assert not is_user_class("packaged:all")
    assert not is_user_class("someone/model")


def test_user_class_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot load the backend 'datagen.testing:Nothing'"):
        load_user_class("datagen.testing:Nothing", None, Teacher)
    with pytest.raises(ConfigError, match=r"cannot load the backend 'no.such:Thing'"):
        load_user_class("no.such:Thing", None, Teacher)


def test_user_class_that_lacks_a_part_is_told_which() -> None:
    with pytest.raises(
        ConfigError, match=r"'datagen.testing:OverlapReranker' has no dim, encode, usage: a Teacher needs"
    ):
        load_user_class("datagen.testing:OverlapReranker", None, Teacher)
    assert load_user_class("datagen.testing:HashingTeacher", None, Teacher).dim == 64


@pytest.mark.parametrize(
    ("architecture", "module", "kind"),
    [
        ("BertForSequenceClassification", None, "cross-encoder"),
        ("Qwen3ForCausalLM", None, "llm"),
        ("Qwen3ForCausalLM", "sentence_transformers.cross_encoder.modules.logit_score.LogitScore", "cross-encoder"),
        ("BertModel", "sentence_transformers.models.Pooling", "maxsim"),
        ("BertModel", None, "cross-encoder"),
        (None, None, "cross-encoder"),
    ],
)
def test_the_files_tell_what_kind_of_reranker_a_model_is(
    tmp_path: Path, architecture: str | None, module: str | None, kind: str
) -> None:
    if architecture:
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    if module:
        (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "type": module}]))
    assert tell_reranker_kind(tmp_path) == kind


def test_a_config_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"config\.json is not JSON"):
        tell_reranker_kind(tmp_path)
