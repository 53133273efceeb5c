"""Promised and measured rates of wrong labels, on judged sets.

    python -m benchmarks.promise --data FOLDER [FOLDER …] [--promise 0.05] [--judged-share 0.3] [--splits 1]
                                 [--evidence labels] [--reranker maxsim] [--cache DIR]

Each FOLDER has the BEIR layout. Each query shows one of its positives. A share of the queries, drawn by a hash, is a
user's labels file (complete); the run is told to keep the promise, and on the queries that were not judged it is
counted how many negatives are hidden positives. One line a set and split.

With `--evidence reranker` there are no labels: the reranker stands in for them, and the negatives of all queries are
looked at. *certified* is then what the reranker sees. A second line tells of the same cut without the reranker after
it, which is what *estimate* and *interval* speak of.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.judged import JudgedSet, Leak, measure_leak, read_judged, write_hidden
from benchmarks.ours import mine_with_datagen, read_negatives, set_vectors

_HEAD = "| set | promise | certified | estimate | interval | measured | kept | covered | coverage | hardness | judged |"


@dataclass(frozen=True)
class Promised:
    """What a run promised, and what was measured."""

    name: str
    counts: dict[str, Any]  # Any: JSON counts
    leak: Leak

    @property
    def row(self) -> str:
        """One line of the table."""
        told, leak = self.counts, self.leak
        covered = told["low"] <= leak.leak <= told["high"]
        cells = [
            self.name,
            f"{told['promise']:.3f}",
            "yes" if told.get("seen", told["certified"]) else "no",
            f"{told['estimate']:.3f}",
            f"{told['low']:.3f} to {told['high']:.3f}",
            f"{leak.leak:.3f}",
            "yes" if leak.leak <= told["promise"] else "no",
            "yes" if covered else "no",
            f"{leak.coverage:.3f}",
            f"{leak.hardness:.2f}",
            str(told["queries_judged"]),
        ]
        return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--promise", type=float, default=0.05)
    parser.add_argument("--confidence", type=float, default=0.9)
    parser.add_argument("--judged-share", type=float, default=0.3)
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--evidence", choices=["labels", "reranker"], default="labels")
    parser.add_argument("--reranker", default="maxsim")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    print(f"{_HEAD}\n| --- | {'---: | ' * 10}")
    for folder in arguments.data:
        judged = read_judged(folder)
        for split in range(arguments.splits):
            measure = _measure if arguments.evidence == "labels" else _measure_fallback
            for found in measure(judged, split, arguments):
                print(found.row, flush=True)


def _measure_fallback(judged: JudgedSet, split: int, arguments: argparse.Namespace) -> Iterator[Promised]:
    """With the reranker as the evidence, once as it is, and once with its cut alone."""
    with tempfile.TemporaryDirectory() as name:
        beir, out = Path(name) / "beir", Path(name) / "run"
        write_hidden(judged, beir)
        promise = {"max_false_negatives": arguments.promise, "confidence": arguments.confidence, "evidence": "reranker"}
        shared = {"cache": arguments.cache or Path(name) / "cache", "seed": 42 + split}
        config = mine_with_datagen(
            beir, out, {**shared, "denoise": {"reranker": arguments.reranker}, "calibration": promise}
        )
        counts = _counts(out)
        vectors = set_vectors(judged, config)
        yield Promised(judged.name, counts, measure_leak(judged, read_negatives(out), vectors))
        mine_with_datagen(beir, out, {**shared, "denoise": {"reranker": "none"}, "mine": {"margin": counts["cut"]}})
        yield Promised(f"{judged.name}, cut alone", counts, measure_leak(judged, read_negatives(out), vectors))


def _counts(run: Path) -> dict[str, Any]:  # Any: JSON counts
    return dict(json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"]["calibrate"]["counts"])


def _measure(judged: JudgedSet, split: int, arguments: argparse.Namespace) -> Iterator[Promised]:
    chosen = {query for query in judged.relevant if _hash(split, query) < arguments.judged_share}
    others = {query: found for query, found in judged.relevant.items() if query not in chosen}
    rest = JudgedSet(judged.name, judged.documents, judged.queries, others, judged.corpus_lines)
    with tempfile.TemporaryDirectory() as name:
        beir, out = Path(name) / "beir", Path(name) / "run"
        write_hidden(judged, beir)
        labels = [
            f"{query}\t{document}\t1\n" for query in sorted(chosen) for document in sorted(judged.relevant[query])
        ]
        (beir / "labels.tsv").write_text("query-id\tcorpus-id\tlabel\n" + "".join(labels), encoding="utf-8")
        promise = {
            "max_false_negatives": arguments.promise,
            "confidence": arguments.confidence,
            "labels": str(beir / "labels.tsv"),
            "labels_complete": True,
        }
        cache = arguments.cache or Path(name) / "cache"
        settings = {"cache": cache, "denoise": {"reranker": arguments.reranker}, "calibration": promise}
        config = mine_with_datagen(beir, out, settings)
        leak = measure_leak(rest, read_negatives(out), set_vectors(judged, config))
        yield Promised(judged.name, _counts(out), leak)


def _hash(split: int, query: str) -> float:
    """A number from 0 to 1; split 0 is drawn as everyone draws it who hashes `judged` and the id."""
    parts = ["judged", query] if split == 0 else ["judged", str(split), query]
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:8], "big") / 2**64


if __name__ == "__main__":
    main()
