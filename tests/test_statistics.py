"""Published examples, brute force, coverage and laws."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from embodied_gen.statistics import (
    Interval,
    block_resamples,
    bootstrap_mean,
    bootstrap_paired_difference,
    clopper_pearson,
    entropy,
    holm,
    mcnemar,
    minimum_detectable_effect,
    minimum_detectable_effect_paired,
    newcombe,
    newcombe_paired,
    student_mean,
    wilson,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


arms = st.integers(0, 200).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))
tables = st.tuples(*[st.integers(0, 60)] * 4)
counts = st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(any)


def near(interval, low, high, digits=4):
    return interval == pytest.approx((low, high), abs=0.51 * 10**-digits)


def test_wilson_is_its_closed_form():
    z = stats.norm.ppf(0.95)
    for k, n in [(0, 10), (3, 10), (10, 10), (81, 263)]:
        centre, half = k + z**2 / 2, z * math.sqrt(k * (n - k) / n + z**2 / 4)
        expected = (centre - half) / (n + z**2), (centre + half) / (n + z**2)
        assert wilson(k, n, confidence=0.9) == pytest.approx(expected, abs=1e-12)


def test_single_rates_equal_the_published_examples_of_newcombe():
    assert near(wilson(81, 263), 0.2553, 0.3662)
    assert near(wilson(15, 148), 0.0624, 0.1605)
    assert near(wilson(0, 20), 0.0000, 0.1611)
    assert near(wilson(1, 29), 0.0061, 0.1718)
    assert near(clopper_pearson(81, 263), 0.2527, 0.3676)
    assert near(clopper_pearson(15, 148), 0.0578, 0.1617)
    assert near(clopper_pearson(0, 20), 0.0000, 0.1684)
    assert near(clopper_pearson(1, 29), 0.0009, 0.1776)


def test_independent_difference_equals_the_published_examples_of_newcombe():
    assert near(newcombe(56, 70, 48, 80), 0.0524, 0.3339)
    assert near(newcombe(9, 10, 3, 10), 0.1705, 0.8090)
    assert near(newcombe(6, 7, 2, 7), 0.0582, 0.8062)
    assert near(newcombe(5, 56, 0, 29), -0.0381, 0.1926)
    assert near(newcombe(0, 10, 0, 20), -0.1611, 0.2775)
    assert near(newcombe(10, 10, 0, 20), 0.6791, 1.0000)


def test_paired_difference_equals_the_published_examples():
    assert near(newcombe_paired(59, 6, 16, 80), -0.1186, -0.0046)  # Cavo et al. 2012, in Fagerland et al. 2017
    assert near(newcombe_paired(1, 1, 7, 12), -0.507, -0.026, digits=3)  # Bentur et al. 2009, same book


def test_paired_difference_without_correlation_is_the_independent_one():
    assert newcombe_paired(10, 10, 10, 10) == pytest.approx(newcombe(20, 40, 20, 40))


@given(arms)
def test_rates_lie_in_their_intervals_and_exact_ones_are_wider_in_the_tails(arm):
    k, n = arm
    for interval in (wilson(k, n), clopper_pearson(k, n)):
        assert 0 <= interval.low <= (k / n if n else 0.5) <= interval.high <= 1
    assert wilson(k, n, 0.99).low <= wilson(k, n, 0.9).low


@given(arms)
def test_failures_mirror_successes(arm):
    k, n = arm
    for method in (wilson, clopper_pearson):
        low, high = method(n - k, n)
        assert method(k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(st.integers(1, 20), st.integers(1, 20))
def test_intervals_shrink_with_the_number_of_trials(k, rest):
    for method in (wilson, clopper_pearson):
        widths = [high - low for low, high in (method(k * m, (k + rest) * m) for m in (1, 4, 16))]
        assert widths[0] > widths[1] > widths[2]


def test_nothing_is_known_without_trials_and_the_ends_are_sharp():
    assert wilson(0, 0) == clopper_pearson(0, 0) == Interval(0, 1)
    assert newcombe(0, 0, 3, 4) == newcombe_paired(0, 0, 0, 0) == Interval(-1, 1)
    for method in (wilson, clopper_pearson):
        assert method(0, 30).low == 0 and method(30, 30).high == 1
        assert 0 < method(0, 30).high < 0.2


@given(arms, arms)
def test_swapping_independent_arms_mirrors_the_difference(a, b):
    interval, mirrored = newcombe(*a, *b), newcombe(*b, *a)
    assert interval == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-12)
    if a[1] and b[1]:
        assert -1 <= interval.low <= a[0] / a[1] - b[0] / b[1] + 1e-12
        assert interval.high >= a[0] / a[1] - b[0] / b[1] - 1e-12


@given(tables)
def test_swapping_paired_arms_mirrors_the_difference(table):
    both, only_a, only_b, neither = table
    interval, mirrored = newcombe_paired(*table), newcombe_paired(both, only_b, only_a, neither)
    assert interval == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-12)
    difference = (only_a - only_b) / max(sum(table), 1)
    assert interval.low - 1e-12 <= difference <= interval.high + 1e-12
    failures = newcombe_paired(neither, only_a, only_b, both)
    assert tuple(interval) == pytest.approx(tuple(failures), abs=1e-12)


def test_wilson_covers_close_to_its_confidence(rng):
    for rate in (0.1, 0.5, 0.83):
        drawn = rng.binomial(40, rate, size=4000)
        intervals = {k: wilson(int(k), 40) for k in np.unique(drawn)}
        cover = np.mean([intervals[k].low <= rate <= intervals[k].high for k in drawn])
        assert 0.92 < cover < 0.985


def test_paired_difference_covers_close_to_its_confidence(rng):
    shares = np.array([0.4, 0.25, 0.1, 0.25])
    drawn = rng.multinomial(60, shares, size=2000)
    intervals = [newcombe_paired(*map(int, table)) for table in drawn]
    assert 0.93 < np.mean([low <= 0.15 <= high for low, high in intervals]) < 0.98


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_equals_enumeration_of_all_signs(only_a, only_b):
    n = only_a + only_b
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    expected = sum(chance for chance in chances if chance <= chances[only_a] * (1 + 1e-9))
    assert mcnemar(only_a, only_b) == pytest.approx(expected)
    assert mcnemar(only_a, only_b) == pytest.approx(mcnemar(only_b, only_a))


def test_holm_equals_a_worked_example():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, alpha):
    adjusted, rejected = holm(p_values), set()
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(int(index))
    assert set(np.flatnonzero(adjusted <= alpha).tolist()) == rejected
    assert (adjusted >= np.array(p_values)).all()


def test_effect_of_independent_arms_equals_the_tables():
    assert minimum_detectable_effect(388, 0.5) == pytest.approx(0.1, abs=2e-4)  # 50 % against 60 %
    assert minimum_detectable_effect(388, 0.5, power=0.9) > 0.11


@pytest.mark.parametrize(("trials", "rate"), [(50, 0.3), (200, 0.7), (100, 0.05)])
def test_effect_of_independent_arms_is_found_with_the_promised_power(trials, rate, rng):
    effect = minimum_detectable_effect(trials, rate)
    a, b = rng.binomial(trials, [[rate + effect], [rate]], size=(2, 20_000)) / trials
    mean = (a + b) / 2
    z = (a - b) / np.sqrt(np.maximum(2 * mean * (1 - mean) / trials, 1e-12))
    assert np.mean(np.abs(z) > stats.norm.isf(0.025)) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("trials", "discordant"), [(100, 0.3), (400, 0.1)])
def test_effect_of_paired_arms_is_found_with_the_promised_power(trials, discordant, rng):
    effect = minimum_detectable_effect_paired(trials, discordant)
    up, down = (discordant + effect) / 2, (discordant - effect) / 2
    drawn = rng.multinomial(trials, [up, down, 1 - discordant], size=20_000)
    z = (drawn[:, 0] - drawn[:, 1]) / np.sqrt(np.maximum(drawn[:, 0] + drawn[:, 1], 1))
    assert np.mean(np.abs(z) > stats.norm.isf(0.025)) == pytest.approx(0.8, abs=0.05)


def test_detectable_effects_shrink_with_trials_and_are_infinite_where_nothing_can_be_found():
    for effect in (minimum_detectable_effect, minimum_detectable_effect_paired):
        effects = [effect(trials, 0.2) for trials in (50, 100, 400, 10_000)]
        assert all(larger > smaller > 0 for larger, smaller in pairwise(effects))
    assert minimum_detectable_effect(3, 0.9) == math.inf
    assert minimum_detectable_effect(100, 1.0) == math.inf
    assert minimum_detectable_effect_paired(10, 0.0) == math.inf
    assert minimum_detectable_effect(100, 0.0) > 0


def test_bootstrap_of_a_normal_mean_is_close_to_the_t_interval(rng):
    x = rng.normal(3, 2, size=200)
    low, high = bootstrap_mean(x, rng=rng)
    expected = stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))
    assert (low, high) == pytest.approx(expected, abs=0.05)
    assert low < x.mean() < high


def test_bootstrap_covers_close_to_its_confidence(rng):
    intervals = [bootstrap_mean(rng.exponential(size=60), rng=rng, resamples=400) for _ in range(300)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(0.94, abs=0.04)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_students_interval_covers_the_mean_of_few_normal_values_as_often_as_it_says(count, confidence, rng):
    intervals = [student_mean(x, confidence=confidence) for x in rng.normal(1.0, 2.0, size=(4000, count))]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(confidence, abs=0.02)


def test_students_interval_moves_and_grows_with_its_values():
    low, high = student_mean([1.0, 2.0, 4.0])
    assert student_mean([12.0, 14.0, 18.0]) == pytest.approx((10 + 2 * low, 10 + 2 * high))
    assert student_mean([3.0, 3.0]) == (3.0, 3.0)


def test_bootstrap_depends_on_its_generator_alone():
    x = np.arange(20.0)
    draws = [bootstrap_mean(x, rng=np.random.default_rng(seed), resamples=500) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("x", [[5.0, 5.0, 5.0], [0.1 + 0.2, 0.3], [0] * 30 + [1], [1e6, 1e6, 1e6 + 1e-9], [-1, 1]])
def test_bootstrap_of_nearly_constant_values_is_no_nan(x, rng):
    low, high = bootstrap_mean(x, rng=rng, resamples=500)
    assert min(x) <= low <= high <= max(x)
    assert low < high or max(x) - min(x) < 1e-8


def test_blocks_are_successive_values_of_a_sequence_and_all_are_drawn_equally_often(rng):
    lengths, resamples = (7, 20, 1), 4000
    drawn = block_resamples(lengths, rng=rng, share=0.25, resamples=resamples)
    assert drawn.shape == (resamples, 28) and (drawn[:, -1] == 27).all()
    for first, length, block in ((0, 7, 2), (7, 20, 5)):
        part = drawn[:, first : first + length] - first
        assert part.min() == 0 and part.max() == length - 1
        follows = (part[:, 1:] - part[:, :-1]) % length == 1
        inside = np.arange(1, length) % block != 0
        assert follows[:, inside].all() and not follows[:, ~inside].all(0).any()
        share = np.bincount(part.ravel(), minlength=length) / resamples
        np.testing.assert_allclose(share, 1, atol=0.15)


def covers(rho, share):
    """How often intervals of a mean hold it where each value is rho times the one before, and noise."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(400):
        x = np.concatenate([signal.lfilter([1], [1, -rho], rng.normal(size=n + 100))[100:] for n in (200, 400)])
        means = x[block_resamples((200, 400), rng=rng, share=share, resamples=400)].mean(1)
        low, high = np.quantile(means, [0.025, 0.975])
        found += low <= 0 <= high
    return found / 400


