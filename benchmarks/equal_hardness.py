"""Wrong labels at equal hardness on sets that the margin has not seen: whole runs beside a relative margin.

    python -m benchmarks.equal_hardness --data FOLDER FOLDER … [--sparse FOLDER …] [--reranker none maxsim MODEL]
        [--margins 0.02 0.05 0.1] [--cache DIR]

Each FOLDER has the BEIR layout and queries with several positives. The coefficients of the margin are fitted on all
other sets (benchmarks/fit_margin.py). With these the set is mined as `datagen mine-negatives` does it, reranker and
all; each query shows one of its positives. A line for each reranker and margin: coverage, leak and hardness as in
benchmarks/leak.py; the leak of the relative margin (the rule of sentence-transformers, searched as deep as it needs)
that is as hard, and how many times that is ours. The means at the end are over sets. Where nothing leaked, half a wrong
label counts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fit_margin import fit, leak_at, replay_all, unused_config, write_model
from benchmarks.judged import JudgedSet, Leak, measure_leak, read_judged, write_hidden
from benchmarks.ours import mine_with_datagen, read_negatives, set_vectors
from benchmarks.replays import Replays

NEGATIVES = 5
"""Negatives of a query."""


@dataclass(frozen=True)
class Point:
    """One run beside the relative margin."""

    name: str
    reranker: str
    margin: float
    ours: Leak
    relative: float
    """Leak of the relative margin at the hardness of the run."""

    @property
    def times(self) -> float:
        """How many times as many of its negatives are wrong."""
        return self.relative / max(self.ours.leak, 0.5 / (NEGATIVES * self.ours.queries))


def main() -> None:
    """Fit, mine, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--sparse", nargs="*", type=Path, default=[])
    parser.add_argument("--reranker", nargs="+", default=["none", "maxsim"])
    parser.add_argument("--margins", nargs="+", type=float, default=[0.02, 0.05, 0.1])
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    arguments = parser.parse_args()
    config = unused_config(arguments.cache)
    sets, sparse = (replay_all(folders, config) for folders in (arguments.data, arguments.sparse))
    print("| set | reranker | margin | coverage | leak | hardness | relative, as hard | times |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    points = []
    for folder, left_out in zip(arguments.data, sets, strict=True):
        others = [each for each in sets if each is not left_out]
        for point in _mine(read_judged(folder), left_out, (others, sparse), arguments):
            print(_row(point), flush=True)
            points.append(point)
    for line in _means(points):
        print(line)


def _mine(
    judged: JudgedSet, left_out: Replays, others: tuple[list[Replays], list[Replays]], arguments: argparse.Namespace
) -> Iterator[Point]:
    first = left_out.take(left_out.first)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        write_model(fit(*others), {}, base / "margin.json")
        write_hidden(judged, base / "beir")
        for reranker in arguments.reranker:
            for margin in arguments.margins:
                mine = {"margin": margin, "margin_model": str(base / "margin.json")}
                settings = {"cache": arguments.cache, "mine": mine, "denoise": {"reranker": reranker}}
                config = mine_with_datagen(base / "beir", base / "run", settings)
                ours = measure_leak(judged, read_negatives(base / "run"), set_vectors(judged, config), NEGATIVES)
                relative = leak_at(first, first.nearness, [ours.hardness])[0]
                yield Point(judged.name, Path(reranker).name, margin, ours, relative)


def _row(point: Point) -> str:
    ours = f"{point.ours.coverage:.3f} | {point.ours.leak:.4f} | {point.ours.hardness:.2f}"
    first = f"{point.name} | {point.reranker} | {point.margin:g}"
    return f"| {first} | {ours} | {point.relative:.3f} | {point.times:.1f} |"


def _means(points: list[Point]) -> Iterator[str]:
    groups: dict[tuple[str, float], list[Point]] = defaultdict(list)
    for point in points:
        groups[point.reranker, point.margin].append(point)
    for (reranker, margin), found in groups.items():
        columns = [(p.ours.coverage, p.ours.leak, p.ours.hardness, p.relative, p.times) for p in found]
        coverage, leak, hardness, relative, times = np.mean(columns, axis=0)
        middle = float(np.exp(np.mean(np.log([p.times for p in found]))))
        ours = f"{coverage:.3f} | {leak:.4f} | {hardness:.2f}"
        yield f"| mean | {reranker} | {margin:g} | {ours} | {relative:.3f} | {times:.1f} (geometric {middle:.1f}) |"


if __name__ == "__main__":
    main()
