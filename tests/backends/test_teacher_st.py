"""The teacher gives what the model's own `encode` gives, for all kinds of models, whatever runs it."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Router,
    StaticEmbedding,
    Transformer,
)
from tokenizers import Tokenizer

from datagen.backends.models import find_model
from datagen.backends.protocols import Role, TokenUsage
from datagen.backends.st_batches import BLOCK_TEXTS, Part, cut_batches, cut_blocks, map_ahead, prompt_of
from datagen.backends.teacher_st import SentenceTransformerTeacher, load_teacher
from datagen.config import Dtype, TeacherConfig
from datagen.errors import ModelLoadError

TEXTS = [
    "Hypertension raises the risk of stroke.",
    "a",
    "",
    "The liver makes bile. " * 30,
    *(f"Passage {i}: " + "blood pressure and the heart " * (i % 17) for i in range(20)),
]
FOLDER = find_model("packaged:all-MiniLM-L6-v2")


def _transformer(*, left: bool = False) -> Transformer:
    module: Transformer = Transformer(str(FOLDER))
    module.max_seq_length = 64
    if left:
        assert module.tokenizer is not None
        module.tokenizer.padding_side = "left"
    return module


def _mean(*, left: bool = False) -> SentenceTransformer:
    return SentenceTransformer(modules=[_transformer(left=left), Pooling(384), Normalize()], device="cpu")


def _dense_not_of_unit_length() -> SentenceTransformer:
    torch.manual_seed(0)
    return SentenceTransformer(modules=[_transformer(), Pooling(384, pooling_mode="cls"), Dense(384, 32)], device="cpu")


def _prompts_kept_out_of_the_mean() -> SentenceTransformer:
    return SentenceTransformer(
        modules=[_transformer(), Pooling(384, include_prompt=False)],
        prompts={"query": "search for the passage: ", "document": "passage: "},
        device="cpu",
    )


def _router() -> SentenceTransformer:
    torch.manual_seed(0)
    routes = Router.for_query_document([_transformer(), Pooling(384)], [_transformer(), Pooling(384), Dense(384, 384)])
    return SentenceTransformer(modules=[routes, Normalize()], device="cpu")


def _static() -> SentenceTransformer:
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=32)], device="cpu")


def _truncated() -> SentenceTransformer:
    model = _mean()
    model.truncate_dim = 100
    return model


LAYOUTS = (
    _mean,
    _dense_not_of_unit_length,
    _prompts_kept_out_of_the_mean,
    _router,
    _static,
    _truncated,
)


def _as_encoded(model: SentenceTransformer, role: Role, prompt: str | None = None) -> np.ndarray[tuple[int, int]]:
    encode = model.encode_query if role == "query" else model.encode_document
    return np.asarray(encode(TEXTS, prompt=prompt, batch_size=8, normalize_embeddings=True))


@pytest.mark.parametrize("role", ["query", "document"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__.strip("_"))
def test_vectors_are_those_of_the_models_own_encode(layout: Callable[[], SentenceTransformer], role: Role) -> None:
    model = layout()
    vectors = SentenceTransformerTeacher([model], TeacherConfig(batch_tokens=256)).encode(TEXTS, role)
    np.testing.assert_allclose(vectors, _as_encoded(model, role), atol=1e-5)


def test_vectors_in_bfloat16_are_near_those_of_encode() -> None:
    vectors = load_teacher(FOLDER, TeacherConfig(dtype="bfloat16", device="cpu")).encode(TEXTS, "document")
    model = SentenceTransformer(str(FOLDER), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    np.testing.assert_allclose(vectors, _as_encoded(model, "document"), atol=1e-2)


def test_a_named_prompt_goes_before_the_models_own() -> None:
    model = _prompts_kept_out_of_the_mean()
    teacher = SentenceTransformerTeacher([model], TeacherConfig(query_prompt="find: "))
    np.testing.assert_allclose(teacher.encode(TEXTS, "query"), _as_encoded(model, "query", "find: "), atol=1e-5)
    assert prompt_of(model, "query", None) == "search for the passage: "
    assert prompt_of(model, "document", None) == "passage: "
    assert prompt_of(model, "document", "") == ""


@pytest.mark.parametrize("layout", [_mean, _static], ids=["transformer", "bag_of_words"])
def test_only_the_first_tokens_count_when_a_model_is_loaded_with_a_limit(
    layout: Callable[[], SentenceTransformer], tmp_path: Path
) -> None:
    layout().save(str(tmp_path))
    texts = ["so the liver makes much bile from pure blood", "so the liver makes much bile from pure sugar"]
    (cut, same), (one, other) = (
        load_teacher(tmp_path, TeacherConfig(max_tokens=limit, dtype="float32", device="cpu")).encode(texts, "document")
        for limit in (8, 64)  # with [CLS] and [SEP] six words are left, without them eight
    )
    np.testing.assert_allclose(cut, same, atol=1e-6)
    assert not np.allclose(one, other, atol=1e-2)


def test_parts_give_the_bytes_that_each_part_gives_alone() -> None:
    teacher = load_teacher(FOLDER, TeacherConfig(device="cpu"))
    parts = [TEXTS[:7], TEXTS[7:8], TEXTS[8:]]
    together = list(teacher.encode_parts(iter(parts), "document"))
    for part, vectors in zip(parts, together, strict=True):
        assert teacher.encode(part, "document").tobytes() == vectors.tobytes()


def test_no_text_gives_no_row() -> None:
    assert load_teacher(FOLDER, TeacherConfig(device="cpu")).encode([], "query").shape == (0, 384)


def test_several_devices_share_the_work() -> None:
    one, two = (load_teacher(FOLDER, TeacherConfig(dtype="float32", device=name)) for name in ("cpu", "cpu,cpu"))
    np.testing.assert_allclose(one.encode(TEXTS, "query"), two.encode(TEXTS, "query"), atol=1e-6)
    assert one.usage == two.usage


def test_threads_of_torch_are_as_before() -> None:
    before = torch.get_num_threads()
    load_teacher(FOLDER, TeacherConfig(device="cpu")).encode(TEXTS, "query")
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before


def test_an_error_in_a_batch_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _mean()
    teacher = SentenceTransformerTeacher([model], TeacherConfig())

    def fail(features: object) -> object:
        raise RuntimeError("broken layer")

    monkeypatch.setattr(model[1], "forward", fail)
    with pytest.raises(RuntimeError, match="broken layer"):
        teacher.encode(TEXTS, "query")


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_a_batch_is_what_the_models_preprocessing_gives_for_its_texts(left: bool) -> None:
    part = Part(TEXTS, np.empty((len(TEXTS), 384), np.float32), len(TEXTS))
    model = _mean(left=left)
    tokenise = functools.partial(model.preprocess, task="query")
    batches = [batch for block in cut_blocks(part) for batch in cut_batches(block, tokenise, 256)]
    assert sorted(itertools.chain.from_iterable(batch.numbers.tolist() for batch in batches)) == list(range(len(TEXTS)))
    for batch in batches:
        assert batch.features is not None
        expected = model.preprocess([TEXTS[i] for i in batch.numbers], task="query")
        width, plain = batch.features["input_ids"].shape[1], expected["input_ids"].shape[1]
        assert plain <= width < plain + 8  # lengths come in steps, so that few kernels are made
        unpadded = slice(width - plain, None) if left else slice(plain)
        for name in ("input_ids", "attention_mask"):
            assert torch.equal(batch.features[name][:, unpadded], expected[name])
        assert batch.features["attention_mask"].sum() == expected["attention_mask"].sum()
        assert batch.usage.padded == len(batch.numbers) * -(-plain // 8) * 8
        assert batch.usage.padded <= 256 or len(batch.numbers) == 1
        assert batch.usage.tokens == expected["attention_mask"].sum()


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [([3] * (BLOCK_TEXTS + 1), [BLOCK_TEXTS, 1]), ([1_500_000, 1_500_000, 3], [1, 1, 1]), ([5, 9], [2])],
    ids=["many", "long", "few"],
)
def test_blocks_are_bounded_in_texts_and_characters(lengths: list[int], sizes: list[int]) -> None:
    part = Part(["x" * n for n in lengths], np.empty((len(lengths), 1), np.float32), len(lengths))
    blocks = list(cut_blocks(part))
    assert [len(block.numbers) for block in blocks] == sizes
    assert len(part.texts[blocks[0].numbers[0]]) == max(lengths)


def test_map_ahead_keeps_the_order_and_takes_no_more_than_it_may() -> None:
    taken: list[int] = []

    def items() -> itertools.chain[int]:
        return itertools.chain.from_iterable([number] for number in map(_noting(taken), range(10)))

    with ThreadPoolExecutor(3) as executor:
        results = map_ahead(executor, lambda number: (number, threading.get_ident()), items(), 2)
        assert next(results)[0] == 0
        assert taken == [0, 1, 2]
        assert [number for number, _ in results] == list(range(1, 10))


def test_a_runtime_that_is_not_installed_is_named() -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ModelLoadError, match="OpenVINO backend requires installing"):
        load_teacher(FOLDER, TeacherConfig(backend="openvino", device="cpu"))


def test_usage_adds_up() -> None:
    usage = TokenUsage()
    teacher = load_teacher(FOLDER, TeacherConfig(device="cpu", max_tokens=8))
    for _ in range(2):
        teacher.encode(["one two three four five six seven eight nine"], "query")
        usage.tokens += 8
        usage.padded += 8
    assert teacher.usage == usage


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_batches_of_a_size_chosen_for_the_device(dtype: Dtype) -> None:
    assert load_teacher(FOLDER, TeacherConfig(device="cpu", dtype=dtype)).batch_tokens == 2048
    assert load_teacher(FOLDER, TeacherConfig(device="cpu", dtype=dtype, batch_tokens=300)).batch_tokens == 300


def _noting(taken: list[int]) -> Callable[[int], int]:
    def note(number: int) -> int:
        taken.append(number)
        return number

    return note
