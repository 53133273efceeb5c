"""Mining at three sizes of corpus under one limit of memory: peak memory must not follow the size, time must.

    python -m benchmarks.mining_memory --data FOLDER [--documents 250000 500000 1000000] [--queries 100000]
                                       [--memory 4GiB] [--index auto] [--folder WHERE]

The whole of `datagen mine-negatives` without a reranker, in a process of its own with an empty cache. The teacher looks
vectors up that were made beforehand (a text is `d123` or `q123`), so that search and decisions are what is measured,
not a model. Vectors are made from those of the documents in FOLDER (BEIR layout, embedded with the packaged teacher; or
--vectors FILE.npz) by mixing pairs of them and adding noise; a query is a document, which is its known positive, with
noise added.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.made_vectors import NOISE, make_blocks, real_vectors
from datagen.backends.protocols import Float32, Role, TokenUsage
from datagen.config import TeacherConfig
from datagen.memory import GIB, parse_size

FOLDER_VARIABLE = "DATAGEN_MADE_VECTORS"
TOLERANCE = 1.1
"""What the peak may be of the limit."""

_SEED = 1
_BLOCK = 65_536


class NumberedTeacher:
    """Looks up vectors by the number that a text ends with."""

    def __init__(self, settings: TeacherConfig) -> None:
        """Open the files of the folder that the environment names."""
        folder = Path(os.environ[FOLDER_VARIABLE])
        self.usage = TokenUsage()
        self._files: dict[Role, Path] = {"document": folder / "documents.npy", "query": folder / "queries.npy"}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(np.load(self._files["query"], mmap_mode="r").shape[1])

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """The vectors of these texts; the file is opened anew each time, so that none of it stays in memory."""
        numbers = pl.Series(list(texts)).str.slice(1).cast(pl.Int64).to_numpy()
        return np.asarray(np.load(self._files[role], mmap_mode="r")[numbers], np.float32)


def main() -> None:
    """Measure and print a Markdown table; exit with 1 where the limit was not kept."""
    arguments = _parse()
    kept = True
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        real = real_vectors(arguments.data, arguments.vectors, folder / "teacher")
        print("| documents | index | seconds | mine s | peak GiB |\n| ---: | --- | ---: | ---: | ---: |", flush=True)
        for n in arguments.documents:
            _write_collection(folder, real, n, arguments.queries)
            seconds, peak = _mine(folder, arguments)
            mine = json.loads((folder / "run" / "run.json").read_text())["stages"]["mine"]
            index = mine["counts"].get("index", {}).get("index", "-")
            print(f"| {n:,} | {index} | {seconds:.0f} | {mine['seconds']:.0f} | {peak / GIB:.2f} |", flush=True)
            kept = kept and peak <= TOLERANCE * arguments.memory
    sys.exit(not kept)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--documents", type=int, nargs="*", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--memory", type=parse_size, default="4GiB")
    parser.add_argument("--index", default="auto")
    parser.add_argument("--folder", type=Path, help="where all files are written, and removed afterwards")
    return parser.parse_args()


def _write_collection(folder: Path, real: Float32, n: int, n_queries: int) -> None:
    shape = n, real.shape[1]
    documents = np.lib.format.open_memmap(folder / "documents.npy", mode="w+", dtype=np.float16, shape=shape)
    for block, vectors in enumerate(make_blocks(real, n, _SEED)):
        documents[block * _BLOCK : block * _BLOCK + len(vectors)] = vectors
    chosen = np.sort(np.random.default_rng(_SEED).choice(n, n_queries, replace=False))
    np.save(folder / "queries.npy", np.concatenate(list(_noisy(documents, chosen))))
    beir = folder / "beir"
    (beir / "qrels").mkdir(parents=True, exist_ok=True)
    names = pl.format("d{}", pl.int_range(n, eager=True))
    queries = pl.format("q{}", pl.int_range(n_queries, eager=True))
    pl.select(_id=names, title=pl.lit(""), text=names).write_ndjson(beir / "corpus.jsonl")
    pl.select(_id=queries, text=queries).write_ndjson(beir / "queries.jsonl")
    positives = pl.format("d{}", pl.Series(chosen))
    pairs = pl.select(queries.alias("query-id"), positives.alias("corpus-id"), pl.lit(1).alias("score"))
    pairs.write_csv(beir / "qrels" / "train.tsv", separator="\t")


def _noisy(documents: np.memmap[tuple[int, ...], np.dtype[np.float16]], chosen: np.ndarray) -> Iterator[np.ndarray]:
    random = np.random.default_rng(_SEED)
    for begin in range(0, len(chosen), _BLOCK):
        vectors = documents[chosen[begin : begin + _BLOCK]].astype(np.float32)
        vectors += random.standard_normal(vectors.shape, dtype=np.float32) * np.float32(NOISE / vectors.shape[1] ** 0.5)
        yield (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def _mine(folder: Path, arguments: argparse.Namespace) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of the run."""
    watch = "import resource, subprocess, sys; c = subprocess.run(sys.argv[1:]).returncode; "
    watch += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(c)"
    teacher = "benchmarks.mining_memory:NumberedTeacher"
    options = (
        f"--teacher {teacher} --reranker none --index {arguments.index} --memory {arguments.memory} --fresh --quiet"
    )
    folders = ["--beir", str(folder / "beir"), "--out", str(folder / "run")]
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        command = [sys.executable, "-m", "datagen", "mine-negatives", *folders, "--cache", cache, *options.split()]
        environment = {**os.environ, FOLDER_VARIABLE: str(folder)}
        started = time.monotonic()
        measured = [sys.executable, "-c", watch, *command]
        done = subprocess.run(measured, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        return time.monotonic() - started, 1024 * int(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
