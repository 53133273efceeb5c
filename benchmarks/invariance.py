"""How many negatives a margin leaves with teachers whose scores differ in scale.

    python -m benchmarks.invariance --data FOLDER [FOLDER …] [--cache DIR]

Each FOLDER has the BEIR layout; each query shows one positive. The teachers: the packaged one with its score s; the
same with 0.4 s + 0.5; and its first 128 numbers with ((1 + s) / 2)^2, a curve that keeps the order. *negatives*: five a
query where so many are left; *eligible*: candidates that the margin leaves among the 100 nearest documents, and what
searching deeper adds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.judged import JudgedSet, read_judged, shown_positive
from benchmarks.ours import set_vectors
from benchmarks.replays import Float64, mine_vectors
from datagen.backends.protocols import Float32
from datagen.config import RunConfig, build_config
from datagen.selection.select import Reason

Vectors = tuple[Float32, Float32]
POLICIES, DIM = ("adaptive", "spread", "relative"), 128


def main() -> None:
    """Count and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    arguments = parser.parse_args()
    print("| set | policy | teacher | negatives | eligible |\n| --- | --- | --- | ---: | ---: |")
    for folder in arguments.data:
        judged = read_judged(folder)
        for policy in POLICIES:
            settings = {"cache": arguments.cache, "input": {"beir": "unused"}, "mine": {"margin_policy": policy}}
            config = build_config({"out": Path("unused"), **settings})
            plain = set_vectors(judged, config)
            for name, vectors in (
                ("s", plain),
                ("0.4 s + 0.5", _moved(plain)),
                ("128 numbers, curved", _curved(plain)),
            ):
                negatives, eligible = _count(judged, config, vectors)
                print(f"| {folder.name} | {policy} | {name} | {negatives:,} | {eligible:,} |", flush=True)


def _moved(vectors: Vectors) -> Vectors:
    """Vectors whose inner products are 0.4 s + 0.5."""
    documents, queries = (np.hstack([np.sqrt(0.4) * each, np.ones((len(each), 1))]) for each in vectors)
    documents[:, -1] = 0.5
    return documents.astype(np.float32), queries.astype(np.float32)


def _curved(vectors: Vectors) -> Vectors:
    """Vectors whose inner products are ((1 + s) / 2)^2 of the first numbers, made of all products of two of them."""
    documents, queries = (_squared(each[:, :DIM].astype(np.float64)) for each in vectors)
    return documents, queries


def _squared(vectors: Float64) -> Float32:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = np.hstack([unit, np.ones((len(unit), 1))]) / np.sqrt(2)
    return np.asarray(np.einsum("ni,nj->nij", whole, whole).reshape(len(whole), -1), np.float32)


def _count(judged: JudgedSet, config: RunConfig, vectors: Vectors) -> tuple[int, int]:
    number = {document: i for i, document in enumerate(judged.documents)}
    asked = [query for query in judged.queries if judged.relevant.get(query)]
    places = np.array([list(judged.queries).index(query) for query in asked])
    known = np.array([number[shown_positive(query, judged.relevant[query])] for query in asked])
    found = mine_vectors(judged, config, vectors, places, (np.arange(len(asked)), known))
    left = np.bincount(found.candidates.rows[found.reasons == Reason.SURPLUS], minlength=len(asked))
    return int(np.minimum(left, config.mine.num_negatives).sum()), int(left.sum())


if __name__ == "__main__":
    main()
