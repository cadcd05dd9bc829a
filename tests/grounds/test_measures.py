"""Distances of clouds and coverages, against closed forms and brute force."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linear_sum_assignment

from embodied_gen import draws
from embodied_gen.grounds.measures import LEVELS, apart, calibration_error, coverage, sliced_w2, slices


def cloud(seed, *shape):
    return draws.normal((*shape, 2), generator=draws.generator(seed), like=torch.zeros((), dtype=torch.float64))


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-3, 3))
def test_a_shift_by_d_costs_d_over_the_square_root_of_two(seed, x, y):
    a = cloud(seed, 20)
    assert float(sliced_w2(a, a + a.new_tensor([x, y]))) == pytest.approx(math.hypot(x, y) / math.sqrt(2), abs=1e-6)


@given(st.integers(0, 1000), st.integers(0, 19))
def test_the_order_of_points_does_not_matter_and_the_distance_is_symmetric(seed, roll):
    a, b = cloud(seed, 20), cloud(seed + 1, 20)
    assert sliced_w2(a, a.roll(roll, 0)) == pytest.approx(0, abs=1e-9)
    assert float(sliced_w2(a.roll(roll, 0), b)) == pytest.approx(float(sliced_w2(b, a)))


def test_it_is_the_mean_of_one_dimensional_optimal_transports():
    a, b = cloud(0, 12), cloud(1, 12)
    cost = 0.0
    for angle in np.arange(100) * np.pi / 100:
        axis = torch.tensor([np.cos(angle), np.sin(angle)])
        table = ((a @ axis)[:, None] - (b @ axis)[None]).square()
        rows, columns = linear_sum_assignment(table.numpy())
        cost += float(table[rows, columns].mean()) / 100
    assert float(sliced_w2(a, b)) == pytest.approx(math.sqrt(cost))


def test_many_pairs_at_once_are_those_one_by_one():
    a, b = cloud(0, 3, 4, 10), cloud(1, 3, 4, 10)
    together = sliced_w2(a, b)
    assert together.shape == (3, 4)
    assert float(together[1, 2]) == pytest.approx(float(sliced_w2(a[1, 2], b[1, 2])))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape \(..., n, 2\); got \(3, 2\) and \(4, 2\). Draw as many"):
        sliced_w2(cloud(0, 3), cloud(1, 4))


def test_right_samples_cover_as_often_as_they_should_and_narrow_ones_less():
    samples, truth = cloud(0, 1000, 999), cloud(1, 1000)
    right = coverage(samples, truth)
    for share, level in zip(right.tolist(), LEVELS, strict=True):
        low, high = stats.binom.interval(1 - 1e-6, 2000, level)
        assert low / 2000 < share < high / 2000
    narrow = coverage(samples / 2, truth)
    expected = [2 * stats.norm.cdf(stats.norm.ppf((1 + q) / 2) / 2) - 1 for q in LEVELS]
    assert narrow.tolist() == pytest.approx(expected, abs=0.04)
    assert calibration_error(right) < 0.02 < calibration_error(narrow)


def test_few_samples_of_the_right_density_cover_as_often_as_they_should():
    """Of 39 samples the quantiles are order statistics, so that the mean over many contexts is the level itself."""
    shares = coverage(cloud(2, 20_000, 39), cloud(3, 20_000))
    for share, level in zip(shares.tolist(), LEVELS, strict=True):
        assert share == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 40_000))
    assert calibration_error(shares) < 0.006


def test_a_cloud_that_is_met_often_is_sorted_once():
    a, b = cloud(0, 2, 12), cloud(1, 2, 12)
    assert torch.equal(apart(slices(a), slices(b)), sliced_w2(a, b))


def test_a_point_estimate_covers_nothing():
    samples = torch.zeros(10, 5, 3, 2)
    assert coverage(samples, torch.ones(10, 3, 2)).tolist() == [0, 0, 0]
    assert calibration_error(torch.zeros(3)) == pytest.approx(sum(LEVELS) / 3)
