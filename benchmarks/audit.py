"""Planted faults in a training set: which of them an audit finds, and what a repair leaves, in every format.

    python -m benchmarks.audit --data FOLDER [FOLDER …] [--formats NAME …] [--reranker MODEL] [--max-p P] [--cache DIR]

Each FOLDER has the BEIR layout and queries with several positives. Half of its queries become rows of one positive and
five negatives from the ranks 11 to 60 of the teacher that are not judged relevant; the other half is the test set.
Planted are: other judged positives in the place of 5 % of the negatives, copies of the positive in the place of 2 %,
and 50 rows whose query is one of the test set, as it is or slightly changed. A line for each format and fault: planted
(what the format keeps of it), found, wrongly flagged (findings on what was not planted), left after the repair.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.judged import JudgedSet, read_judged, shown_positive, write_hidden
from benchmarks.ours import set_vectors
from datagen.audit.findings import (
    FALSE_NEGATIVE,
    NEAR_TEST_QUERY,
    NEAR_TEXT,
    POSITIVE_TEXT,
    SIBLING_POSITIVE,
    TEST_QUERY,
)
from datagen.auditing import AuditRequest, audit_dataset, repair_dataset
from datagen.config import build_config
from datagen.errors import ConfigError
from datagen.formats import FORMATS, ROWS, Dataset, read_dataset, write_dataset
from datagen.progress import SilentProgress
from datagen.settings.audit import AuditConfig

NEGATIVES, FIRST, LAST = 5, 10, 60
FALSE_SHARE, COPY_SHARE, CONTAMINATED = 0.05, 0.02, 50
COPIES = (POSITIVE_TEXT, NEAR_TEXT, SIBLING_POSITIVE)
KINDS: dict[str, tuple[str, ...]] = {
    "false negatives": (FALSE_NEGATIVE,),
    "copies of the positive": COPIES,
    "test queries, by words": (TEST_QUERY,),
    "test queries, by vectors": (NEAR_TEST_QUERY,),
}
"""What is planted, and the faults by which it is found."""

Key = tuple[str, str]


@dataclass
class Planted:
    """Rows with faults, and where these are: query and text of a negative, or the query alone."""

    rows: pl.DataFrame
    keys: dict[str, set[Key]] = field(default_factory=dict)


def main() -> None:
    """Plant, audit, repair, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--formats", nargs="+", help="default: all that can be written")
    parser.add_argument("--reranker", default="none")
    parser.add_argument("--max-p", type=float, default=AuditConfig().max_p)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    print("| set | format | fault | planted | found | wrongly flagged | left |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for folder in arguments.data:
        for line in _measure(read_judged(folder), arguments):
            print(f"| {folder.name} | {line} |", flush=True)


def _measure(judged: JudgedSet, arguments: argparse.Namespace) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        settings = {
            "cache": arguments.cache or work / "cache",
            "denoise": {"reranker": arguments.reranker},
            "audit": {"max_p": arguments.max_p, "leak_sample": 100},  # leaks are no part of this
            "repair": {"faults": [fault for faults in KINDS.values() for fault in faults]},
        }
        planted = _plant(judged, settings, work / "test")
        for form in arguments.formats or FORMATS:
            try:
                write_dataset(Dataset(planted.rows, form, work), work / form)
            except ConfigError:
                continue  # can only be read
            request = AuditRequest(work / form, form, settings, (work / "test",))
            for line in _judge(planted, request, work / f"{form}-clean"):
                yield f"{form} | {line}"


def _judge(planted: Planted, request: AuditRequest, out: Path) -> Iterator[str]:
    audited = audit_dataset(request, SilentProgress())
    repair_dataset(request, out, None, SilentProgress())
    before, after = audited.dataset.rows, read_dataset(out, request.format).rows
    flagged = _flagged(before, audited.audit.findings)
    for kind, faults in KINDS.items():
        mine = planted.keys[kind] & _present(before)
        every = set().union(*planted.keys.values())
        found = set().union(*(flagged.get(fault, set()) for fault in faults))
        wrong = {key for key in found if key not in every}
        left = mine & _present(after)
        yield f"{kind} | {len(mine):,} | {len(mine & found):,} | {len(wrong):,} | {len(left):,}"


def _present(rows: pl.DataFrame) -> set[Key]:
    """Query and text of each negative, and each query with an empty text."""
    negatives = rows.select("query", "negatives").explode("negatives").drop_nulls()
    texts = negatives.select("query", text=pl.col("negatives").struct.field("text"))
    return set(texts.rows()) | {(query, "") for query in rows["query"]}


def _flagged(rows: pl.DataFrame, findings: pl.DataFrame) -> dict[str, set[Key]]:
    flagged: dict[str, set[Key]] = {}
    for row, role, place, fault in findings.select("row", "role", "place", "fault").iter_rows():
        text = rows["negatives"][row][place]["text"] if role == "negative" else ""
        if role != "positive":
            flagged.setdefault(fault, set()).add((rows["query"][row], text))
    return flagged


def _plant(judged: JudgedSet, settings: dict[str, object], test: Path) -> Planted:
    rng = random.Random(7)  # noqa: S311  # a draw, no secret
    queries = sorted(query for query in judged.queries if judged.relevant.get(query))
    rng.shuffle(queries)
    tested = queries[: len(queries) // 2]
    write_hidden(replace(judged, queries={query: judged.queries[query] for query in tested}), test)
    kept = {name: value for name, value in settings.items() if name not in ("audit", "repair")}
    documents, vectors = set_vectors(judged, build_config({"out": test, "input": {"beir": str(test)}, **kept}))
    ids, place = list(judged.documents), {query: i for i, query in enumerate(judged.queries)}
    rows: list[tuple[str, str, list[str]]] = []
    for query in queries:
        nearest = [
            ids[i] for i in np.argsort(-(documents @ vectors[place[query]]))[: LAST + len(judged.relevant[query])]
        ]
        near = [judged.documents[d] for d in nearest if d not in judged.relevant[query]][FIRST:LAST]
        positive = shown_positive(query, judged.relevant[query])
        rows.append((query, positive, rng.sample(near, min(NEGATIVES, len(near)))))
    trained = rows[len(tested) :]
    planted = _plant_negatives(judged, trained, rng)
    chosen = rng.sample(rows[: len(tested)], min(CONTAMINATED, len(tested)))
    changed = [
        (_changed(judged.queries[query], i, rng), judged.documents[p], texts)
        for i, (query, p, texts) in enumerate(chosen)
    ]
    clean = [(judged.queries[query], judged.documents[p], texts) for query, p, texts in trained]
    planted["test queries, by words"] = planted["test queries, by vectors"] = {(query, "") for query, _, _ in changed}
    return Planted(_frame(clean + changed), planted)


def _plant_negatives(
    judged: JudgedSet, rows: list[tuple[str, str, list[str]]], rng: random.Random
) -> dict[str, set[Key]]:
    """Put false negatives and copies into the lists of the rows; what was put where."""
    places = [(row, place) for row in rows for place in range(len(row[2]))]
    several = [(row, place) for row, place in places if len(judged.relevant[row[0]]) > 1]
    false = rng.sample(several, min(len(several), round(FALSE_SHARE * len(places))))
    rest = [pair for pair in places if not any(pair[0] is row and pair[1] == place for row, place in false)]
    copies = rng.sample(rest, round(COPY_SHARE * len(places)))
    keys: dict[str, set[Key]] = {"false negatives": set(), "copies of the positive": set()}
    for (query, positive, texts), place in false:
        texts[place] = judged.documents[rng.choice(sorted(judged.relevant[query] - {positive}))]
        keys["false negatives"].add((judged.queries[query], texts[place]))
    for number, ((query, positive, texts), place) in enumerate(copies):
        texts[place] = _copied(judged.documents[positive], number, rng)
        keys["copies of the positive"].add((judged.queries[query], texts[place]))
    return keys


def _copied(text: str, number: int, rng: random.Random) -> str:
    """The text in other letters, or with one word of it left out."""
    words = text.split()
    if number % 2 and len(words) > 40:
        del words[rng.randrange(len(words))]
        return " ".join(words)
    return text.upper() + "!"


def _changed(query: str, number: int, rng: random.Random) -> str:
    """The query as it is, in other letters, after a phrase, with a slip, or with a word left out."""
    words = query.split()
    place = rng.randrange(len(words))
    changes: tuple[Callable[[], str], ...] = (
        lambda: query,
        lambda: query.upper() + " ?!",
        lambda: f"Please tell me: {query}",
        lambda: " ".join([*words[:place], words[place][1:] + "x", *words[place + 1 :]]),
        lambda: " ".join(words[:place] + words[place + 1 :]) or query,
    )
    return changes[number % len(changes)]()


def _frame(rows: list[tuple[str, str, list[str]]]) -> pl.DataFrame:
    ids = {text: f"d{i}" for i, text in enumerate(dict.fromkeys(t for _, p, texts in rows for t in (p, *texts)))}
    return pl.DataFrame(
        [
            {
                "query_id": f"q{i}",
                "query": query,
                "instruction": None,
                "positives": [{"doc_id": ids[positive], "text": positive, "score": 0.9}],
                "negatives": [{"doc_id": ids[text], "text": text, "score": 0.1} for text in texts],
            }
            for i, (query, positive, texts) in enumerate(rows)
        ],
        schema=ROWS,
    )


if __name__ == "__main__":
    main()
