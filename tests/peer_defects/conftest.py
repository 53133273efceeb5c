"""Defects that were found in other miners, each a test here: what went wrong there and where datagen is held to it.

D1   a query whose text is in the corpus is its own negative                          test_exclusions
D2   vectors of one checkpoint, revision or prompt are reused for another             test_models
D3   statistics that break above 2^24 values, after the work is done                  test_input_rows
D4   a reranker that is given is not asked, or its scores replace the teacher's       test_scores
D5   positives and candidates are scored from vectors of different precision          test_scores
D6   positives and candidates are scored by different measures                        test_models
D7   what the margin rejected is handed out, with a score of -inf                     test_scores
D8   a cache is reused although it was switched off, or the settings changed          test_models
D9   an empty query becomes a placeholder and is mined                                test_input_rows
D10  a corpus, or its last slice, that is smaller than the depth stops the run        test_exclusions
D11  the lower end of a rank window is never applied                                  test_scores
D12  negatives repeat, are the query or a positive, or carry another's score          test_exclusions
D13  an empty prompt stops the run                                                    test_models
D14  distances are called cosines, the farthest first                                 test_scores
D15  a margin looks at the positives of another query                                 test_scores
D16  ids are compared as parts of longer texts                                        test_exclusions
D17  a text column of another name gives empty documents                              test_input_rows
D18  positives that are lists, dictionaries or under another column name              test_input_rows
D19  a threshold reads the score table of the other side                              test_scores, with D15

What cannot apply to datagen as it is, beside what is tested of these numbers:
D5   search in float16 on a GPU: the index is made without it; no test here runs on a GPU.
D8   a switch that turns the cache off: there is none; what is tested is that it never gives what is out of date.
D9   a placeholder for an empty question: there is none.
D10  division by the number of GPUs: nothing counts them.
D11  the window itself: there is no lowest rank to set; what is tested is that `rank` is true, for one query too.
D12  random back-fill: nothing fills a short list.
D13  too few clusters: nothing is clustered.
D18  a key that is hard-coded in back-fill: nothing is filled, and `train/` has one schema.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.backends.models import find_model
from datagen.config import TeacherConfig, build_config, merge
from datagen.testing import HashingTeacher

WORDS = [f"{a}{b}" for a in ("liver", "heart", "lung", "bone") for b in ("cell", "pain", "gene", "cure", "test")]


@dataclass(frozen=True, repr=False)
class Collection:
    """Passages, queries, and the passages that answer each query."""

    documents: Mapping[str, str | tuple[str, str]]
    """Text, or title and text, by id."""
    queries: Mapping[str, str]
    positives: Mapping[str, Sequence[str]]

    def write(self, folder: Path) -> Path:
        """The collection as a BEIR folder."""
        (folder / "qrels").mkdir(parents=True)
        rows = [_document(key, value) for key, value in self.documents.items()]
        _write_lines(folder / "corpus.jsonl", rows)
        _write_lines(folder / "queries.jsonl", [{"_id": key, "text": text} for key, text in self.queries.items()])
        pairs = [f"{query}\t{document}\t1" for query, found in self.positives.items() for document in found]
        (folder / "qrels" / "train.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *pairs]))
        return folder

    def scores(self) -> dict[tuple[str, str], float]:
        """Cosine of each query and document, by the vectors that `HashingTeacher` has for them."""
        teacher = HashingTeacher(TeacherConfig())
        texts = [value if isinstance(value, str) else " ".join(value) for value in self.documents.values()]
        table = teacher.encode(list(self.queries.values()), "query") @ teacher.encode(texts, "document").T
        return {(q, d): float(table[i, j]) for i, q in enumerate(self.queries) for j, d in enumerate(self.documents)}


@dataclass(frozen=True, repr=False)
class Mined:
    """What a run left behind."""

    out: Path
    counts: Mapping[str, Mapping[str, Any]]  # Any: JSON counts
    ledger: pl.DataFrame
    train: Mapping[str, Mapping[str, Any]]  # Any: a row of train/, by query id
    dropped: pl.DataFrame

    def reasons(self, query: str) -> dict[str, str]:
        """Document to reason, of one query."""
        rows = self.ledger.filter(pl.col("query_id") == query)
        return dict(zip(rows["doc_id"], rows["reason"], strict=True))

    def teacher_scores(self) -> dict[tuple[str, str], float]:
        """Query and document to teacher score."""
        return {(q, d): score for q, d, score in self.ledger.select("query_id", "doc_id", "teacher_score").iter_rows()}

    def negatives(self, query: str) -> list[str]:
        """Ids of the negatives of one query in `train/`."""
        return [item["doc_id"] for item in self.train[query]["negatives"]]


class Mine(Protocol):
    """Runs datagen over an input."""

    def __call__(
        self,
        given: Collection | Mapping[str, Any],  # Any: an `input` section
        out: str | None = None,
        *,
        fresh: bool = False,
        **over: Any,  # Any: nested settings
    ) -> Mined: ...


class MakeModel(Protocol):
    """Writes a small sentence-transformers model."""

    def __call__(self, name: str, seed: int, *, normalize: bool = True, **settings: object) -> Path: ...


class MakeCollection(Protocol):
    """Makes a collection of random words."""

    def __call__(self, n_documents: int, n_queries: int, most_positives: int = 1) -> Collection: ...


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mine:
    """A function that mines with the hashing teacher and no reranker, each time in a folder of its own."""
    # A third of the time of these small runs would be waiting for the disk.
    monkeypatch.setattr("datagen.storage._sync", lambda _: None)
    taken: list[str] = []

    def run(
        given: Collection | Mapping[str, Any],  # Any: an `input` section
        out: str | None = None,
        *,
        fresh: bool = False,
        **over: Any,  # Any: nested settings
    ) -> Mined:
        taken.append("")
        if isinstance(given, Collection):
            given = {"beir": str(given.write(tmp_path / f"input-{len(taken)}" / "beir"))}
        settings = {
            "out": tmp_path / (out or f"run-{len(taken)}"),
            "cache": tmp_path / "cache",
            "input": given,
            "teacher": {"model": "datagen.testing:HashingTeacher", "device": "cpu"},
            "denoise": {"reranker": "none"},
        }
        config = build_config(merge(settings, over))
        return _read(config.out, pipeline.run(config, fresh=fresh))

    return run


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A function that makes a one-layer model of random weights with the vocabulary of the packaged one."""

    def make(name: str, seed: int, *, normalize: bool = True, **settings: object) -> Path:
        folder = tmp_path / name
        packaged = find_model("packaged:all-MiniLM-L6-v2")
        ignored = shutil.ignore_patterns("*.safetensors", "README.md", "data_config.json")
        shutil.copytree(packaged, folder, ignore=ignored, dirs_exist_ok=True)
        _write_weights(folder, seed)
        _edit_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32})
        _edit_json(folder / "config_sentence_transformers.json", settings)
        if not normalize:
            modules = json.loads((folder / "modules.json").read_text())
            (folder / "modules.json").write_text(json.dumps(modules[:2]))
        return folder

    return make


