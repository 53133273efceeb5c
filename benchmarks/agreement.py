"""The same margin, the same negatives? datagen against sentence-transformers, both with `relative` 0.05 in float32.

    python -m benchmarks.agreement --data FOLDER [FOLDER …] [--cache DIR]

Every negative is put into one of these: `same`; `deeper` (datagen searched deeper for a query that the peer left
short); `closure` (the peer's negative says the same as the query, a positive or a better negative); `near tie` (the two
scores differ by less than 1e-5); `other` (none of these: a defect).
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import polars as pl

from benchmarks.judged import JudgedSet, read_judged, write_hidden
from benchmarks.ours import mine_with_datagen, read_negatives
from benchmarks.peers import Mined, mine_with_sentence_transformers
from datagen import shards
from datagen.backends.models import find_model

KINDS = ("same", "deeper", "closure", "near tie", "other")
CLOSURE = (
    "known_positive",
    "query_text",
    "positive_text",
    "sibling_positive",
    "near_text",
    "near_vector",
    "repeated_text",
)
TIE = 1e-5


def main() -> None:
    """Compare and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    print("| set | " + " | ".join(KINDS) + " |\n| --- |" + " ---: |" * len(KINDS))
    for folder in arguments.data:
        counts = _compare(read_judged(folder), arguments.cache)
        print(f"| {folder.name} | " + " | ".join(f"{counts[kind]:,}" for kind in KINDS) + " |", flush=True)


def _compare(judged: JudgedSet, cache: Path | None) -> Counter[str]:
    with tempfile.TemporaryDirectory() as name:
        beir, out = Path(name) / "beir", Path(name) / "run"
        write_hidden(judged, beir)
        settings = {
            "cache": cache or Path(name) / "cache",
            "teacher": {"dtype": "float32"},
            "mine": {"margin_policy": "relative", "margin": 0.05},
            "denoise": {"reranker": "none"},
        }
        mine_with_datagen(beir, out, settings)
        theirs = mine_with_sentence_transformers(judged, find_model("packaged:all-MiniLM-L6-v2"), 0.05, "float32")
        return _classify(read_negatives(out), theirs, shards.read(out / "candidates"))


def _classify(ours: Mined, theirs: Mined, ledger: pl.DataFrame) -> Counter[str]:
    rows = ledger.select("query_id", "doc_id", "reason", "teacher_score").iter_rows()
    known = {(query, document): (reason, score) for query, document, reason, score in rows}
    counts: Counter[str] = Counter()
    for query, mined in ours.items():
        peer = theirs.get(query, [])
        counts["same"] += len(set(mined) & set(peer))
        extra = [document for document in mined if document not in peer]
        missing = [document for document in peer if document not in mined]
        for document in missing:
            reason, score = known.get((query, document), ("unknown", float("nan")))
            nearest = min((abs(score - known[query, other][1]) for other in mined), default=float("inf"))
            counts["closure" if reason in CLOSURE else "near tie" if nearest < TIE else "other"] += 1
        counts["deeper"] += max(0, len(extra) - len(missing))
    return counts


if __name__ == "__main__":
    main()
