"""What mining costs after the search: candidates to negatives, datagen beside sentence-transformers.

    python -m benchmarks.selection [--queries 200000] [--documents 50000]

Random unit vectors, one positive a query, relative margin 0.05, 5 negatives from 52 candidates a query; nothing is
embedded. Each system runs in a process of its own. The peer's `mine_hard_negatives` is given a stand-in for the model
that hands out the vectors, and the time of its encoding, search and scoring of the positives is taken away. Ours is
closure, margin and choice, and the ledger with all candidates as an Arrow table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]
DIM, DEPTH, WANTED, MARGIN = 16, 52, 5, 0.05


def main() -> None:
    """Measure both and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=200_000)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--only", choices=["ours", "peer"], help="measure one in this process, print JSON")
    arguments = parser.parse_args()
    if arguments.only:
        measure = _measure_ours if arguments.only == "ours" else _measure_peer
        print(json.dumps(measure(arguments.queries, arguments.documents)))
        return
    print("| system | seconds | ratio | peak GiB | above the start GiB | negatives |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    found = {name: _run(name, arguments.queries, arguments.documents) for name in ("ours", "peer")}
    for name, label in (("ours", "datagen"), ("peer", "sentence-transformers, triplets")):
        seconds, ratio = found[name]["seconds"], found[name]["seconds"] / found["ours"]["seconds"]
        memory = f"{found[name]['peak']:.2f} | {found[name]['peak'] - found[name]['before']:.2f}"
        print(f"| {label} | {seconds:.2f} | {ratio:.1f} | {memory} | {found[name]['negatives']:,.0f} |")


def _run(name: str, queries: int, documents: int) -> dict[str, float]:
    size = ["--queries", str(queries), "--documents", str(documents)]
    command = [sys.executable, "-m", "benchmarks.selection", "--only", name, *size]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _vectors(n: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _data(n_queries: int, n_documents: int) -> tuple[Vectors, Vectors, npt.NDArray[np.int64]]:
    """Queries, documents, and the document that is the positive of each query: near to it, as a teacher would say."""
    documents = _vectors(n_documents, 0)
    positive = np.random.default_rng(1).integers(0, n_documents, n_queries)
    queries = documents[positive] + 0.35 * _vectors(n_queries, 2)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return queries, documents, positive


def _gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _measure_ours(n_queries: int, n_documents: int) -> dict[str, float]:
    import faiss
    import pyarrow as pa

    from datagen.selection.arrays import Lists
    from datagen.selection.closure import build_closure
    from datagen.selection.margins import MarginRule, PositiveScores, score_limits
    from datagen.selection.select import Reason, Surroundings, choose_top, from_search, judge

    queries, documents, positive = _data(n_queries, n_documents)
    index = faiss.IndexFlatIP(DIM)
    index.add(documents)
    scores, positions = index.search(queries, DEPTH)
    of_positive = np.einsum("ij,ij->i", queries, documents[positive]).astype(np.float64)
    before, started = _gib(), time.monotonic()
    rows = np.arange(n_queries)
    closure = build_closure((rows, positive), n_documents + rows, np.arange(n_documents))
    candidates = from_search(scores, positions, rows)
    starts, nothing = np.arange(n_queries + 1), np.zeros(n_queries)
    limits = score_limits(
        MarginRule("relative", MARGIN), PositiveScores(of_positive, starts, nothing - np.inf, nothing)
    )
    none = Lists.from_pairs(rows[:0], rows[:0], n_queries)
    reasons = judge(candidates, closure, Surroundings(none, none), candidates.scores > limits[candidates.rows])
    chosen = choose_top(candidates.rows, reasons == Reason.SURPLUS, WANTED, n_queries)
    columns = {"query": candidates.rows, "document": candidates.documents, "rank": candidates.ranks}
    table = pa.table({**columns, "score": candidates.scores, "reason": reasons, "negative": chosen})
    seconds = time.monotonic() - started
    return {
        "seconds": seconds,
        "peak": _gib(),
        "before": before,
        "negatives": float(table["negative"].to_numpy().sum()),
    }


class _GivenVectors:
    """What the peer asks of a model, answered from arrays, with the time that it takes."""

    device = "cpu"
    prompts: dict[str, str] = {}  # noqa: RUF012  the peer reads it from the instance

    def __init__(self, queries: Vectors, documents: Vectors) -> None:
        self._vectors = {"q": queries, "d": documents}
        self.seconds = 0.0

    def _encode(self, texts: list[str]) -> Vectors:
        started = time.monotonic()
        found: Vectors = self._vectors[texts[0][0]][[int(text[1:]) for text in texts]]
        self.seconds += time.monotonic() - started
        return found

    def encode_query(self, texts: list[str], **_: object) -> Vectors:
        return self._encode(texts)

    def encode_document(self, texts: list[str], **_: object) -> Vectors:
        return self._encode(texts)

    def get_embedding_dimension(self) -> int:
        return DIM

    def similarity_pairwise(self, left: Vectors, right: Vectors) -> object:
        import torch

        started = time.monotonic()
        found = torch.from_numpy(np.einsum("ij,ij->i", left, right))
        self.seconds += time.monotonic() - started
        return found


def _measure_peer(n_queries: int, n_documents: int) -> dict[str, float]:
    import faiss
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    queries, documents, positive = _data(n_queries, n_documents)
    model = _GivenVectors(queries, documents)
    search = faiss.IndexFlatIP.search

    def timed(index: faiss.IndexFlatIP, vectors: Vectors, k: int) -> object:
        started = time.monotonic()
        found = search(index, vectors, k)
        model.seconds += time.monotonic() - started
        return found

    setattr(faiss.IndexFlatIP, "search", timed)  # noqa: B010  a type checker forbids the plain form
    anchors = [f"q{n}" for n in range(n_queries)]
    data = Dataset.from_dict({"anchor": anchors, "positive": [f"d{n}" for n in positive]})
    corpus = [f"d{n}" for n in range(n_documents)]
    before, started = _gib(), time.monotonic()
    mined = mine_hard_negatives(
        data,
        cast("SentenceTransformer", model),
        corpus=corpus,
        range_max=DEPTH - 1,
        relative_margin=MARGIN,
        num_negatives=WANTED,
        output_format="triplet",
        use_faiss=True,
        verbose=False,
    )
    seconds = time.monotonic() - started - model.seconds
    return {"seconds": seconds, "peak": _gib(), "before": before, "negatives": float(len(mined))}


if __name__ == "__main__":
    main()