@pytest.fixture
def tiny() -> Collection:
    """Sixty passages of random words and twelve queries that take words from one to four of them each."""
    return make_collection(60, 12, most_positives=4)


@pytest.fixture
def collect() -> MakeCollection:
    """The function that makes collections of random words."""
    return make_collection


def make_collection(n_documents: int, n_queries: int, most_positives: int = 1) -> Collection:
    """Query i has 1 to `most_positives` positives in turn, and words of the first of them."""
    chance = random.Random(7)
    documents = {f"d{i}": " ".join(chance.choices(WORDS, k=9)) for i in range(n_documents)}
    firsts = [i * n_documents // n_queries for i in range(n_queries)]
    queries = {f"q{i}": " ".join(chance.sample(documents[f"d{n}"].split(), 4)) for i, n in enumerate(firsts)}
    counts = [1 + i % most_positives for i in range(n_queries)]
    positives = {f"q{i}": [f"d{firsts[i] + j}" for j in range(counts[i])] for i in range(n_queries)}
    return Collection(documents, queries, positives)


def _document(key: str, value: str | tuple[str, str]) -> dict[str, str]:
    return {"_id": key, "text": value} if isinstance(value, str) else {"_id": key, "title": value[0], "text": value[1]}


def _write_lines(path: Path, rows: Sequence[object]) -> None:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")


def _read(out: Path, result: pipeline.RunResult) -> Mined:
    return Mined(
        out,
        {record.name: record.counts for record in result.records},
        shards.read(out / "candidates"),
        {row["query_id"]: row for row in shards.read(out / "train").to_dicts()},
        shards.read(out / "dropped"),
    )


def _write_weights(folder: Path, seed: int) -> None:
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(seed)
    small = BertConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    BertModel(small).save_pretrained(folder)


def _edit_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
