"""A small run of all mining stages, with backends that need no weights."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from datagen import pipeline
from datagen.config import RunConfig, build_config

WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]


def write_beir(folder: Path, n_documents: int = 120, n_queries: int = 12) -> Path:
    """Random sentences; each query is made of words of its positive."""
    chance = random.Random(7)
    (folder / "qrels").mkdir(parents=True)
    texts = [" ".join(chance.choices(WORDS, k=12)) for _ in range(n_documents)]
    documents = [json.dumps({"_id": f"d{n}", "title": "", "text": text}) for n, text in enumerate(texts)]
    queries = [{"_id": f"q{n}", "text": " ".join(chance.sample(texts[n * 3].split(), 4))} for n in range(n_queries)]
    (folder / "corpus.jsonl").write_text("\n".join(documents), encoding="utf-8")
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\td{n * 3}\t1" for n in range(n_queries))]
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def run_small(folder: Path, **over: Any) -> RunConfig:  # Any: sections of settings
    """Make `folder/run` out of `folder/beir`; its settings."""
    values = {
        "out": folder / "run",
        "cache": folder / "cache",
        "page": False,
        "input": {"beir": str(folder / "beir")},
        "teacher": {"model": "datagen.testing:HashingTeacher"},
        "denoise": {"reranker": "datagen.testing:OverlapReranker"},
    }
    config = build_config({**values, **over})
    pipeline.run(config)
    return config
