"""Queries divided into train, dev and test, so that what belongs together stays together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from datagen.errors import InputError
from datagen.selection.arrays import Int64


def assign_splits(groups: Int64, shares: Mapping[str, float], seed: int) -> Int64:
    """The place in `shares` of each query's split, int64 (n_queries,).

    Groups are taken in random order and cut where the shares end. Groups that are larger than half of the smallest
    share go to the largest split, where they do least harm to the shares.

    Args:
        groups: number of each query's group, from 0.
        shares: share of the queries of each split; together 1.
        seed: of the order.

    Raises:
        InputError: a split gets no query.
    """
    wanted = np.array(list(shares.values()))
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    large = sizes[order] > max(1, wanted.min() * len(groups) / 2)
    order = np.concatenate([order[large], order[~large]])
    first = int(wanted.argmax())
    turn = np.concatenate([[first], np.delete(np.arange(len(wanted)), first)])
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    place = np.searchsorted(np.cumsum(wanted[turn])[:-1] * len(groups), middle, side="right")
    of_group = np.empty(len(sizes), np.int64)
    of_group[order] = np.where(np.arange(len(order)) < large.sum(), first, turn[place])
    splits = of_group[groups]
    _check(np.bincount(splits, minlength=len(wanted)), sizes, shares)
    return splits


def _check(counts: Int64, sizes: Int64, shares: Mapping[str, float]) -> None:
    if (counts == 0).any():
        empty = list(shares)[int((counts == 0).argmax())]
        raise InputError(
            f"the split {empty!r} would be empty: {counts.sum():,} queries fall into {len(sizes):,} groups that share "
            f"positives, the largest of {sizes.max():,}; ask for fewer or larger splits"
        )
