"""A judged set of topics as a BEIR folder: each query shows one positive and has five that nobody has marked."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl

N_TOPICS, PER_TOPIC, N_QUERIES = 8, 12, 64
JUDGED = range(N_QUERIES // 2)


def _words(topic: int, seed: int, n: int, shared: int) -> str:
    draw = random.Random(seed)
    own = [f"topic{topic}word{draw.randrange(12)}" for _ in range(n)]
    return " ".join([*own, *(f"common{draw.randrange(300)}" for _ in range(shared))])


def _name(topic: int, number: int) -> str:
    return f"d{topic}-{number}"


def write_topics(folder: Path) -> dict[str, set[str]]:
    """A corpus of topics, half of whose documents are relevant to a query; those of each query."""
    documents = [
        {"_id": _name(t, i), "text": _words(t, 100 * t + i, 10, 8)} for t in range(N_TOPICS) for i in range(PER_TOPIC)
    ]
    filler = [{"_id": f"f{i}", "text": _words(1000 + i, i, 6, 10)} for i in range(150)]
    pl.DataFrame(documents + filler).write_ndjson(folder / "corpus.jsonl")
    queries = [{"_id": f"q{q}", "text": _words(q % N_TOPICS, 9000 + q, 6, 1)} for q in range(N_QUERIES)]
    pl.DataFrame(queries).write_ndjson(folder / "queries.jsonl")
    relevant = {
        f"q{q}": {_name(q % N_TOPICS, i) for i in range(q // N_TOPICS % 2, PER_TOPIC, 2)} for q in range(N_QUERIES)
    }
    (folder / "qrels").mkdir()
    shown = "".join(f"{query}\t{min(found)}\t1\n" for query, found in relevant.items())
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + shown, encoding="utf-8")
    lines = [f"q{q}\t{document}\t1\n" for q in JUDGED for document in sorted(relevant[f"q{q}"])]
    (folder / "labels.tsv").write_text("query-id\tcorpus-id\tlabel\n" + "".join(lines), encoding="utf-8")
    return relevant
