"""The peers, each called as its users call it, with the result in one shape: negatives of each query, best first."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from benchmarks.judged import JudgedSet, read_judged, shown_positive

Mined = dict[str, list[str]]


def mine_with_sentence_transformers(
    judged: JudgedSet, model: Path, relative_margin: float, dtype: str, *, tuned: bool = False
) -> Mined:
    """`sentence_transformers.util.mine_hard_negatives` at its default depth, 5 negatives, relative margin.

    `tuned` turns on FAISS and a larger batch.
    """
    loaded = SentenceTransformer(str(model), model_kwargs={"dtype": getattr(torch, dtype)})
    queries = [query for query in judged.queries if judged.relevant.get(query)]
    data = Dataset.from_dict(
        {
            "anchor": [judged.queries[query] for query in queries],
            "positive": [judged.documents[shown_positive(query, judged.relevant[query])] for query in queries],
        }
    )
    found = mine_hard_negatives(
        data,
        loaded,
        corpus=list(judged.documents.values()),
        relative_margin=relative_margin,
        num_negatives=5,
        output_format="triplet",
        use_faiss=tuned,
        batch_size=64 if tuned else 32,
        verbose=False,
    )
    return _by_id(judged, queries, found)


def main() -> None:
    """FOLDER OUT MODEL DTYPE: mine a BEIR folder and write the negatives of each query as JSON."""
    folder, out, model, dtype = sys.argv[1:]
    mined = mine_with_sentence_transformers(
        read_judged(Path(folder)), Path(model), 0.05, dtype, tuned=dtype != "float32"
    )
    Path(out).write_text(json.dumps(mined), encoding="utf-8")


def _by_id(judged: JudgedSet, queries: list[str], found: Dataset) -> Mined:
    documents: dict[str, str] = {}
    for document, text in judged.documents.items():
        documents.setdefault(text, document)
    by_text: dict[str, str] = {}
    for query in queries:
        by_text.setdefault(judged.queries[query], query)
    mined: Mined = {}
    for anchor, negative in zip(found["anchor"], found["negative"], strict=True):
        mined.setdefault(by_text[anchor], []).append(documents[negative])
    return mined


if __name__ == "__main__":
    main()