def test_blocks_keep_what_successive_values_share_as_single_values_do_not():
    alone = 1e-9  # blocks of one
    assert covers(0.5, 0.05) > 0.88 and covers(0.5, alone) < 0.8
    assert covers(0.8, 0.1) > 0.85 and covers(0.8, alone) < 0.6


def test_blocks_of_values_of_their_own_spread_as_the_ordinary_bootstrap_does(rng):
    x = rng.normal(size=400)
    low, high = np.quantile(x[block_resamples([400], rng=rng, share=0.02)].mean(1), [0.025, 0.975])
    assert high - low == pytest.approx(np.subtract(*bootstrap_mean(x, rng=rng)[::-1]), rel=0.15)


def test_paired_bootstrap_removes_what_the_pairs_share(rng):
    shared = rng.normal(0, 10, size=80)
    a, b = shared + rng.normal(0.5, 0.1, size=80), shared
    low, high = bootstrap_paired_difference(a, b, rng=rng)
    assert 0.4 < low < 0.5 < high < 0.6
    swapped = bootstrap_paired_difference(b, a, rng=rng)
    assert (-swapped.high, -swapped.low) == pytest.approx((low, high), abs=0.01)


def test_entropy_is_zero_for_one_mode_and_one_for_all(rng):
    assert entropy([7, 0, 0], rng=rng).value == 0
    assert entropy([5, 5, 5], rng=rng)[::2] == pytest.approx((1, 1))
    assert entropy([1, 1, 0, 0], rng=rng).value == pytest.approx(0.5)
    assert entropy([9, 1], rng=rng).value == pytest.approx(stats.entropy([0.9, 0.1], base=2))


