"""The peers, each called as its users call it, with the result in one shape: negatives of each query, best first."""

from __future__ import annotations

from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from benchmarks.judged import JudgedSet, shown_positive

Mined = dict[str, list[str]]


def mine_with_sentence_transformers(judged: JudgedSet, model: Path, relative_margin: float, dtype: str) -> Mined:
    """`sentence_transformers.util.mine_hard_negatives` at its default depth, 5 negatives, relative margin."""
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
        verbose=False,
    )
    return _by_id(judged, queries, found)


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
