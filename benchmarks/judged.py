"""Judged retrieval sets as a test of mining: show a miner one positive a query, hide the others, count what leaks.

A mined negative that is a hidden positive is a wrong label. Judgements are incomplete to some degree everywhere, so a
leak is a lower bound.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datagen.backends.protocols import Float32


@dataclass(frozen=True)
class JudgedSet:
    """A BEIR-layout folder: texts by id, and the relevant documents of each query."""

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    relevant: dict[str, set[str]]
    corpus_lines: list[str]


def read_judged(folder: Path) -> JudgedSet:
    """A set from corpus.jsonl, queries.jsonl and qrels (qrels.tsv or qrels/*.tsv), plain or .gz."""
    lines = list(read_lines(folder, "corpus.jsonl"))
    rows = [json.loads(line) for line in lines]
    queries = {row["_id"]: row["text"] for row in map(json.loads, read_lines(folder, "queries.jsonl"))}
    files = [folder / "qrels.tsv"] if (folder / "qrels.tsv").exists() else sorted((folder / "qrels").glob("*.tsv"))
    relevant: dict[str, set[str]] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines()[1:]:
            query, document, score = line.split("\t")
            if float(score) > 0:
                relevant.setdefault(query, set()).add(document)
    documents = {row["_id"]: f"{row.get('title') or ''} {row['text']}".strip() for row in rows}
    return JudgedSet(folder.name, documents, queries, relevant, lines)


def shown_positive(query: str, relevant: set[str]) -> str:
    """The one positive that the miner sees: the smallest hash of the ids, the same for everyone."""
    return min(relevant, key=lambda document: _hash("known", query, document))


def write_hidden(judged: JudgedSet, out: Path) -> None:
    """A BEIR folder in which each query shows one of its positives."""
    (out / "qrels").mkdir(parents=True, exist_ok=True)
    queries = [query for query in judged.queries if judged.relevant.get(query)]
    (out / "corpus.jsonl").write_text("".join(judged.corpus_lines), encoding="utf-8")
    texts = [json.dumps({"_id": query, "text": judged.queries[query]}) + "\n" for query in queries]
    (out / "queries.jsonl").write_text("".join(texts), encoding="utf-8")
    pairs = [f"{query}\t{shown_positive(query, judged.relevant[query])}\t1\n" for query in queries]
    (out / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(pairs), encoding="utf-8")


@dataclass(frozen=True)
class Leak:
    """What a miner did to a judged set, over the queries with two or more positives."""

    queries: int
    coverage: float
    """Share of them with all k negatives."""
    without: float
    """Share of them with no negative at all."""
    leak: float
    """Share of the mined negatives that are hidden positives."""
    hardness: float
    """Mean log2 rank of the right negatives among all non-relevant documents; smaller is harder."""


def measure_leak(judged: JudgedSet, mined: dict[str, list[str]], vectors: tuple[Float32, Float32], k: int = 5) -> Leak:
    """Score mined negatives.

    Args:
        judged: the set, with all its positives.
        mined: negatives of each query, best first.
        vectors: of the documents and of the queries, in the order of the set, unit length.
        k: negatives looked at.
    """
    queries = [query for query, relevant in judged.relevant.items() if len(relevant) > 1]
    lists = {query: mined.get(query, [])[:k] for query in queries}
    wrong = {q: judged.relevant[q] - {shown_positive(q, judged.relevant[q])} for q in queries}
    n = sum(map(len, lists.values()))
    return Leak(
        len(queries),
        sum(len(found) >= k for found in lists.values()) / len(queries),
        sum(not found for found in lists.values()) / len(queries),
        sum(document in wrong[query] for query in queries for document in lists[query]) / max(1, n),
        float(np.mean(list(_log_ranks(judged, lists, vectors)))) if n else float("nan"),
    )


def _log_ranks(judged: JudgedSet, lists: dict[str, list[str]], vectors: tuple[Float32, Float32]) -> Iterator[float]:
    places = {document: i for i, document in enumerate(judged.documents)}
    order = {query: i for i, query in enumerate(judged.queries)}
    for query, found in lists.items():
        scores = vectors[0] @ vectors[1][order[query]]
        relevant = judged.relevant[query]
        others = np.delete(scores, [places[document] for document in relevant])
        for document in found:
            if document not in relevant:
                yield float(np.log2(2 + (others > scores[places[document]]).sum()))


def read_lines(folder: Path, name: str) -> Iterator[str]:
    """The lines of a file of a BEIR folder, plain or .gz, with their ends."""
    plain = folder / name
    if plain.exists():
        with plain.open(encoding="utf-8") as file:
            yield from file
    else:
        with gzip.open(f"{plain}.gz", "rt", encoding="utf-8") as file:
            yield from file


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()[:8]
