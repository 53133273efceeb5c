"""What `datagen tune` foretells beside what mining again gives, on judged sets; and how long a large ledger takes.

    python -m benchmarks.tuning --data FOLDER [FOLDER …] [--reranker none maxsim] [--cache DIR]
    python -m benchmarks.tuning --run RUN [--rows 1000000]

Each FOLDER has the BEIR layout; each query shows one of its positives, as in `benchmarks.leak`, and all judgements are
the labels. A line a row of the grid: foretold from the run with the default settings, and mined with those of the row.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.judged import read_judged, write_hidden
from benchmarks.ours import mine_with_datagen
from datagen import shards
from datagen.sources import load_labels
from datagen.storage import write_text
from datagen.tuning import tune

GRID: tuple[dict[str, Any], ...] = (  # Any: settings of `mine`
    {},
    {"margin": 0.0},
    {"margin": 0.25},
    {"margin": 0.75},
    {"margin": 1.0},
    {"margin_policy": "relative", "margin": 0.05},
    {"margin_policy": "absolute", "margin": 0.05},
    {"choice": {"method": "tiers"}},
)
_NUMBERS = ("full", "leak", "log2_rank")


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", type=Path, default=[])
    parser.add_argument("--reranker", nargs="+", default=["none", "maxsim"])
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.data:
        print("| set | reranker | row | unscored | short | all | leak | log2 rank |")
        print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for folder in arguments.data:
        for reranker in arguments.reranker:
            _compare(folder, reranker, arguments.cache)
    if arguments.run:
        _time(arguments.run, arguments.rows)


def _compare(folder: Path, reranker: str, cache: Path | None) -> None:
    labels = load_labels(str(folder))
    with tempfile.TemporaryDirectory() as name:
        beir, home = Path(name) / "beir", Path(name)
        write_hidden(read_judged(folder), beir)
        settings = {"cache": cache or home / "cache", "denoise": {"reranker": reranker}}
        mine_with_datagen(beir, home / "run", settings)
        for over in GRID:
            foretold = tune(home / "run", [over], labels).row(-1, named=True)
            mine_with_datagen(beir, home / "again", {**settings, "mine": over})
            mined = tune(home / "again", [], labels).row(0, named=True)
            row = f"{foretold['policy']} {foretold['margin']:g}, {foretold['choice']}"
            numbers = " | ".join(f"{foretold[key]:.3f} / {mined[key]:.3f}" for key in _NUMBERS)
            unscored = "-" if foretold["unscored"] is None else f"{foretold['unscored']:.2f}"
            print(f"| {folder.name} | {reranker} | {row} | {unscored} | {foretold['deeper']} | {numbers} |", flush=True)


def _time(run: Path, rows: int) -> None:
    """Seconds for the default grid over the ledger of a run, repeated under other ids until it has so many rows."""
    ledger, margins = shards.read(run / "candidates"), shards.read(run / "margins")
    with tempfile.TemporaryDirectory() as name:
        large, times = Path(name), range(-(-rows // len(ledger)))
        write_text(large / "run.json", (run / "run.json").read_text(encoding="utf-8"))
        for table, frame in (("candidates", ledger), ("margins", margins)):
            copies = (frame.with_columns(query_id=pl.col("query_id") + f"-{number}") for number in times)
            shards.write_parts(large / table, table, copies)
        shards.write_parts(large / "corpus", "corpus", [shards.read(run / "corpus")])
        for grid in (None, [{"choice": {"method": "tiers", "hub_cap": 100}}]):
            wall, processor = time.perf_counter(), time.process_time()
            found = tune(large, grid)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            size = len(ledger) * len(times)
            print(f"{size:,} candidates, {len(found)} rows: {wall:.1f} s, {processor:.1f} s of processor time")


if __name__ == "__main__":
    main()
