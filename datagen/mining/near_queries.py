"""Queries that ask the same in nearly the same words: what answers one must not be a negative of another.

Before mining. Which queries are compared is found by MinHash, what two say the same is told by their words as in
`generation.novelty`: in "What are the treatments for X?" the words of the template count little, those of X much.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap

import numpy as np
import polars as pl

from datagen.backends.protocols import Int64
from datagen.generation.novelty.band_index import hash_bands
from datagen.generation.novelty.likeness import WordWeights, make_grams, measure_likeness, split_terms
from datagen.generation.words import count_query_words, normalise
from datagen.selection.arrays import connect

MOST_JOINED = 32
"""Texts in one family; links between more have to be closer, so that no chain of small steps joins what differs."""
_SHORT_WORDS = 2
"""Queries of so few words are the same only where they are equal."""
_BANDS, _ROWS = 12, 8
_MOST_IN_BUCKET = 32
_CLOSEST = 0.99


@dataclass(frozen=True)
class QueryFamilies:
    """Which queries are asked as one."""

    family: Int64
    """Number of the family of each query, (n_queries,); that of queries which stand alone is theirs alone."""
    joined: int
    """Different texts that share a family with another."""
    largest: int
    """Different texts in the largest family."""


def join_near_queries(queries: pl.Series, groups: Int64, likeness: float | None) -> QueryFamilies:
    """The families of queries of equal or nearly equal text; what is near to one of a family belongs to it.

    Args:
        queries: their texts.
        groups: text group of each query, (n_queries,).
        likeness: share of weighted words in common, above 0 to 1, from which two texts are near; None joins only
            equal texts.
    """
    _, first, text = np.unique(groups, return_index=True, return_inverse=True)
    if likeness is None:
        return QueryFamilies(text, 0, 1)
    family = _join(queries.gather(first).to_list(), likeness)
    sizes = np.bincount(family, minlength=1)
    return QueryFamilies(family[text], int(sizes[sizes > 1].sum()), int(sizes.max()))


def _join(texts: list[str], likeness: float) -> Int64:
    left, right, like = _links(texts, likeness)
    while True:
        family = connect(left, right, len(texts))
        sizes = np.bincount(family, minlength=1)
        if sizes.max() <= MOST_JOINED or likeness >= _CLOSEST:
            return family
        likeness = (1 + likeness) / 2
        stays = (sizes[family[left]] <= MOST_JOINED) | (like >= likeness)
        left, right, like = left[stays], right[stays], like[stays]


def _links(texts: list[str], likeness: float) -> tuple[Int64, Int64, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Pairs of texts that are as like as that, and how like."""
    terms = [split_terms(normalise(text)) for text in texts]
    weights = WordWeights()
    for found in terms:
        weights.add(found)
    long = np.array([n for n, text in enumerate(texts) if count_query_words(normalise(text)) > _SHORT_WORDS], np.int64)
    left, right = _neighbours([terms[n] for n in long])
    left, right = long[left], long[right]
    pairs = ((terms[a], terms[b], weights) for a, b in zip(left.tolist(), right.tolist(), strict=True))
    like = np.fromiter(starmap(measure_likeness, pairs), np.float64, len(left))
    near = like >= likeness
    return left[near], right[near], like[near]


def _neighbours(terms: list[frozenset[str]]) -> tuple[Int64, Int64]:
    """Pairs that share a band, each once; in a band that many share each meets only those next to it."""
    if not terms:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    grams = [make_grams(sorted(found)) for found in terms]
    bands = np.stack(
        [hash_bands(" ".join(sorted(found)), gram, _BANDS, _ROWS) for found, gram in zip(terms, grams, strict=True)]
    )
    pairs = [np.empty((0, 2), np.int64)]
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        for step in range(1, min(_MOST_IN_BUCKET, len(order) - 1) + 1):
            same = band[order[:-step]] == band[order[step:]]
            if not same.any():
                break
            pairs.append(np.stack([order[:-step][same], order[step:][same]], axis=1))
    both = np.unique(np.concatenate(pairs), axis=0)
    return both[:, 0], both[:, 1]
