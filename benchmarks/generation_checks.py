"""What the checks after generation catch, and what they cost: planted faults among real queries with their positives.

    python -m benchmarks.generation_checks --data FOLDER [FOLDER …] [--foreign FOLDER] [--good 5000] [--each 100]

Each FOLDER has the BEIR layout and is in English; `--foreign` names one whose passages are in many languages, with ids
that begin with the language (`de-…`): pieces of them stand as queries where English is wanted. Two tables: how many of
each fault are caught, and how many good rows each check refuses. Then the processor time of the checks of one row.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.planted import NONE, Row, foreign_rows, plant_faults, read_rows
from datagen.generation.novelty.gate import Novelty
from datagen.generation.recipes.checks import Check
from datagen.settings.novelty import NoveltySettings

CHECKS = (
    Check(reason="copies_passage", field="query", longest_copy=0.8),
    Check(reason="copies_much", field="query", longest_copy=12),
    Check(reason="wrong_language", field="query", language_of="query_language"),
    Check(reason="label_leak", field="query", label_leak="label"),
    Check(reason="names_the_passage", field="query", passage_dependence=True),
    Check(reason="refusal", field="query", refusal=True),
    Check(reason="negative_is_positive", field="negative", unlike="positive"),
)
NEAR_DUPLICATE = "near_duplicate"
MEANT = {
    "copied passage": ("copies_passage", "copies_much"),
    "wrong language": ("wrong_language",),
    "English for another language": ("wrong_language",),
    "leaked label": ("label_leak",),
    "near-duplicate": (NEAR_DUPLICATE,),
    "refusal": ("refusal",),
    "refusal, unseen wording": ("refusal",),
    "refusal, held out": ("refusal",),
    "negative like the positive": ("negative_is_positive",),
}
"""The checks that a fault is counted for; another one that refuses the row is luck."""
SEED = 7


def main() -> None:
    """Measure and print two Markdown tables and a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--foreign", type=Path)
    parser.add_argument("--good", type=int, default=5000)
    parser.add_argument("--each", type=int, default=100)
    arguments = parser.parse_args()
    rng = random.Random(SEED)  # noqa: S311
    good = read_rows(arguments.data, arguments.good, rng)
    planted = plant_faults(good, arguments.each, rng)
    if arguments.foreign:
        planted["wrong language"] = foreign_rows(arguments.foreign, good, arguments.each, rng)
    repeated = _repeats(good, planted["near-duplicate"])
    _print_caught(planted, repeated)
    _print_lost(good, repeated)
    print(f"\nAll checks but novelty: {_milliseconds(good):.3f} ms of processor time a row")


def broken(row: Row) -> set[str]:
    """The reasons for which the checks refuse a row; empty for a good one."""
    return {
        check.reason
        for check in CHECKS
        if not check.passes(row.values[check.field], row.source, row.values, row.slots)
    }  # fmt: skip


def _repeats(good: Sequence[Row], planted: Sequence[Row]) -> set[int]:
    """The rows, by identity, that repeat an earlier one; the planted ones come last."""
    novelty, repeated = Novelty(NoveltySettings()), set()
    for row in (*good, *planted):
        near = novelty.check([row.query], [row.source.doc_id])[0]
        if near is None or row.fault == NONE:
            novelty.add(row.query, row.source.doc_id)
        if near is not None:
            repeated.add(id(row))
    return repeated


def _print_caught(planted: dict[str, list[Row]], repeated: set[int]) -> None:
    print("| fault | rows | caught | by the check meant for it |\n| --- | ---: | ---: | ---: |")
    for fault, rows in planted.items():
        found = [broken(row) | ({NEAR_DUPLICATE} if id(row) in repeated else set()) for row in rows]
        meant = sum(bool(reasons.intersection(MEANT[fault])) for reasons in found)
        print(f"| {fault} | {len(rows)} | {sum(map(bool, found))} | {meant} |")


def _print_lost(good: Sequence[Row], repeated: set[int]) -> None:
    found = [broken(row) for row in good]
    lost = Counter(reason for reasons in found for reason in reasons)
    lost[NEAR_DUPLICATE] = sum(id(row) in repeated for row in good)
    print(f"\n| check | of {len(good)} good rows lost |\n| --- | ---: |")
    for reason in (*(check.reason for check in CHECKS), NEAR_DUPLICATE):
        print(f"| {reason} | {lost[reason]} ({lost[reason] / len(good):.2%}) |")
    checks = sum(map(bool, found))
    together = sum(bool(reasons) or id(row) in repeated for row, reasons in zip(good, found, strict=True))
    print(f"| all without novelty | {checks} ({checks / len(good):.2%}) |")
    print(f"| all | {together} ({together / len(good):.2%}) |")


def _milliseconds(good: Sequence[Row]) -> float:
    started = time.process_time()
    for row in good:
        broken(row)
    return 1000 * (time.process_time() - started) / len(good)


if __name__ == "__main__":
    main()
