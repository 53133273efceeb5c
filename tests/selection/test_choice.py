"""Which candidates are taken: order, tiers, draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.selection.arrays import Bool, Int64
from datagen.selection.choice import (
    ChoiceRule,
    Eligible,
    LineUp,
    Tier,
    choose_first,
    draw_keys,
    join_lines,
    line_up,
    next_round,
)
from datagen.settings.choice import ChoiceMethod

NEEDS: dict[ChoiceMethod, tuple[int, ...]] = {"top": (3,), "random": (3,), "tiers": (2, 1, 1), "simans": (3,)}
METHODS: list[ChoiceMethod] = list(NEEDS)

each_method = pytest.mark.parametrize("method", METHODS)
sizes_of_queries = st.lists(st.integers(0, 14), min_size=1, max_size=12)


def _eligible(sizes: list[int], seed: int = 0) -> Eligible:
    """Queries with so many eligible candidates, documents numbered from 0 for each query, best first."""
    random = np.random.default_rng(seed)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    scores = random.integers(-64, 64, len(rows)) / 64
    scores = scores[np.lexsort((-scores, rows))]
    documents = np.arange(len(rows)).astype(np.uint64)
    anchors = np.where(np.arange(len(sizes)) % 5 == 4, np.nan, 1.0)
    keys = draw_keys(1, rows.astype(np.uint64), documents)
    return Eligible(rows, len(sizes), scores.astype(np.float32), anchors, keys)


def _rule(method: ChoiceMethod) -> ChoiceRule:
    return ChoiceRule(method, NEEDS[method])


def _taken(rule: ChoiceRule, eligible: Eligible) -> Int64:
    line = line_up(rule, eligible)
    return np.sort(line.places[choose_first(line)])


def _keep(eligible: Eligible, rows: list[int]) -> Eligible:
    """Some queries alone, numbered from 0, with the keys that they have."""
    flags = np.isin(eligible.rows, rows)
    renumbered = np.searchsorted(rows, eligible.rows[flags])
    return Eligible(renumbered, len(rows), eligible.scores[flags], eligible.anchors[rows], eligible.keys[flags])


def test_top_takes_the_first_of_each_query() -> None:
    assert _taken(_rule("top"), _eligible([5, 0, 2, 3])).tolist() == [0, 1, 2, 5, 6, 7, 8, 9]


def test_a_candidate_is_as_hard_as_its_place_among_those_of_its_query() -> None:
    line = line_up(_rule("top"), _eligible([7, 2]))
    assert [Tier(tier).label for tier in line.tiers] == [
        *("hard", "hard", "hard", "medium", "medium", "easy", "easy"),
        *("hard", "medium"),
    ]


@each_method
@given(sizes=sizes_of_queries)
def test_each_query_gets_as_many_as_it_has_up_to_what_it_needs(method: ChoiceMethod, sizes: list[int]) -> None:
    eligible = _eligible(sizes)
    counts = np.bincount(eligible.rows[_taken(_rule(method), eligible)], minlength=len(sizes))
    wanted = sum(NEEDS[method])
    if method == "tiers":  # what is missing among the easy ones is not made up for by harder ones
        assert (counts <= np.minimum(sizes, wanted)).all()
        assert (counts[np.array(sizes) >= 6] == wanted).all()
    else:
        assert counts.tolist() == np.minimum(sizes, wanted).tolist()


@each_method
@given(sizes=sizes_of_queries, data=st.data())
def test_a_query_gets_the_same_whatever_is_in_its_block(
    method: ChoiceMethod, sizes: list[int], data: st.DataObject
) -> None:
    eligible = _eligible(sizes)
    rows = sorted(data.draw(st.sets(st.integers(0, len(sizes) - 1), min_size=1)))
    whole, part = _taken(_rule(method), eligible), _keep(eligible, rows)
    kept = np.flatnonzero(np.isin(eligible.rows, rows))
    assert whole[np.isin(eligible.rows[whole], rows)].tolist() == kept[_taken(_rule(method), part)].tolist()


@each_method
@given(sizes=sizes_of_queries, exponent=st.integers(-3, 3), shift=st.integers(-8, 8))
def test_an_increasing_linear_change_of_the_scores_changes_nothing(
    method: ChoiceMethod, sizes: list[int], exponent: int, shift: int
) -> None:
    eligible, factor = _eligible(sizes), 2.0**exponent  # factors and scores that float32 holds exactly
    scores = (eligible.scores * np.float32(factor) + np.float32(shift)).astype(np.float32)
    moved = replace(eligible, scores=scores, anchors=factor * eligible.anchors + shift)
    assert _taken(_rule(method), moved).tolist() == _taken(_rule(method), eligible).tolist()


def test_tiers_take_the_first_hard_ones_and_draw_the_others() -> None:
    eligible = _eligible([30] * 200)
    line = line_up(ChoiceRule("tiers", (4, 2, 1)), eligible)
    chosen = line.take(np.flatnonzero(choose_first(line)))
    places = chosen.places % 30
    assert np.sort(places[chosen.tiers == Tier.HARD]).tolist() == sorted([0, 1, 2, 3] * 200)
    medium, easy = places[chosen.tiers == Tier.MEDIUM], places[chosen.tiers == Tier.EASY]
    assert (len(medium), set(medium)) == (400, set(range(10, 20)))
    assert (len(easy), set(easy)) == (200, set(range(20, 30)))


def test_what_a_tier_lacks_the_next_easier_one_gives() -> None:
    line = line_up(ChoiceRule("tiers", (4, 2, 1)), _eligible([9, 30]))
    chosen = line.take(np.flatnonzero(choose_first(line)))
    of_first = chosen.tiers[chosen.rows == 0]
    assert np.bincount(of_first).tolist() == [3, 3, 1]  # three hard ones there are, so three medium ones
    hard = line.tiers == Tier.HARD
    none_hard = line.take(np.flatnonzero(~hard))
    assert np.bincount(none_hard.tiers[choose_first(none_hard)]).tolist() == [0, 3 + 6, 3 + 1]


def test_a_list_that_the_easy_tier_does_not_fill_stays_short() -> None:
    line = line_up(ChoiceRule("tiers", (1, 1, 8)), _eligible([9]))
    assert np.bincount(line.tiers[choose_first(line)]).tolist() == [1, 1, 3]


def test_a_tier_that_is_not_wanted_only_fills_in() -> None:
    line = line_up(ChoiceRule("tiers", (2, 0, 1)), _eligible([9]))
    assert np.bincount(line.tiers[choose_first(line)]).tolist() == [2, 0, 1]
    assert line.tiers[:3].tolist() == [Tier.HARD, Tier.EASY, Tier.HARD]
    assert line.tiers[-3:].tolist() == [Tier.MEDIUM] * 3


def test_random_draws_from_the_pool_first() -> None:
    eligible = _eligible([40] * 300)
    taken = _taken(ChoiceRule("random", (3,), pool=4), eligible) % 40
    assert set(taken) == set(range(12))
    assert np.bincount(taken).min() > 50  # 75 expected
    line = line_up(ChoiceRule("random", (3,), pool=4), eligible)
    assert np.unique(line.places[line.rows == 0][12:24]).tolist() == list(range(12, 24))


def test_another_seed_draws_others() -> None:
    eligible = _eligible([40] * 10)
    documents = np.arange(400).astype(np.uint64)
    again = replace(eligible, keys=draw_keys(2, eligible.rows.astype(np.uint64), documents))
    assert _taken(_rule("random"), eligible).tolist() != _taken(_rule("random"), again).tolist()


def test_simans_draws_with_the_probabilities_of_the_paper() -> None:
    n = 40_000
    scores = np.array([0.5, 0.25, 0.0, -0.75], np.float32)
    keys = draw_keys(3, np.repeat(np.arange(n), 4).astype(np.uint64), np.tile(np.arange(4), n).astype(np.uint64))
    eligible = Eligible(np.repeat(np.arange(n), 4), n, np.tile(scores, n), np.full(n, 0.75), keys)
    line = line_up(ChoiceRule("simans", (1,), simans_a=0.7, simans_b=-1.0), eligible)
    drawn = np.bincount(line.places[choose_first(line)] % 4, minlength=4) / n
    weight = np.exp(-0.7 * ((scores - 0.75) / scores.astype(np.float64).std() + 1) ** 2)
    np.testing.assert_allclose(drawn, weight / weight.sum(), atol=0.01)


def test_simans_without_a_positive_draws_around_the_best_candidate() -> None:
    eligible = replace(_eligible([20] * 50), anchors=np.full(50, np.nan))
    best = eligible.scores.reshape(50, 20).max(axis=1).astype(np.float64)
    assert (
        _taken(_rule("simans"), eligible).tolist() == _taken(_rule("simans"), replace(eligible, anchors=best)).tolist()
    )


def test_simans_with_equal_scores_draws_evenly() -> None:
    eligible = replace(_eligible([12] * 500), scores=np.ones(6000, np.float32), anchors=np.ones(500))
    assert np.bincount(_taken(_rule("simans"), eligible) % 12).min() > 80  # 125 expected


def test_keys_are_uniform_and_follow_the_pair() -> None:
    numbers = np.arange(4096).astype(np.uint64)
    keys = draw_keys(0, numbers, numbers + np.uint64(5000))
    assert len(np.unique(keys)) == 4096
    bits = (keys[:, None] >> np.arange(64).astype(np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.04
    assert not np.isin(draw_keys(0, numbers + np.uint64(5000), numbers), keys).any()


def test_lines_are_joined_with_their_queries_numbered_on() -> None:
    first, second = (line_up(_rule("top"), _eligible(sizes)) for sizes in ([2, 0], [1, 3]))
    joined = join_lines([first, second])
    assert (joined.n_rows, joined.rows.tolist()) == (4, [0, 0, 2, 3, 3, 3])
    assert joined.tiers.tolist() == [*first.tiers, *second.tiers]


def test_next_round_asks_for_the_first_that_wait_of_queries_that_lack_some() -> None:
    line = line_up(ChoiceRule("top", (2,)), _eligible([4, 3, 0]))
    nothing = np.zeros(7, bool)
    assert np.flatnonzero(next_round(line, nothing, ~nothing, 2)).tolist() == [0, 1, 4, 5]
    clean, waiting = nothing.copy(), np.array([False, False, True, True, False, False, True])
    clean[[0, 4, 5]] = True
    assert np.flatnonzero(next_round(line, clean, waiting, 1)).tolist() == [2]
    assert np.flatnonzero(next_round(line, clean, waiting, 5, times=2)).tolist() == [2, 3, 6]


def test_next_round_asks_for_a_share_of_each_tier() -> None:
    line = line_up(ChoiceRule("tiers", (4, 2, 1)), _eligible([30]))
    nothing = np.zeros(30, bool)
    asked = next_round(line, nothing, ~nothing, 7)
    assert np.bincount(line.tiers[asked]).tolist() == [4, 2, 1]
    hard = line.tiers == Tier.HARD
    again = next_round(line, asked & ~hard, ~asked, 8)  # all hard ones asked for were doubted
    assert set(line.tiers[again]) == {Tier.HARD}
    exhausted = next_round(line, asked & ~hard, ~asked & ~hard, 8)  # no hard one is left: medium ones take their place
    assert np.bincount(line.tiers[exhausted]).tolist() == [0, 8]


@each_method
@given(sizes=sizes_of_queries, doubt=st.integers(0, 2**32), size=st.integers(1, 5), times=st.integers(1, 2))
def test_what_the_rounds_score_is_what_is_taken(
    method: ChoiceMethod, sizes: list[int], doubt: int, size: int, times: int
) -> None:
    line = line_up(_rule(method), _eligible(sizes))
    good = np.random.default_rng(doubt).random(len(line.rows)) < 0.6
    scored = _score_all_rounds(line, good, size, times)
    of_all, of_scored = (_chosen_places(line, flags) for flags in (good, good & scored))
    assert of_scored == of_all
    needed = sum(line.needs) * times
    clean = np.bincount(line.rows[scored & good], minlength=line.n_rows)
    assert (clean < needed + size).all()  # no round begins for a query that has what it needs


def _score_all_rounds(line: LineUp, good: Bool, size: int, times: int) -> Bool:
    scored = np.zeros(len(line.rows), bool)
    while (asked := next_round(line, scored & good, ~scored, size, times)).any():
        assert not (asked & scored).any()
        scored |= asked
    return scored


def _chosen_places(line: LineUp, allowed: Bool) -> list[int]:
    left = line.take(np.flatnonzero(allowed))
    return [int(place) for place in left.places[choose_first(left)]]
