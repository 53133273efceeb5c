"""The rule behind `--index auto`."""

from __future__ import annotations

import pytest

from datagen.backends.index_choice import AFFORDABLE, SMALL, choose_index


@pytest.mark.parametrize(
    ("n_documents", "n_queries", "installed", "wanted"),
    [
        (SMALL // 400, 1000, "faiss torch", "flat"),
        (SMALL // 400 + 1, 1000, "faiss torch", "blocked"),
        (10**6, AFFORDABLE // 400 // 10**6, "faiss torch", "blocked"),
        (10**6, AFFORDABLE // 400 // 10**6 + 1, "faiss torch", "ivf"),
        (1000, 10, "torch", "blocked"),
        (10**8, 10**8, "torch", "blocked"),
        (10**8, 10**8, "faiss", "flat"),
    ],
)
def test_sizes_decide_the_index(n_documents: int, n_queries: int, installed: str, wanted: str) -> None:
    has = installed.split()
    assert choose_index(n_documents, n_queries, 400, has_faiss="faiss" in has, has_torch="torch" in has) == wanted
