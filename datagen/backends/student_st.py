"""A student: any sentence-transformers model, trained for some steps by its own trainer, and asked for vectors."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, TrainerCallback

from datagen.backends.devices import choose_device, choose_dtype
from datagen.backends.protocols import Role
from datagen.backends.st_batches import prompt_of
from datagen.backends.st_model import load_st_model
from datagen.backends.teacher_st import SentenceTransformerTeacher
from datagen.config import TeacherConfig
from datagen.progress import Advance
from datagen.settings.probe import ProbeConfig

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; then it falls to 0."""


class Student:
    """One model, fresh or trained."""

    def __init__(self, model: SentenceTransformer, settings: TeacherConfig) -> None:
        """Keep a loaded model; see `load_student`."""
        self._model = model
        self._settings = settings

    def train(
        self, queries: Sequence[str], columns: Sequence[Sequence[str]], config: ProbeConfig, seed: int, advance: Advance
    ) -> float:
        """Train with in-batch and given negatives (MultipleNegativesRankingLoss), and say the mean loss.

        Dropout is off: it would make two arms differ by chance. What the processor has in bfloat16 is computed in it.

        Args:
            queries: one for each row, batch after batch, in the order in which they are read.
            columns: for each row its positive, then its first negative, its second …
            config: steps, batch size and learning rate.
            seed: of the trainer.
            advance: told of every step.
        """
        for module in self._model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        names = ["positive", *(f"negative_{i}" for i in range(1, len(columns)))]
        data = Dataset.from_dict({"query": list(queries), **dict(zip(names, map(list, columns), strict=True))})
        with tempfile.TemporaryDirectory() as folder:
            trainer = _InOrder(
                model=self._model,
                args=_arguments(folder, self._model, names, config, seed),
                train_dataset=data,
                loss=MultipleNegativesRankingLoss(self._model),
                callbacks=[_Telling(advance)],
            )
            trainer.remove_callback(PrinterCallback)
            loss = trainer.train().training_loss
        return float(loss)

    def encoder(self) -> SentenceTransformerTeacher:
        """What gives vectors, as a teacher does; the student cannot be trained on after this."""
        device = choose_device(self._settings.device)
        model = self._model.to(device=device, dtype=choose_dtype("auto", device)).eval()
        return SentenceTransformerTeacher([model], self._settings)


def load_student(folder: Path, config: ProbeConfig) -> Student:
    """The student of a model folder, in float32.

    Raises:
        ModelLoadError: the folder does not hold a model that can be loaded.
    """
    settings = TeacherConfig(
        model=config.student,
        device=config.device,
        dtype="float32",
        max_tokens=config.max_tokens,
        trust_remote_code=config.trust_remote_code,
    )
    return Student(load_st_model(folder, settings), settings)


class _InOrder(SentenceTransformerTrainer):
    """Reads the rows as they stand, because they are planned in batches; writes no model card."""

    def get_batch_sampler(
        self,
        dataset: Any,  # Any: as the trainer says
        batch_size: int,
        drop_last: bool,
        *args: object,
        **kwargs: object,
    ) -> Any:  # Any: as the trainer says
        return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:  # Any: arguments of the trainer
        """Add none: nobody keeps the model."""


class _Telling(TrainerCallback):
    """Tells of every step."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self._advance(1)


def _arguments(
    folder: str, model: SentenceTransformer, names: Sequence[str], config: ProbeConfig, seed: int
) -> SentenceTransformerTrainingArguments:
    device = choose_device(config.device)
    dtype = choose_dtype("auto", device)
    roles: dict[str, Role] = {"query": "query", **dict.fromkeys(names, "document")}
    prompts = {name: prompt for name, role in roles.items() if (prompt := prompt_of(model, role, None))}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=folder,
        max_steps=config.steps,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=round(_WARM_UP * config.steps),
        seed=seed,
        use_cpu=device.type == "cpu",
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        prompts=prompts or None,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # with several GPUs the trainer would make the batches as many times larger
    return arguments
