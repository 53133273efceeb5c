"""Negatives as sentence-transformers mines them, for a comparison: its own function, fed with known vectors."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from datagen.backends.protocols import Float32

Vectors = Mapping[str, Float32]


def mine_with_vectors(
    pairs: pl.DataFrame, queries: Vectors, documents: Vectors, n: int, relative_margin: float
) -> pl.DataFrame:
    """`sentence_transformers.util.mine_hard_negatives` with a relative margin, and its defaults otherwise.

    Ids stand for texts, so that no vector is computed again.

    Args:
        pairs: query_id and doc_id of known positives, those of a query together.
        queries: vector of each query by id.
        documents: vector of each document by id.
        n: negatives wanted for each query.
        relative_margin: how far below the positive's score a negative must be, as a share of it.

    Returns:
        query_id and negatives, a list of doc_id, best first; no row for a query without any.
    """
    data = Dataset.from_dict({"anchor": pairs["query_id"].to_list(), "positive": pairs["doc_id"].to_list()})
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        found = mine_hard_negatives(
            data,
            _KnownVectors(queries, documents),
            corpus=list(documents),
            relative_margin=relative_margin,
            num_negatives=n,
            output_format="triplet",
            verbose=False,
        )
    mined = pl.DataFrame({"query_id": list(found["anchor"]), "doc_id": list(found["negative"])})
    unique = mined.select(pl.all().cast(pl.String)).unique(maintain_order=True)  # a row for each positive of a query
    return unique.group_by("query_id", maintain_order=True).agg(negatives="doc_id")


class _KnownVectors(SentenceTransformer):
    """A model that knows the vector of each id."""

    def __init__(self, queries: Vectors, documents: Vectors) -> None:
        super().__init__(modules=[torch.nn.Identity()], device="cpu")
        self._queries, self._documents = queries, documents

    def encode_query(self, inputs: Sequence[str], **kwargs: object) -> Float32:  # type: ignore[override]
        return np.stack([self._queries[text] for text in inputs])

    def encode_document(self, inputs: Sequence[str], **kwargs: object) -> Float32:  # type: ignore[override]
        return np.stack([self._documents[text] for text in inputs])
