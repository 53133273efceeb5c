"""A small run folder that has been mined, made by hand: all that exports must cope with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from datagen import shards
from datagen.config import MINE_STAGES, build_config
from datagen.run_folder import RunFolder

INSTRUCTION = "Find the passage that answers."
QUERIES = 12
NEGATIVES = 4


def make_run(folder: Path, *, instructed: bool = False, unscored: bool = False) -> Path:
    """A run of 12 queries and 60 documents, in two parts.

    Query 0 has three positives, query 1 shares one of them, query 2 has two negatives, query 3 none; all others have
    one positive of their own and four negatives. Texts hold quotes, line ends, tabs and letters of many scripts.

    Args:
        folder: where it is made.
        instructed: give the even queries an instruction.
        unscored: take one negative's reranker score away.
    """
    config = build_config({"out": folder, "input": {"pairs": "mine.jsonl"}, "stages": MINE_STAGES})
    RunFolder(folder).write_summary(config.model_dump(mode="json"), MINE_STAGES)
    corpus = pl.DataFrame([_document(number) for number in range(60)], infer_schema_length=None)
    shards.write_parts(folder / "corpus", "corpus", corpus.iter_slices(25))
    rows = [_row(number, instructed=instructed, unscored=unscored) for number in range(QUERIES)]
    shards.write_parts(folder / "train", "train", (_train(rows[start : start + 7]) for start in (0, 7)))
    return folder


def text_of(number: int) -> str:
    """The title and the text of a document as they are trained on."""
    title = _document(number)["title"]
    return f"{title} {_document(number)['text']}" if title else str(_document(number)["text"])


def _document(number: int) -> dict[str, str | None]:
    text = f'Passage {number} says "naïve café" \\ 答案 {number}\nand, on a second line\twith a tab, 🙂 {number * 7}.'
    return {
        "doc_id": f"doc/{number}" if number % 3 else f"parent{number}#{number}",
        "title": f"Title {number}" if number % 2 else None,
        "text": text,
        "language": "en",
        "origin": "mine.jsonl",
        "meta": None,
    }


def _row(number: int, *, instructed: bool = False, unscored: bool = False) -> dict[str, Any]:  # Any: a row
    positives = {0: [0, 1, 2], 1: [2, 3]}.get(number, [number + 4])
    negatives = {2: [30, 31], 3: []}.get(number, [20 + number * 2, 21 + number * 2, 50, 51 + number % 5])
    return {
        "query_id": f"query-{number}",
        "query": f"Frage {number}: what is “{number}”?",
        "instruction": INSTRUCTION if instructed and number % 2 == 0 else None,
        "positives": [_scored(place, 0.9 - rank / 10) for rank, place in enumerate(positives)],
        "negatives": [
            _scored(place, 0.5 - rank / 10)
            | {"source": "dense", "rank": rank + 1, "p_false_negative": None, "tier": "hard"}
            | ({"reranker_score": None} if unscored and number == 5 and rank == 1 else {})
            for rank, place in enumerate(negatives)
        ],
    }


def _scored(number: int, score: float) -> dict[str, Any]:  # Any: a document of a list
    return {
        "doc_id": _document(number)["doc_id"],
        "text": text_of(number),
        "teacher_score": score,
        "reranker_score": 10 * score - 5,
    }


def _train(rows: list[dict[str, Any]]) -> pl.DataFrame:  # Any: rows
    score = {"teacher_score": pl.Float32, "reranker_score": pl.Float32}
    positive = pl.Struct({"doc_id": pl.String, "text": pl.String, **score})
    more = {"source": pl.String, "rank": pl.Int32, "p_false_negative": pl.Float32, "tier": pl.String}
    negative = pl.Struct({"doc_id": pl.String, "text": pl.String, **score, **more})
    texts = dict.fromkeys(("query_id", "query", "instruction"), pl.String)
    return pl.DataFrame(rows, schema={**texts, "positives": pl.List(positive), "negatives": pl.List(negative)})
