"""Which index `auto` stands for: a stated rule, from sizes alone, so that a run that goes on finds what it had."""

from __future__ import annotations

AFFORDABLE = 10**15
"""Products of two numbers that exact search may make: half an hour on two cores with AMX, three hours without."""
SMALL = 10**7
"""Numbers in all document vectors up to which FAISS is faster, as it need not score anything twice."""
KINDS = ("auto", "flat", "blocked", "ivf", "hnsw")


def choose_index(n_documents: int, n_queries: int, dim: int, *, has_faiss: bool, has_torch: bool) -> str:
    """`flat`, `blocked` or `ivf`.

    1. `ivf` where exact search would take more than `AFFORDABLE` products (queries x documents x dimension).
    2. `flat` where all document vectors hold at most `SMALL` numbers (40 MB as float32).
    3. `blocked` otherwise.

    What is not installed is not chosen: without FAISS it is always `blocked`, without torch always `flat`.
    """
    if not has_faiss:
        return "blocked"
    if not has_torch:
        return "flat"
    if n_queries * n_documents * dim > AFFORDABLE:
        return "ivf"
    return "flat" if n_documents * dim <= SMALL else "blocked"