@given(counts)
@settings(max_examples=50, deadline=None)
def test_entropy_lies_in_its_interval_and_forgets_the_order_of_modes(n):
    value, low, high = entropy(n, rng=np.random.default_rng(0), resamples=200)
    assert 0 <= low <= value <= high <= 1
    assert entropy(n[::-1], rng=np.random.default_rng(0), resamples=200).value == pytest.approx(value)


@pytest.mark.parametrize("shares", [[0.25] * 4, [0.5, 0.3, 0.15, 0.05], [0.9, 0.1], [0.5, 0.5]])
def test_entropy_covers_close_to_its_confidence(shares, rng):
    truth = stats.entropy(shares) / math.log(len(shares))
    estimates = [entropy(rng.multinomial(50, shares), rng=rng, resamples=300) for _ in range(200)]
    assert np.mean([low <= truth + 1e-12 and truth - 1e-12 <= high for _, low, high in estimates]) > 0.89


def test_collapse_to_one_mode_leaves_room_for_modes_never_seen(rng):
    few, many = entropy([5, 0, 0, 0], rng=rng), entropy([500, 0, 0, 0], rng=rng)
    assert few.low == many.low == 0
    assert 0 < many.high < 0.1 < few.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: wilson(5, 4), r"successes must be <= trials; got 5 of 4"),
        (lambda rng: wilson(-1, 4), r"successes must be a whole number >= 0; got -1"),
        (lambda rng: wilson(1.5, 4), r"successes must be a whole number"),
        (lambda rng: clopper_pearson(1, 4, confidence=1.0), r"confidence must lie strictly between"),
        (lambda rng: wilson(1, 4, confidence=float("nan")), r"confidence must lie strictly between"),
        (lambda rng: newcombe(1, 4, 5, 4), r"successes must be <= trials"),
        (lambda rng: newcombe_paired(1, 2, -3, 4), r"only_b must be a whole number"),
        (lambda rng: mcnemar(1, -1), r"only_b must be"),
        (lambda rng: holm([]), r"at least 1 entries"),
        (lambda rng: holm([0.1, float("nan")]), r"must be finite; 1 entries are not"),
        (lambda rng: holm([0.1, 1.1]), r"must lie in \[0, 1\]"),
        (lambda rng: student_mean([1.0]), r"values must be .* at least 2"),
        (
            lambda rng: student_mean([1.0, 2.0], confidence=1.0),
            r"confidence must lie strictly between 0 and 1",
        ),
        (lambda rng: bootstrap_mean([1.0], rng=rng), r"values must be .* at least 2"),
        (lambda rng: bootstrap_mean([1.0, math.inf], rng=rng), r"values must be finite"),
        (lambda rng: bootstrap_mean([[1.0, 2.0]], rng=rng), r"one-dimensional"),
        (lambda rng: bootstrap_mean([1.0, 2.0], rng=rng, resamples=0), r"resamples must be >= 1"),
        (lambda rng: bootstrap_paired_difference([1, 2, 3], [1, 2], rng=rng), r"3 and 2 values"),
        (lambda rng: block_resamples([], rng=rng), r"sequences of at least one value; got lengths \[\]"),
        (lambda rng: block_resamples([3, 0], rng=rng), r"sequences of at least one value; got lengths \[3, 0\]"),
        (lambda rng: block_resamples([3], rng=rng, share=1.0), r"share must lie strictly between 0 and 1; got 1"),
        (lambda rng: block_resamples([3], rng=rng, resamples=0), r"resamples must be >= 1"),
        (lambda rng: entropy([0, 0], rng=rng), r"not all 0"),
        (lambda rng: entropy([1, -1], rng=rng), r"whole numbers >= 0"),
        (lambda rng: entropy([1], rng=rng), r"at least 2"),
        (lambda rng: minimum_detectable_effect(0, 0.5), r"trials must be >= 1"),
        (lambda rng: minimum_detectable_effect(10, 1.5), r"base_rate must lie in"),
        (lambda rng: minimum_detectable_effect(10, 0.5, power=0.3), r"power above 0.5"),
        (lambda rng: minimum_detectable_effect_paired(10, -0.1), r"discordant_rate must lie in"),
    ],
)
def test_impossible_inputs_are_refused_with_a_sentence(call, message, rng):
    with pytest.raises(ValueError, match=message):
        call(rng)
