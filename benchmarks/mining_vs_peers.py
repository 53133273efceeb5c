"""Mining end to end, datagen beside sentence-transformers: seconds, peak memory, agreement.

    python -m benchmarks.mining_vs_peers --data FOLDER [--queries N] [--peer float32 bfloat16]

Same teacher, same relative margin (0.05), 5 negatives, no reranker; FOLDER has the BEIR layout, each query shows one
positive. Each system runs in a process of its own with an empty cache, from files to files. datagen runs with its
defaults (bfloat16 where the processor has it); the peer as installed (float32) and at its best (bfloat16, FAISS).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.judged import JudgedSet, read_judged, write_hidden
from benchmarks.ours import read_negatives
from datagen.backends.models import find_model


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--queries", type=int, help="only the first N queries")
    parser.add_argument("--peer", nargs="*", default=["float32", "bfloat16"])
    arguments = parser.parse_args()
    judged = first_queries(read_judged(arguments.data), arguments.queries)
    print("| system | seconds | ratio | peak GiB | same negatives |\n| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        write_hidden(judged, base / "beir")
        ours = _measure(_our_command(base))
        mined = read_negatives(base / "run")
        print(f"| datagen | {ours['seconds']:.0f} | 1.0 | {ours['gib']:.2f} | |", flush=True)
        for dtype in arguments.peer:
            peer = _measure(_peer_command(base, dtype))
            theirs = json.loads((base / f"{dtype}.json").read_text())
            row = f"{peer['seconds']:.0f} | {peer['seconds'] / ours['seconds']:.1f} | {peer['gib']:.2f}"
            print(f"| sentence-transformers, {dtype} | {row} | {_agreement(mined, theirs):.1%} |", flush=True)


def first_queries(judged: JudgedSet, n: int | None) -> JudgedSet:
    """The set with its first n queries alone; all of them for None."""
    queries = dict(list(judged.queries.items())[:n])
    relevant = {query: found for query, found in judged.relevant.items() if query in queries}
    return JudgedSet(judged.name, judged.documents, queries, relevant, judged.corpus_lines)


def _our_command(base: Path) -> list[str]:
    options = "--reranker none --margin-policy relative --margin 0.05 --quiet".split()
    folders = ["--beir", str(base / "beir"), "--out", str(base / "run"), "--cache", str(base / "cache")]
    return [sys.executable, "-m", "datagen", "mine-negatives", *folders, *options]


def _peer_command(base: Path, dtype: str) -> list[str]:
    model = find_model("packaged:all-MiniLM-L6-v2")
    return [
        sys.executable,
        "-m",
        "benchmarks.peers",
        str(base / "beir"),
        str(base / f"{dtype}.json"),
        str(model),
        dtype,
    ]


def _measure(command: list[str]) -> dict[str, Any]:  # Any: two floats
    """Wall seconds and peak resident memory of a process."""
    watch = "import resource, subprocess, sys; c = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
    watch += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(c)"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", watch, *command], check=True, stdout=subprocess.PIPE, text=True)
    return {"seconds": time.monotonic() - started, "gib": int(done.stdout) / 2**20}


def _agreement(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> float:
    """Share of the peer's negatives that are ours too."""
    shared = sum(len(set(ours.get(query, ())) & set(found)) for query, found in theirs.items())
    return shared / max(1, sum(map(len, theirs.values())))


if __name__ == "__main__":
    main()
