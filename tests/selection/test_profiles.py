from __future__ import annotations

import numpy as np
import pytest

from datagen.selection.profiles import Profiles


def _scores(n: int = 3, size: int = 101) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=(n, size)).astype(np.float32)


def test_z_is_in_median_deviations_from_the_median() -> None:
    profile = Profiles.of(np.array([[1.0, 2.0, 3.0, 5.0, 9.0]], np.float32))
    assert (profile.middle[0], profile.spread[0]) == (3.0, 2.0)
    assert profile.z(np.array([0, 0]), np.array([7.0, 3.0])).tolist() == [2.0, 0.0]


def test_share_above_counts_the_sample() -> None:
    scores, rows = _scores(), np.array([0, 1, 2, 2])
    asked = np.array([0.5, -3.0, 9.0, float(scores[2, 7])], np.float32)
    profile = Profiles.of(scores)
    above = [(scores[row] > value).sum() for row, value in zip(rows, asked, strict=True)]
    share = profile.share_above(rows, profile.z(rows, asked))
    np.testing.assert_allclose(share, (np.array(above) + 0.5) / 102)


@pytest.mark.parametrize(("scale", "shift"), [(3.0, -5.0), (0.1, 2.0)])
def test_nothing_changes_with_scaled_and_shifted_scores(scale: float, shift: float) -> None:
    scores, rows, asked = _scores(), np.array([0, 1, 2]), np.array([0.5, 1.5, -2.0], np.float32)
    plain, moved = Profiles.of(scores), Profiles.of(scale * scores + np.float32(shift))
    z = plain.z(rows, asked)
    np.testing.assert_allclose(moved.z(rows, scale * asked + np.float32(shift)), z, atol=1e-4)
    np.testing.assert_allclose(moved.share_above(rows, z), plain.share_above(rows, z), atol=0.02)


def test_a_spread_of_zero_gives_way_to_the_mean_one_and_equal_scores_to_one() -> None:
    profile = Profiles.of(np.array([[1, 1, 1, 1, 6], [2, 2, 2, 2, 2]], np.float32))
    assert profile.spread.tolist() == [1.0, 1.0]
    assert profile.z(np.array([0, 1]), np.array([6.0, 2.0])).tolist() == [5.0, 0.0]
    far = Profiles.of(np.array([[0, 0, 0, 0, 1e-6]], np.float32))
    assert far.z(np.array([0]), np.array([1e6]))[0] == 400.0
