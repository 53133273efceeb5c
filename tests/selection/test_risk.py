"""Bounds on a rate of wrong labels, and the cuts that keep a promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom, binomtest, hypergeom

from datagen.selection.risk import (
    Effects,
    Emitted,
    choose_cut,
    interval,
    last_certified,
    last_conformal,
    measure_effects,
    p_value,
    queries_needed,
)

INDEPENDENT = Effects(1.0, 1.0)


def _emitted(wrong: list[float], judged: float = 5.0, replays: int = 1) -> Emitted:
    queries = np.repeat(np.arange(len(wrong)), replays)
    return Emitted(queries, np.repeat(np.asarray(wrong, float), replays), np.full(len(queries), judged))


@pytest.mark.parametrize(("wrong", "n"), [(0, 40), (3, 60), (40, 40), (17, 100)])
def test_the_interval_is_that_of_clopper_and_pearson(wrong: int, n: int) -> None:
    exact = binomtest(wrong, n).proportion_ci(0.9, "exact")
    assert interval(wrong / n, n, None, 0.9) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("wrong", "n"), [(0, 40), (3, 60), (17, 100)])
def test_the_p_value_is_that_of_the_exact_binomial_test(wrong: int, n: int) -> None:
    assert p_value(wrong / n, n, None, 0.07) == pytest.approx(binomtest(wrong, n, 0.07, "less").pvalue)


def test_a_small_run_adds_its_own_chance_to_the_bound() -> None:
    # No wrong one among 45 judged: that 6 or more are among the 105 of the run is a draw without replacement.
    assert p_value(0.0, 45, 105, 0.05) == pytest.approx(hypergeom(150, 6, 45).pmf(0))
    assert p_value(0.02, 200, 100, 0.05) == pytest.approx(betabinom(100, 5, 196).sf(5))
    narrow, wide = interval(0.1, 200, None, 0.9), interval(0.1, 200, 50, 0.9)
    assert wide[0] < narrow[0] < 0.1 < narrow[1] < wide[1]


def test_a_large_run_is_as_good_as_any_number() -> None:
    assert interval(0.03, 500, 1e9, 0.9) == pytest.approx(interval(0.03, 500, None, 0.9), abs=2e-3)
    assert p_value(0.03, 500, 1e9, 0.05) == pytest.approx(p_value(0.03, 500, None, 0.05), abs=5e-3)


def test_nothing_judged_says_nothing() -> None:
    nothing = _emitted([0.0, 0.0], judged=0.0)
    assert (nothing.rate, nothing.size) == (0.0, 0.0)
    assert interval(nothing.rate, nothing.size, None, 0.9) == (0.0, 1.0)
    assert p_value(nothing.rate, nothing.size, None, 0.5) == 1.0


def test_replays_of_a_query_count_as_one() -> None:
    emitted = Emitted(np.array([0, 0, 0, 7]), np.array([3.0, 0, 0, 1]), np.array([5.0, 5, 5, 5]))
    assert emitted.rate == pytest.approx(0.2)
    assert emitted.size == pytest.approx(10)


def test_negatives_that_are_wrong_together_count_for_less() -> None:
    random = np.random.default_rng(0)
    apart = _emitted(random.binomial(5, 0.1, 2000).tolist())
    together = _emitted((5 * random.binomial(1, 0.1, 2000)).tolist())
    assert measure_effects([apart]).judged == pytest.approx(1.0, abs=0.1)
    assert measure_effects([together]).judged == pytest.approx(5.0, abs=0.3)
    assert measure_effects([together]).run == pytest.approx(5.0, abs=0.3)


def test_averages_over_replays_say_more_than_one_replay() -> None:
    random = np.random.default_rng(0)
    queries = np.repeat(np.arange(1000), 4)
    effects = measure_effects([Emitted(queries, random.binomial(5, 0.1, 4000).astype(float), np.full(4000, 5.0))])
    assert effects.judged == pytest.approx(0.4, abs=0.05)  # not below: positives of one query are no new queries
    assert effects.run == pytest.approx(1.0, abs=0.1)


def test_design_effects_of_few_wrong_labels_are_those_of_other_corpora() -> None:
    assert measure_effects([_emitted([0.0] * 50)]) == Effects(1.0, 2.0)
    few = measure_effects([_emitted([0.0] * 49 + [1.0]), _emitted([0.0] * 48 + [1.0, 1.0])])
    assert few.judged == pytest.approx(1.0, abs=0.1)
    assert few.run == pytest.approx(2.0, abs=0.2)
    assert measure_effects([_emitted([2.0])]) == Effects(1.0, 2.0)


def test_the_last_cut_is_the_one_before_the_first_failure() -> None:
    assert last_certified(np.array([0.01, 0.05, 0.2, 0.05]), 0.9) == 1
    assert last_certified(np.array([0.2, 0.01]), 0.9) is None
    assert last_certified(np.array([0.01, 0.05]), 0.9) == 1


def test_conformal_cut_follows_equation_four_with_monotone_losses() -> None:
    rates = np.zeros((99, 4))
    rates[:4, 1] = 1.0  # the sum of monotone losses is 0, 4, 4, 9: with the one that is added 1, 5, 5, 10 of 100
    rates[:9, 3] = 1.0
    assert last_conformal(rates, 0.05) == 2
    assert last_conformal(rates, 0.1) == 3
    assert last_conformal(rates, 0.01) == 0
    assert last_conformal(rates, 0.009) is None


def test_certified_cuts_break_their_promise_no_more_often_than_said() -> None:
    random = np.random.default_rng(3)
    true_rates = np.linspace(0.0, 0.15, 16)
    broken = 0
    for _ in range(200):
        cuts = [_emitted(random.binomial(5, rate, 100).tolist()) for rate in true_rates]
        verdict = choose_cut(cuts, INDEPENDENT, 0.05, 0.9, None)
        broken += verdict.certified and true_rates[verdict.cut] > 0.05
    assert broken <= 30  # 20 expected at most


def test_the_cut_is_the_loosest_that_is_certified() -> None:
    cuts = [_emitted([0.0] * 100), _emitted([1.0] * 5 + [0.0] * 95), _emitted([1.0] * 60 + [0.0] * 40)]
    verdict = choose_cut(cuts, INDEPENDENT, 0.05, 0.9, 2000)
    assert (verdict.cut, verdict.certified, verdict.queries_needed) == (1, True, None)
    assert choose_cut(cuts, INDEPENDENT, 0.15, 0.9, 2000).cut == 2
    assert choose_cut(cuts, INDEPENDENT, 0.13, 0.0, None).cut == 2
    assert choose_cut(cuts, INDEPENDENT, 0.05, 0.0, None).cut == 1


@pytest.mark.parametrize("confidence", [0.9, 0.0])
def test_too_few_judgements_give_the_strictest_cut_and_say_how_many_would_do(confidence: float) -> None:
    cuts = [_emitted([0.0] * 3), _emitted([1.0] * 3)]
    verdict = choose_cut(cuts, INDEPENDENT, 0.05, confidence, None)
    assert (verdict.cut, verdict.certified) == (0, False)
    assert verdict.queries_needed is not None
    enough = [_emitted([0.0] * verdict.queries_needed)]
    assert choose_cut(enough, INDEPENDENT, 0.05, confidence, None).certified
    assert not choose_cut(
        [_emitted([0.0] * (verdict.queries_needed - 1))], INDEPENDENT, 0.05, confidence, None
    ).certified


def test_no_number_of_judgements_keeps_a_promise_that_the_strictest_cut_breaks() -> None:
    assert queries_needed(0.2, 5.0, None, 0.05, 0.9) is None
    assert queries_needed(0.0, 5.0, None, 0.05, 0.9) == 9  # 0.95 ** 45 is the first below 0.1
