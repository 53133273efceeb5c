"""Document groups, and how they are divided."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import InputError
from datagen.formats.split import assign_splits

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


def test_shares_are_kept_where_groups_are_small() -> None:
    splits = assign_splits(np.arange(1000) // 2, SHARES, seed=1)
    assert np.bincount(splits).tolist() == [800, 100, 100]


def test_a_group_is_never_divided() -> None:
    groups = np.random.default_rng(1).integers(0, 60, 500)
    groups = np.unique(groups, return_inverse=True)[1]
    splits = assign_splits(groups, SHARES, seed=2)
    assert all(len(set(splits[groups == group])) == 1 for group in range(groups.max() + 1))


def test_large_groups_go_to_the_largest_split() -> None:
    groups = np.concatenate([np.zeros(300, np.int64), np.arange(1, 701)])
    for seed in range(5):
        splits = assign_splits(groups, {"test": 0.1, "train": 0.9}, seed)
        assert set(splits[:300]) == {1}
        assert (splits == 0).sum() == pytest.approx(100, abs=1)


def test_other_seeds_give_other_splits_and_the_same_seed_the_same() -> None:
    groups = np.arange(200)
    assert (assign_splits(groups, SHARES, 1) == assign_splits(groups, SHARES, 1)).all()
    assert (assign_splits(groups, SHARES, 1) != assign_splits(groups, SHARES, 2)).any()


def test_a_split_without_a_group_is_an_error() -> None:
    with pytest.raises(InputError, match=r"the split 'dev' would be empty: 10 queries fall into 1 groups"):
        assign_splits(np.zeros(10, np.int64), SHARES, 1)
