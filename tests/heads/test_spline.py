"""Monotone splines against their own laws and against zuko's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.heads.flows import spline

pytestmark = pytest.mark.usefixtures("double")


def random_knots(seed, size, bins=6, bound=3.0, rows=50):
    raw = size * draws.normal((rows, 3 * bins - 1), generator=draws.generator(seed), like=torch.zeros(()))
    return spline.knots(raw, bound)


def places(seed, rows=50, width=4.0):
    return width * (2 * draws.uniform((rows,), generator=draws.generator(seed, 1), like=torch.zeros(())) - 1)


SEEDS = given(st.integers(0, 10_000), st.floats(0, 8), st.integers(2, 12))


@settings(max_examples=40)
@SEEDS
def test_values_slopes_and_inverses_agree(seed, size, bins):
    at, x = random_knots(seed, size, bins), places(seed).requires_grad_()
    y, log_slope = spline.forward(x, at)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope.exp(), slope)
    assert (slope > 0).all()
    torch.testing.assert_close(spline.inverse(y, at), x, rtol=1e-5, atol=1e-5)
    outside = x.abs() > 3
    assert torch.equal(y[outside], x[outside]) and (log_slope[outside] == 0).all()


@settings(max_examples=20)
@SEEDS
def test_values_and_slopes_are_those_asked_for_at_the_knots(seed, size, bins):
    at = random_knots(seed, size, bins)
    for k in range(bins + 1):
        y, log_slope = spline.forward(at.x[:, k], at)
        torch.testing.assert_close(y, at.y[:, k])
        torch.testing.assert_close(log_slope.exp(), at.slope[:, k])
        torch.testing.assert_close(spline.inverse(at.y[:, k], at), at.x[:, k])


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0, 2), st.integers(2, 8))
def test_the_slope_is_continuous(seed, size, bins):
    at = random_knots(seed, size, bins)
    below, above = (spline.forward(at.x[:, 1:-1].T + side, at_rows(at, bins - 1))[1] for side in (-1e-12, 1e-12))
    torch.testing.assert_close(below, above, rtol=0, atol=1e-3)


def at_rows(at, repeats):
    return spline.Knots(*(part.expand(repeats, *part.shape) for part in at))


def test_zeros_are_the_identity():
    x = places(1)
    y, log_slope = spline.forward(x, spline.knots(torch.zeros(50, 3 * 5 - 1), 3.0))
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros(50), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_splines_are_zukos(seed):
    transforms = pytest.importorskip("zuko.transforms")
    rows, bins = 200, 7
    widths, heights = torch.randn(rows, bins), torch.randn(rows, bins)
    theirs = transforms.MonotonicRQSTransform(widths, heights, torch.randn(rows, bins - 1), bound=3.0)
    ours = spline.Knots(theirs.horizontal, theirs.vertical, theirs.derivatives)
    x = places(seed, rows)
    y, log_slope = spline.forward(x, ours)
    expected, expected_slope = theirs.call_and_ladj(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(log_slope, expected_slope)
    torch.testing.assert_close(spline.inverse(y, ours), theirs.inv(expected))


def test_a_spline_far_beyond_its_knots_has_a_finite_gradient():
    raw = torch.zeros(3, 14, requires_grad=True)
    y, log_slope = spline.forward(torch.tensor([-1e6, 0.0, 1e6]), spline.knots(raw, 3.0))
    (gradient,) = torch.autograd.grad((y + log_slope).sum(), raw)
    assert gradient.isfinite().all()
