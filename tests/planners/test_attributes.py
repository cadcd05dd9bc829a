"""Ranges, rates of speed and given values, with projections that hold."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planners import AttributeRange, Fixed, LongitudinalAcceleration, feasible

pytestmark = pytest.mark.usefixtures("double")

lows = st.floats(-5, 5)
widths = st.floats(0.01, 3)
Y = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@given(lows, widths, st.floats(-9, 9))
def test_the_margin_of_a_range_is_the_distance_to_its_nearer_end(low, width, value):
    y = torch.full((1, 1, 2, 7), value)
    expected = min(value - low, low + width - value)
    assert AttributeRange("speed", low, low + width).margin(y).item() == pytest.approx(expected, abs=1e-9)
    assert AttributeRange(3, low, low + width).margin(y).item() == pytest.approx(expected, abs=1e-9)


@given(lows, widths, st.floats(-9, 9), st.integers(-2, 2))
def test_a_heading_is_judged_as_a_direction(low, width, value, turns):
    heading = AttributeRange("heading", low, low + width)
    y = torch.full((1, 1, 2, 7), value)
    within = ((value - low) % (2 * math.pi)) <= width
    margin = heading.margin(y).item()
    if abs(margin) > 1e-6:
        assert (margin > 0) == within
    assert heading.margin(y + 2 * math.pi * turns).item() == pytest.approx(margin, abs=1e-9)


@given(lows, widths, st.sampled_from(["speed", "heading", "length", "width"]))
def test_what_is_projected_holds_and_moves_to_the_nearer_end_alone(low, width, name):
    constraint = AttributeRange(name, low, low + width)
    y = Y.clone().requires_grad_()
    new = constraint.project(y)
    assert feasible([constraint], new).all() and feasible([constraint], new.float()).all()
    torch.testing.assert_close(constraint.project(new), new)
    moved = (new - y).abs()[..., constraint.channel]
    torch.testing.assert_close(moved, (-constraint.margins(y)).clamp(min=0), atol=1.1e-3 * width, rtol=0)
    assert (new != y).sum() == (moved > 0).sum()


def test_longitudinal_acceleration_is_that_of_the_speed_channel():
    y = torch.zeros(1, 1, 3, 7)
    y[..., 3] = torch.tensor([1.0, 2.0, 1.5])
    assert LongitudinalAcceleration(-4, 11, 0.1).margins(y)[0, 0].tolist() == pytest.approx([1, -1])
    for each, expected in ((0.1, -1), (0.2, 1.5)):
        period = torch.tensor(each).view(1, 1, 1)
        assert LongitudinalAcceleration(-4, 11, period).margin(y).item() == pytest.approx(expected)


@given(st.integers(0, 2**35 - 1), st.floats(0.01, 1))
def test_given_values_are_taken_and_the_rest_is_left(bits, tolerance):
    mask = torch.tensor([bits >> k & 1 for k in range(35)], dtype=torch.bool).view(5, 7)
    if not mask.any():
        return
    values = torch.where(mask, 3.0, torch.nan).double()
    fixed = Fixed(values, mask, tolerance)
    new = fixed.project(Y)
    assert (new[..., mask] == 3).all() and new[..., ~mask].equal(Y[..., ~mask])
    assert fixed.margin(new).tolist() == [[pytest.approx(tolerance)] * 3] * 2
    worst = (Y[..., mask] - 3).abs().amax(-1)
    torch.testing.assert_close(fixed.margin(Y), tolerance - worst)
    assert fixed.margins(Y).shape == (2, 3, int(mask.sum()))


def test_values_may_be_given_for_each_context_or_for_every_step():
    mask = torch.zeros(5, 7, dtype=torch.bool)
    mask[0, :2] = True
    values = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 5, 7)
    assert Fixed(values, mask, 0.1).project(Y)[..., 0, 0].tolist() == [[0] * 3, [1] * 3]
    always = Fixed(torch.full((7,), 2.0), torch.arange(7) == 3, 0.1)
    assert (always.project(Y)[..., 3] == 2).all() and always.margins(Y).shape == (2, 3, 5)


def test_given_directions_may_be_counted_otherwise():
    values, mask = torch.full((7,), 3.0), torch.arange(7) == 2
    y = torch.full((1, 1, 2, 7), 3.0 - 2 * math.pi)
    assert Fixed(values, mask, 0.1, angles=[2]).margin(y).item() == pytest.approx(0.1)
    assert Fixed(values, mask, 0.1).margin(y).item() < 0


@pytest.mark.parametrize(
    "constraint",
    [
        AttributeRange("speed", -0.2, 0.3),
        AttributeRange("heading", -0.2, 0.3),
        LongitudinalAcceleration(-1, 1, 0.5),
        Fixed(torch.zeros(5, 7), torch.ones(5, 7, dtype=torch.bool), 0.2, angles=[2]),
    ],
    ids=lambda c: c.name,
)
def test_the_gradient_of_margins_is_that_of_finite_differences(constraint):
    assert torch.autograd.gradcheck(constraint.margins, Y.clone().requires_grad_(), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttributeRange("speed", 2, 2), "low must be below high, both finite; got 2 and 2"),
        (lambda: AttributeRange("speed", 0, math.inf), "low must be below high, both finite; got 0 and inf"),
        (lambda: AttributeRange("sped", 1, 2), "an attribute is one of x, y, heading, speed, .*; got 'sped'"),
        (lambda: LongitudinalAcceleration(1, -1, 1), "low must be below high, both finite; got 1 and -1"),
        (lambda: LongitudinalAcceleration(-1, 1, 0), "limit and period must be positive and finite; got 1.0 and 0"),
        (
            lambda: LongitudinalAcceleration(-1, 1, 1).margins(Y[:, :, :1]),
            "a change of speed needs a path of 2 way-points or more; got 1",
        ),
        (lambda: Fixed(torch.zeros(7), torch.ones(7) > 0, 0), "tolerance must be positive and finite; got 0"),
        (lambda: Fixed(torch.zeros(7), torch.zeros(7) > 0, 1), "Fixed needs at least one value, and finite ones"),
        (lambda: Fixed(torch.full((7,), math.nan), torch.ones(7) > 0, 1), "Fixed needs at least one value, and fin"),
        (lambda: Fixed(torch.zeros(7), torch.ones(6) > 0, 1), r"mask must be bool and have the last axes of values"),
        (lambda: Fixed(torch.zeros(7), torch.ones(7), 1), "mask must be bool .* got torch.float64 of shape"),
        (
            lambda: Fixed(torch.zeros(4, 7), torch.ones(4, 7) > 0, 1).margins(Y),
            r"given for events that end in \(4, 7\); got events of shape \(5, 7\)",
        ),
    ],
)
def test_impossible_constraints_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
