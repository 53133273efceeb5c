"""What a judge's budget buys: wrong labels left, by questions a query, with a judge made of a set's own judgements.

    python -m benchmarks.judge_budget --data FOLDER [FOLDER …] [--questions 0 0.5 1 2 5] [--errors 0.1] [--cache DIR]

Each FOLDER has the BEIR layout. The judge knows the hidden positives and errs on a share of the candidates, drawn by a
hash: the figures are of how questions are spent, not of any language model. `found` is the share of the questions whose
candidate was a hidden positive; a question about a negative drawn at random finds one with the leak of the first line.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.judged import JudgedSet, measure_leak, read_judged, shown_positive, write_hidden
from benchmarks.ours import mine_with_datagen, read_negatives, set_vectors
from datagen import shards
from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.generation.slots import uniform
from datagen.settings.generate import GenerateConfig

_SET, _ERRORS = "DATAGEN_BENCHMARK_SET", "DATAGEN_BENCHMARK_ERRORS"


class Oracle:
    """Grades 3 what the set calls relevant, else 0; the other one on a share of the candidates."""

    name = "oracle"

    def __init__(self, settings: GenerateConfig) -> None:
        """Read the judgements of the set under way."""
        del settings
        self._relevant = read_judged(Path(os.environ[_SET])).relevant
        self._errors = float(os.environ[_ERRORS])

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The grade of the candidate that the request is named by."""
        query, document, _ = request.row_id.split("/")
        is_relevant = document in self._relevant.get(query, set())
        errs = uniform("oracle", query, document) < self._errors
        return LLMReply(request.row_id, json.dumps({"reason": "it is known", "grade": 3 * (is_relevant != errs)}))


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--questions", nargs="+", type=float, default=[0, 0.5, 1, 2, 5], help="for each query")
    parser.add_argument("--errors", type=float, default=0.1)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    print("| set | questions a query | found | coverage | leak | hardness | promoted, right |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for folder in arguments.data:
        os.environ |= {_SET: str(folder.resolve()), _ERRORS: str(arguments.errors)}
        _measure(read_judged(folder), arguments)


def _measure(judged: JudgedSet, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        beir, out = Path(name) / "beir", Path(name) / "run"
        write_hidden(judged, beir)
        n_queries = sum(bool(relevant) for relevant in judged.relevant.values())
        for each in arguments.questions:
            settings: dict[str, Any] = {"cache": arguments.cache or Path(name) / "cache"}  # Any: nested settings
            if each:
                judge = {"judges": ["benchmarks.judge_budget:Oracle"], "budget": round(each * n_queries)}
                settings["judge"] = judge
            config = mine_with_datagen(beir, out, settings)
            leak = measure_leak(judged, read_negatives(out), set_vectors(judged, config))
            found, promoted = _judged(judged, out) if each else ("", "")
            figures = f"{leak.coverage:.3f} | {leak.leak:.4f} | {leak.hardness:.2f}"
            print(f"| {judged.name} | {each:g} | {found} | {figures} | {promoted} |", flush=True)


def _judged(judged: JudgedSet, run: Path) -> tuple[str, str]:
    """The share of the questions about hidden positives; how many were promoted, and which share of them rightly."""
    hidden = [
        (query, document)
        for query, relevant in judged.relevant.items()
        for document in relevant - {shown_positive(query, relevant)}
    ]
    truth = pl.DataFrame(hidden, schema=["query_id", "doc_id"], orient="row")
    asked = shards.read(run / "judgements", ["query_id", "doc_id"])
    promoted = shards.scan(run / "candidates").filter(pl.col("reason") == "promoted").collect()
    pair = ["query_id", "doc_id"]
    found, right = (len(frame.join(truth, on=pair, how="semi")) for frame in (asked, promoted))
    return f"{found / len(asked):.3f}", f"{len(promoted)}, {right / max(1, len(promoted)):.2f}"


if __name__ == "__main__":
    main()
