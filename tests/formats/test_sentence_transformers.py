"""sentence-transformers' own trainers take each of its formats as it is, for two steps of each loss."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datagen.formats import ExportOptions, export_run

if TYPE_CHECKING:
    import datasets

pytest.importorskip("sentence_transformers")

# What the trainers warn of is none of datagen's business.
pytestmark = pytest.mark.filterwarnings("default")

STEPS = 2


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """A model this small only waits for the threads of others."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support.tiny_bert import save_tiny_bert

    return save_tiny_bert(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def reranker_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.support.tiny_bert import save_tiny_bert

    return save_tiny_bert(tmp_path_factory.mktemp("reranker"), labels=1)


@pytest.mark.parametrize(
    ("name", "scores", "loss"),
    [
        ("st-pair", None, "MultipleNegativesRankingLoss"),
        ("st-triplet", None, "MultipleNegativesRankingLoss"),
        ("st-n-tuple", None, "MultipleNegativesRankingLoss"),
        ("st-pair", None, "GISTEmbedLoss"),
        ("st-triplet", None, "GISTEmbedLoss"),
        ("st-triplet", "teacher", "MarginMSELoss"),
        ("st-n-tuple", "reranker", "MarginMSELoss"),
        ("st-n-tuple", "teacher", "DistillKLDivLoss"),
        ("st-labeled-pair", "teacher", "CoSENTLoss"),
    ],
)
def test_trainer_of_embedders_takes_it(
    name: str,
    scores: Any,  # Any: literal
    loss: str,
    run: Path,
    encoder_path: Path,
    tmp_path: Path,
) -> None:
    import sentence_transformers as st

    losses = importlib.import_module("sentence_transformers.losses")
    model = st.SentenceTransformer(str(encoder_path), device="cpu")
    guide = {"guide": model} if loss == "GISTEmbedLoss" else {}
    rows = _export(run, name, tmp_path, ExportOptions(scores=scores))
    arguments = st.SentenceTransformerTrainingArguments(**_arguments(tmp_path))
    trainer = st.SentenceTransformerTrainer(model, arguments, rows, loss=getattr(losses, loss)(model, **guide))
    assert trainer.train().global_step == STEPS


@pytest.mark.parametrize(
    ("name", "scores", "loss"),
    [
        ("st-labeled-pair", None, "BinaryCrossEntropyLoss"),
        ("st-labeled-pair", "reranker", "BinaryCrossEntropyLoss"),
        ("st-labeled-list", None, "LambdaLoss"),
        ("st-labeled-list", None, "ListNetLoss"),
        ("st-labeled-list", "reranker", "ListNetLoss"),
    ],
)
def test_trainer_of_rerankers_takes_it(
    name: str,
    scores: Any,  # Any: literal
    loss: str,
    run: Path,
    reranker_path: Path,
    tmp_path: Path,
) -> None:
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        losses,
    )

    model = CrossEncoder(str(reranker_path), num_labels=1, device="cpu")
    rows = _export(run, name, tmp_path, ExportOptions(scores=scores))
    arguments = CrossEncoderTrainingArguments(**_arguments(tmp_path))
    trainer = CrossEncoderTrainer(model, arguments, rows, loss=getattr(losses, loss)(model))
    assert trainer.train().global_step == STEPS


def test_scores_of_pairs_are_between_0_and_1(run: Path, tmp_path: Path) -> None:
    for whose in ("teacher", "reranker"):
        options = ExportOptions.model_validate({"scores": whose})
        scores = _export(run, "st-labeled-pair", tmp_path / whose, options)["score"]
        assert 0 <= min(scores) < 0.5 < max(scores) <= 1


def test_scores_stand_with_the_positive_first(run: Path, tmp_path: Path) -> None:
    for row in _export(run, "st-n-tuple", tmp_path, ExportOptions(scores="teacher")):
        assert len(row["scores"]) == len(row) - 2
        assert row["scores"][0] == max(row["scores"])


def test_a_list_holds_all_positives_of_its_query_first(run: Path, tmp_path: Path) -> None:
    rows = _export(run, "st-labeled-list", tmp_path, ExportOptions())
    assert [sum(labels) for labels in rows["labels"]][:3] == [3, 2, 1]
    assert all(labels == sorted(labels, reverse=True) for labels in rows["labels"])


def _export(run: Path, name: str, tmp_path: Path, options: ExportOptions) -> datasets.Dataset:
    import datasets

    export_run(run, name, tmp_path / "export", options)
    cache = str(tmp_path / "cache")
    return datasets.load_dataset("parquet", data_dir=str(tmp_path / "export"), split="train", cache_dir=cache)


def _arguments(folder: Path) -> dict[str, Any]:  # Any: settings of a trainer
    return {
        "output_dir": str(folder / "trainer"),
        "max_steps": STEPS,
        "per_device_train_batch_size": 3,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
    }
