"""How fast a run is exported in each format, and with how much memory.

    python benchmarks/export.py --rows 1000000 --work /tmp/export-benchmark

makes a run of so many queries, each with a positive and seven negatives of 56 words (some 330 characters, as passages
of MS MARCO have), and exports it once in each format in a process of its own. Rows are queries of the run; memory is
the most that the process held.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from datagen import shards
from datagen.config import MINE_STAGES, build_config
from datagen.formats import FORMATS
from datagen.run_folder import RunFolder
from datagen.selection.arrays import Int64

NEGATIVES, WORDS, VOCABULARY, SLICE = 7, 56, 50_000, 50_000
MIB = 2**20


def main() -> None:
    """Make the run, export it in each format, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="queries of the run")
    parser.add_argument("--documents", type=int, default=200_000, help="passages of its corpus")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the run and the exports")
    parser.add_argument("--format", nargs="*", default=[name for name, form in FORMATS.items() if form.tables])
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="further options of `datagen export`")
    args = parser.parse_args()
    run = args.work / f"run-{args.rows}"
    if not (run / "run.json").exists():
        # In a process of its own: what this one holds would count as memory of the exports that it starts.
        maker = multiprocessing.get_context("spawn").Process(target=make_run, args=(run, args.rows, args.documents))
        maker.start()
        maker.join()
    size = sum(path.stat().st_size for path in (run / "train").glob("*"))
    print(f"{args.rows:,} queries, train/ of {size / MIB:,.0f} MiB")
    print(f"{'format':22} {'seconds':>8} {'CPU s':>8} {'rows/s':>9} {'peak MiB':>9} {'out MiB':>8}")
    for name in args.format:
        print(measure(run, name, args.rows, args.work / "out", args.options), flush=True)


def measure(run: Path, name: str, rows: int, out: Path, options: list[str]) -> str:
    """A line of figures for one format."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "datagen", "export", str(run), "--format", name, "--out", str(out), "--quiet"]
    start = time.perf_counter()
    child = subprocess.Popen([*command, *options])
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = status
    if status:
        return f"{name:22} failed"
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    processor = usage.ru_utime + usage.ru_stime
    figures = f"{seconds:8.1f} {processor:8.1f} {rows / seconds:9,.0f} {usage.ru_maxrss / 1024:9,.0f}"
    return f"{name:22} {figures} {written / MIB:8,.0f}"


def make_run(run: Path, rows: int, documents: int) -> None:
    """A run as mining leaves it, of words drawn at random."""
    random = np.random.default_rng(7)
    letters = np.array(list("etaoinshrdlcumwfgypbvk"))
    words = pl.Series(["".join(random.choice(letters, random.integers(2, 9))) for _ in range(VOCABULARY)])
    ids = [f"doc-{number}" for number in range(documents)]
    corpus = pl.DataFrame({"doc_id": ids, "text": _texts(documents, words, random)})
    whole = corpus.with_columns(origin=pl.lit("made"))
    shards.write_parts(run / "corpus", "corpus", whole.iter_slices(100_000))
    shards.write_parts(run / "train", "train", _training_rows(rows, corpus, words, random))
    config = build_config({"out": run, "input": {"pairs": "made.jsonl"}, "stages": MINE_STAGES})
    RunFolder(run).write_summary(config.model_dump(mode="json"), MINE_STAGES)


def _texts(number: int, words: pl.Series, random: np.random.Generator, length: int = WORDS) -> pl.Series:
    """Texts of so many words, common ones more often, as in language."""
    drawn = (len(words) * random.random(number * length) ** 3).astype(np.int64)
    return words.gather(drawn).reshape((number, length)).cast(pl.List(pl.String)).list.join(" ")


def _training_rows(
    rows: int, corpus: pl.DataFrame, words: pl.Series, random: np.random.Generator
) -> Iterator[pl.DataFrame]:
    for start in range(0, rows, SLICE):
        size = min(SLICE, rows - start)
        ids = pl.Series([f"query-{number}" for number in range(start, start + size)])
        queries = pl.DataFrame({"query_id": ids, "query": _texts(size, words, random, 10)})
        positives = _lists(corpus, random.integers(0, len(corpus), (size, 1)), random)
        negatives = _lists(corpus, random.integers(0, len(corpus), (size, NEGATIVES)), random)
        yield queries.with_columns(positives=positives, negatives=negatives)


def _lists(corpus: pl.DataFrame, places: Int64, random: np.random.Generator) -> pl.Series:
    flat = corpus[places.ravel()].with_columns(
        source=pl.lit("dense"),
        rank=pl.lit(1, pl.Int32),
        teacher_score=pl.Series(random.random(places.size, np.float32)),
        reranker_score=pl.Series(random.random(places.size, np.float32)),
        p_false_negative=pl.lit(0.01, pl.Float32),
        tier=pl.lit("hard"),
    )
    owner = np.repeat(np.arange(len(places)), places.shape[1])
    return flat.group_by(pl.Series(owner), maintain_order=True).agg(pl.struct(flat.columns)).to_series(1)


if __name__ == "__main__":
    main()
