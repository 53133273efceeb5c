"""The teacher's embedding alone, datagen beside sentence-transformers: seconds, processor seconds, agreement.

    python -m benchmarks.embedding_vs_peers --data FOLDER [--passages N] [--rounds R] [--backend torch]

FOLDER has the BEIR layout. The same passages, drawn at random, with the same model: datagen at its defaults;
sentence-transformers' `encode` as installed (float32, batches of 32) and at its best on processors (bfloat16, batches
of 64). The systems take turns, so that what else the machine does meets all of them; the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmarks.judged import read_judged
from datagen.backends.models import find_model
from datagen.backends.protocols import Float32
from datagen.backends.teacher_st import load_teacher
from datagen.config import TeacherConfig

Encode: TypeAlias = Callable[[list[str]], Float32]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--backend", default="torch")
    arguments = parser.parse_args()
    documents = list(read_judged(arguments.data).documents.values())
    texts = random.Random(0).sample(documents, min(arguments.passages, len(documents)))  # noqa: S311 - a sample
    systems = _systems(arguments.backend)
    best, vectors = {name: (np.inf, np.inf) for name in systems}, {}
    for _ in range(arguments.rounds):
        for name, encode in systems.items():
            seconds, vectors[name] = _measure(encode, texts)
            best[name] = min(best[name], seconds)
    _print(best, vectors, len(texts))


def _print(best: dict[str, tuple[float, float]], vectors: dict[str, Float32], n_texts: int) -> None:
    print("| system | seconds | texts/s | ratio | processor seconds | lowest cosine to float32 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    (ours, _), *_ = best.values()
    exact = _unit(vectors["sentence-transformers, float32, batch 32"])
    for name, (wall, processor) in best.items():
        cosine = float((_unit(vectors[name]) * exact).sum(1).min())
        print(f"| {name} | {wall:.1f} | {n_texts / wall:.0f} | {wall / ours:.2f} | {processor:.1f} | {cosine:.4f} |")


def _systems(backend: str) -> dict[str, Encode]:
    folder = find_model("packaged:all-MiniLM-L6-v2")
    teacher = load_teacher(folder, TeacherConfig.model_validate({"backend": backend}))
    return {
        f"datagen, {backend}": lambda texts: teacher.encode(texts, "document"),
        "sentence-transformers, float32, batch 32": _peer(folder, torch.float32, 32),
        "sentence-transformers, bfloat16, batch 64": _peer(folder, torch.bfloat16, 64),
    }


def _peer(folder: Path, dtype: torch.dtype, batch_size: int) -> Encode:
    model = SentenceTransformer(str(folder), model_kwargs={"dtype": dtype})
    return lambda texts: np.asarray(model.encode(texts, batch_size=batch_size, show_progress_bar=False), np.float32)


def _unit(vectors: Float32) -> Float32:
    """Rows of unit length: those of the peer in bfloat16 miss it by up to 0.4 %."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _measure(encode: Encode, texts: list[str]) -> tuple[tuple[float, float], Float32]:
    wall, processor = time.monotonic(), time.process_time()
    vectors = encode(texts)
    return (time.monotonic() - wall, time.process_time() - processor), vectors


if __name__ == "__main__":
    main()
