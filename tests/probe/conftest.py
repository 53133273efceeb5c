"""A small run with training rows, a set to evaluate on, and a student of a few thousand weights."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from datagen import pipeline
from datagen.backends.models import find_model
from datagen.config import build_config

TOPICS = [
    f"{a}{b}" for a in ("liver", "heart", "lung", "bone", "skin", "eye") for b in ("cell", "pain", "gene", "cure")
]
KINDS = ("cause", "sign", "test")
N_TEST = 12


@pytest.fixture(scope="session")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 passages, one query each; the last queries are those of the test file, all others train."""
    folder = tmp_path_factory.mktemp("beir")
    chance = random.Random(3)
    rows = [
        (f"{topic} {kind}", " ".join([topic, kind, *chance.choices(TOPICS, k=6)])) for topic in TOPICS for kind in KINDS
    ]
    _write_lines(
        folder / "corpus.jsonl", [{"_id": f"d{i}", "title": "", "text": text} for i, (_, text) in enumerate(rows)]
    )
    _write_lines(
        folder / "queries.jsonl",
        [{"_id": f"q{i}", "text": f"what is {query}", "type": query.split()[1]} for i, (query, _) in enumerate(rows)],
    )
    pairs = [f"q{i}\td{i}\t1" for i in range(len(rows))]
    write_qrels(folder / "train" / "qrels.tsv", pairs[:-N_TEST])
    write_qrels(folder / "qrels" / "test.tsv", pairs[-N_TEST:])
    write_qrels(folder / "qrels" / "train.tsv", pairs[:-N_TEST])
    return folder


@pytest.fixture(scope="session")
def mined(beir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the train queries."""
    out = tmp_path_factory.mktemp("runs") / "run"
    tables = {name: str(beir / f"{name}.jsonl") for name in ("corpus", "queries")}
    config = build_config(
        {
            "out": out,
            "cache": out.parent / "cache",
            "input": {**tables, "qrels": str(beir / "train" / "qrels.tsv")},
            "teacher": {"model": "datagen.testing:HashingTeacher"},
            "denoise": {"reranker": "none"},
        }
    )
    pipeline.run(config)
    return out


@pytest.fixture
def run(mined: Path, tmp_path: Path) -> Path:
    """A copy of it, to write into."""
    return Path(shutil.copytree(mined, tmp_path / "run"))


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a small random model behind the packaged tokenizer."""
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils.logging import disable_progress_bar

    folder = tmp_path_factory.mktemp("student") / "model"
    shutil.copytree(find_model("packaged:all-MiniLM-L6-v2"), folder)
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | {"word_embedding_dimension": 32}))
    disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    small = BertConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    BertModel(small).save_pretrained(folder)
    return str(folder)


def write_qrels(file: Path, pairs: list[str]) -> None:
    """Judgements in the layout of BEIR."""
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(["query-id\tcorpus-id\tscore", *pairs, ""]))


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
