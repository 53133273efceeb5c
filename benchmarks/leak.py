"""Wrong labels among mined negatives: datagen beside sentence-transformers on judged sets.

    python -m benchmarks.leak --data FOLDER [FOLDER …] [--reranker maxsim] [--sources SPEC …] [--no-peer] [--cache DIR]

Each FOLDER has the BEIR layout. For each, one line a system: coverage (share of queries with 5 negatives), share
without any, leak (share of negatives that are hidden positives), hardness (mean log2 rank, smaller is harder).
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

from benchmarks.judged import JudgedSet, Leak, measure_leak, read_judged, write_hidden
from benchmarks.ours import mine_with_datagen, read_negatives, set_vectors
from benchmarks.peers import mine_with_sentence_transformers
from datagen.backends.models import find_model
from datagen.commands.options import read_sources

TEACHER = "packaged:all-MiniLM-L6-v2"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--reranker", nargs="+", default=["none", "maxsim"])
    parser.add_argument("--sources", nargs="+", default=["dense"], help="such as dense dense,bm25 dense,bm25=0.5")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    print("| set | system | coverage | without | leak | hardness |\n| --- | --- | ---: | ---: | ---: | ---: |")
    for folder in arguments.data:
        for system, leak in _measure(read_judged(folder), arguments).items():
            print(_row(folder.name, system, leak), flush=True)


def _measure(judged: JudgedSet, arguments: argparse.Namespace) -> dict[str, Leak]:
    results: dict[str, Leak] = {}
    with tempfile.TemporaryDirectory() as name:
        beir, out = Path(name) / "beir", Path(name) / "run"
        write_hidden(judged, beir)
        for sources, reranker in itertools.product(arguments.sources, arguments.reranker):
            settings = {"cache": arguments.cache or Path(name) / "cache", "denoise": {"reranker": reranker}}
            config = mine_with_datagen(beir, out, {**settings, "mine": {"sources": read_sources(sources)}})
            vectors = set_vectors(judged, config)
            system = f"datagen, adaptive, {_short(reranker)}" + (f", {sources}" if sources != "dense" else "")
            results[system] = measure_leak(judged, read_negatives(out), vectors)
        if not arguments.no_peer:
            mined = mine_with_sentence_transformers(judged, find_model(TEACHER), 0.05, "float32")
            results["sentence-transformers, relative 0.05"] = measure_leak(judged, mined, vectors)
    return results


def _short(reranker: str) -> str:
    return {"none": "no reranker"}.get(reranker, Path(reranker).name)


def _row(name: str, system: str, leak: Leak) -> str:
    return f"| {name} | {system} | {leak.coverage:.3f} | {leak.without:.3f} | {leak.leak:.3f} | {leak.hardness:.2f} |"


if __name__ == "__main__":
    main()
