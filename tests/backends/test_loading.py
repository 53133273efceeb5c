"""Models that cannot be loaded get one clear sentence."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datagen.backends.devices import choose_device, choose_dtype
from datagen.backends.models import find_model
from datagen.backends.protocols import TokenUsage
from datagen.backends.reranker_ce import load_cross_encoder
from datagen.backends.st_model import explaining_memory, token_batches
from datagen.backends.teacher_st import load_teacher
from datagen.config import DenoiseConfig, TeacherConfig
from datagen.errors import BackendError, ConfigError, ModelLoadError


@pytest.fixture
def broken_model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))
    return tmp_path


def test_a_folder_that_is_no_model_is_named(broken_model: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"cannot load the model in .* give the folder of a sentence-transformers"):
        load_teacher(broken_model, TeacherConfig(device="cpu"))
    with pytest.raises(ModelLoadError, match=r"cannot load the model in .* give the folder of a cross-encoder"):
        load_cross_encoder(broken_model, DenoiseConfig(device="cpu"))


def test_running_out_of_memory_names_the_setting() -> None:
    with (
        pytest.raises(
            BackendError, match=r"teacher.batch_tokens 16,384: lower it with --set teacher.batch_tokens=4096"
        ),
        explaining_memory("teacher.batch_tokens", 16_384),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_max_tokens_cuts_longer_texts() -> None:
    teacher = load_teacher(find_model("packaged:all-MiniLM-L6-v2"), TeacherConfig(max_tokens=8))
    short, long = teacher.encode(
        ["one two three four five six", "one two three four five six " + "tail " * 50], "query"
    )
    assert float(short @ long) > 0.99
    assert teacher.usage.tokens == 16


def test_prompts_change_the_vectors_of_their_role_only() -> None:
    folder = find_model("packaged:all-MiniLM-L6-v2")
    plain, prompted = (load_teacher(folder, TeacherConfig(query_prompt=prompt)) for prompt in (None, "search: "))
    text = ["liver"]
    assert (plain.encode(text, "document") == prompted.encode(text, "document")).all()
    assert float(plain.encode(text, "query")[0] @ prompted.encode(text, "query")[0]) < 0.99


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="device 'cuda' was asked for, but torch sees no GPU"):
        choose_device("cuda")


def test_an_unknown_device_lists_what_can_be_named() -> None:
    with pytest.raises(ConfigError, match="unknown device 'tpu9': use auto, cpu, cuda"):
        choose_device("tpu9")


def test_the_named_dtype_is_taken() -> None:
    assert choose_dtype("float16", torch.device("cpu")) == torch.float16
    assert choose_dtype("auto", torch.device("cpu")) in (torch.bfloat16, torch.float32)
    assert choose_dtype("auto", torch.device("mps")) == torch.float32


def test_token_batches_keep_the_budget_and_take_each_text_once() -> None:
    usage = TokenUsage()
    lengths = np.array([3, 900, 5, 7, 2, 400])
    batches = [batch.tolist() for batch in token_batches(lengths, 500, usage)]
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(6))
    assert batches[0] == [1]
    assert all(len(batch) == 1 or lengths[batch[0]] * len(batch) <= 500 for batch in batches)
    assert usage.tokens == lengths.sum() <= usage.padded
