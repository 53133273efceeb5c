"""The search indexes side by side: seconds, processor seconds, peak memory, recall.

    python -m benchmarks.search exact --data FOLDER [--documents 100000 200000 400000] [--queries 20000] [--depth 100]
    python -m benchmarks.search approximate --data FOLDER [--kind ivf] [--documents 10000000] [--queries 10000]
                                            [--depth 50] [--memory 12GiB] [--folder WHERE]

`exact` holds blocked search beside FAISS IndexFlatIP; `approximate` builds an index on disk and searches it. Vectors
are made from those of the documents in FOLDER (BEIR layout, embedded with the packaged teacher; or --vectors FILE.npz)
by mixing pairs of them and adding noise. Each measurement runs in a process of its own; its memory is the peak of the
whole process, queries, results and libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.made_vectors import MadeVectors, make_blocks, real_vectors
from datagen.backends.protocols import Float32, Int64, SearchDemand, SearchIndex, Telling
from datagen.memory import parse_size
from datagen.progress import SilentProgress

DOCUMENT_SEED, QUERY_SEED = 1, 2
SAMPLE = 500


def main() -> None:
    """Measure and print a Markdown table."""
    arguments = _parse()
    if arguments.only:
        print(json.dumps(_measure(arguments)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        arguments.folder = Path(name)
        np.save(arguments.folder / "real.npy", real_vectors(arguments.data, arguments.vectors, Path(name) / "teacher"))
        names = ["flat", "blocked"] if arguments.task == "exact" else [arguments.kind]
        print("| documents | index | build s | search s | CPU s | peak GiB | recall |")
        print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
        for n in arguments.documents or ([100_000, 200_000, 400_000] if arguments.task == "exact" else [10_000_000]):
            _documents(arguments.folder, n)
            for index in names:
                print(_row(n, index, _in_a_process(arguments, n, index)), flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["exact", "approximate"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--kind", choices=["ivf", "hnsw"], default="ivf")
    parser.add_argument("--documents", type=int, nargs="*")
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--memory", type=parse_size, default="4GiB")
    parser.add_argument("--folder", type=Path, help="where the vectors are made and the index is built")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_process(arguments: argparse.Namespace, n: int, index: str) -> dict[str, Any]:  # Any: plain numbers
    sizes = ["--queries", str(arguments.queries), "--depth", str(arguments.depth), "--memory", str(arguments.memory)]
    place = ["--folder", str(arguments.folder), "--documents", str(n), "--only", index]
    command = [sys.executable, "-m", "benchmarks.search", arguments.task, *sizes, *place]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:  # Any: plain numbers
    documents = _documents(arguments.folder, arguments.documents[0])
    real = np.load(arguments.folder / "real.npy")
    queries = np.concatenate(list(make_blocks(real, arguments.queries, QUERY_SEED)))
    started = time.monotonic()
    index = _build(arguments, documents, queries)
    built, cpu = time.monotonic(), time.process_time()
    scores, positions = index.search(queries, arguments.depth)
    seconds, cpu = time.monotonic() - built, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    recall = _recall(arguments, documents, (scores, positions))
    facts = dict(index.facts) if isinstance(index, Telling) else {}
    return {
        "build": built - started,
        "search": seconds,
        "cpu": cpu,
        "gib": peak / 2**20,
        "recall": recall if recall is not None else facts.get("recall"),
        "facts": facts,
    }


def _build(arguments: argparse.Namespace, documents: MadeVectors, queries: Float32) -> SearchIndex:
    if arguments.only == "flat":
        from datagen.backends.index_faiss import FaissFlatIndex

        flat = FaissFlatIndex(documents.dim)
        for _, vectors in documents.blocks(65_536):
            flat.add(vectors)
        return flat
    if arguments.only == "blocked":
        from datagen.backends.index_blocked import BlockedIndex

        return BlockedIndex(documents, arguments.memory // 4)
    from datagen.backends.index_approximate import ApproximateIndex

    demand = SearchDemand(len(queries), arguments.depth, queries[:: -(-len(queries) // SAMPLE)], arguments.memory // 2)
    index = ApproximateIndex(arguments.only, documents, demand, 0.95, arguments.folder)
    index.build(SilentProgress())
    return index


def _recall(arguments: argparse.Namespace, documents: MadeVectors, found: tuple[Float32, Int64]) -> float | None:
    """Share of FAISS's nearest documents that blocked search found too; its result is kept beside the vectors."""
    kept = arguments.folder / f"flat-{len(documents)}.npy"
    if arguments.only == "flat":
        np.save(kept, found[1])
        return 1.0
    if arguments.only != "blocked":
        return None
    firsts = np.arange(len(found[1]))[:, None] * len(documents)
    ours, flat = np.sort(found[1] + firsts, axis=None), np.sort(np.load(kept) + firsts, axis=None)
    return float(len(np.intersect1d(ours, flat, assume_unique=True)) / flat.size)


def _documents(folder: Path, n: int) -> MadeVectors:
    return MadeVectors(folder / f"documents-{n}", np.load(folder / "real.npy"), n, DOCUMENT_SEED)


def _row(n: int, index: str, measured: dict[str, Any]) -> str:  # Any: plain numbers
    times = " | ".join(f"{measured[name]:.1f}" for name in ("build", "search", "cpu"))
    return f"| {n:,} | {index} | {times} | {measured['gib']:.2f} | {measured['recall']:.5f} |"


if __name__ == "__main__":
    main()
