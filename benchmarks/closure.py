"""What the closure takes: near-copies of positives among the negatives, with it and without, and what it costs.

    python -m benchmarks.closure --data FOLDER [FOLDER …] [--margin-policy P] [--teacher T] [--max-tokens N]
        [--cache DIR]

Each FOLDER has the BEIR layout; each query shows one of its positives. For each set two lines, without and with near
texts, near vectors and near queries. *copies*: negatives that share 0.6 of their three-word shingles or more with the
shown positive (counted exactly, in words as they stand). *siblings*: negatives that are the shown positive of a query
whose words are the same in another order or layout. *taken*: candidates set aside by the three. *wrongly*: share of
those that are not judged relevant. Coverage, leak and hardness as in `benchmarks.leak`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.judged import JudgedSet, measure_leak, read_judged, shown_positive, write_hidden
from benchmarks.ours import mine_with_datagen, read_negatives, set_vectors
from datagen import shards
from datagen.generation.words import words

OFF = {"near_text": None, "near_vector": None, "near_query": None}
REASONS = ("near_text", "near_vector", "sibling_positive")
COPY = 0.6


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--margin-policy", default="adaptive")
    parser.add_argument("--teacher", default="packaged:all-MiniLM-L6-v2")
    parser.add_argument("--max-tokens", type=int, help="cut longer texts for the teacher: large sets in less time")
    arguments = parser.parse_args()
    columns = "set", "closure", "copies", "siblings", "taken", "wrongly", "coverage", "leak", "hardness"
    print(f"| {' | '.join(columns)} |\n| --- | --- |{' ---: |' * (len(columns) - 2)}")
    for folder in arguments.data:
        judged = read_judged(folder)
        for name, closure in (("equal texts", OFF), ("full", {})):
            print(f"| {folder.name} | {name} | {_measure(judged, closure, arguments)} |", flush=True)


def _measure(judged: JudgedSet, closure: Mapping[str, object], arguments: argparse.Namespace) -> str:
    with tempfile.TemporaryDirectory() as name:
        beir, out = Path(name) / "beir", Path(name) / "run"
        write_hidden(judged, beir)
        settings: dict[str, Any] = {  # Any: nested settings
            "cache": arguments.cache or Path(name) / "cache",
            "teacher": {"model": arguments.teacher, "max_tokens": arguments.max_tokens},
            "denoise": {"reranker": "none"},
            "mine": {"closure": dict(closure), "margin_policy": arguments.margin_policy},
        }
        config = mine_with_datagen(beir, out, settings)
        negatives = read_negatives(out)
        taken = shards.read(out / "candidates").filter(pl.col("reason").is_in(REASONS))
        leak = measure_leak(judged, negatives, set_vectors(judged, config))
    wrong = [document not in judged.relevant[query] for query, document in taken.select("query_id", "doc_id").rows()]
    share = f"{sum(wrong) / len(wrong):.2f}" if wrong else "-"
    copies, siblings = _count_copies(judged, negatives), _count_siblings(judged, negatives)
    rates = f"{leak.coverage:.3f} | {leak.leak:.3f} | {leak.hardness:.2f}"
    return f"{copies} | {siblings} | {len(wrong)} | {share} | {rates}"


def _count_copies(judged: JudgedSet, negatives: Mapping[str, list[str]]) -> int:
    return sum(
        _jaccard(judged.documents[shown_positive(query, judged.relevant[query])], judged.documents[document]) >= COPY
        for query, found in negatives.items()
        for document in found
    )


def _count_siblings(judged: JudgedSet, negatives: Mapping[str, list[str]]) -> int:
    """Negatives that are the shown positive of a query of the same words."""
    answers: dict[tuple[str, ...], set[str]] = {}
    bags = {query: tuple(sorted(words(judged.queries[query]))) for query in negatives}
    for query, bag in bags.items():
        answers.setdefault(bag, set()).add(shown_positive(query, judged.relevant[query]))
    return sum(document in answers[bags[query]] for query, found in negatives.items() for document in found)


def _jaccard(first: str, second: str) -> float:
    sets = [{*zip(found, found[1:], found[2:], strict=False)} for found in (words(first), words(second))]
    union = sets[0] | sets[1]
    return len(sets[0] & sets[1]) / len(union) if union else 0.0


if __name__ == "__main__":
    main()
