"""The scale of a cost follows from the share of free samples that it leaves effective."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.heads import Guide, scale_for
from tests.heads.analytic import normal
from tests.heads.test_particles import head_of

pytestmark = pytest.mark.usefixtures("double")

DEVIATION = 0.4


def head():
    return head_of(None, data=normal(0.1, DEVIATION), half=2.0, steps=30)


def scale(guide, contexts=2, n=8192, **arguments):
    return scale_for(head(), torch.zeros(contexts, 1), guide, n=n, generator=draws.generator(1), **arguments)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_for_a_normal_and_a_linear_cost_it_is_the_closed_form(share):
    # E[exp(-s u)]^2 / E[exp(-2 s u)] = exp(-(s d)^2) for normal u of deviation d; physical units are twice the model's.
    slope = 3.0
    found = scale(Guide(cost=lambda y: slope * y[..., 0, 0]), share=share)
    assert found == pytest.approx(math.sqrt(-math.log(share)) / (slope * 2 * DEVIATION), rel=0.1)


@given(st.floats(-3, 3), st.floats(0.05, 0.9), st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_it_is_the_inverse_of_the_costs_unit_and_ignores_its_origin(exponent, share, origin):
    unit = 10.0**exponent
    cost = lambda y: (y[..., 0, 0] - 0.3).square()  # noqa: E731
    one = scale(Guide(cost=cost), contexts=1, n=500, share=share)
    other = scale(Guide(cost=lambda y: unit * (cost(y) + origin), scale=7.0), contexts=1, n=500, share=share)
    assert other * unit == pytest.approx(one, rel=1e-4)


def test_smaller_shares_need_larger_scales_and_bring_samples_lower():
    guide = Guide(cost=lambda y: y[..., 0, 0])
    scales = [scale(guide, n=2000, share=share) for share in (0.8, 0.4, 0.1)]
    assert scales == sorted(scales)
    costs = []
    for found in scales:
        wanted = dataclasses.replace(guide, scale=found)
        y = head().sample(torch.zeros(50, 1), 4, generator=draws.generator(2), guide=wanted)
        costs.append(wanted.cost(2 * y).mean().item())
    assert costs == sorted(costs, reverse=True)


def test_the_share_is_that_of_the_free_samples():
    guide = Guide(cost=lambda y: y[..., 0, 0].abs())
    found = scale(guide, contexts=3, n=400, share=0.3)
    y = 2 * head().sample(torch.zeros(3, 1), 400, generator=draws.generator(1))
    weight = (-found * guide.cost(y)).exp()
    share = weight.sum(1).square() / weight.square().sum(1) / 400
    assert share.mean().item() == pytest.approx(0.3, rel=1e-4)


@pytest.mark.parametrize(
    ("guide", "share", "message"),
    [
        (Guide(margins=lambda y: y[..., 0]), 0.1, "a scale needs a cost; got a guide without one. Constraints need no"),
        (Guide(cost=lambda y: y[..., 0, 0]), 1.0, r"share must lie between 1 / n = 0.01 and 1; got 1.0"),
        (Guide(cost=lambda y: y[..., 0, 0]), 0.01, r"share must lie between 1 / n = 0.01 and 1; got 0.01"),
        (Guide(cost=lambda y: 0 * y[..., 0, 0]), 0.1, "no scale leaves a share of 0.1 effective: costs of too many"),
        (Guide(cost=lambda y: (y[..., 0, 0] > 0).to(y)), 0.1, "Give a larger share, or a cost that tells samples"),
        (Guide(cost=lambda y: y[..., 0, 0] / 0), 0.1, r"or are not finite \(deviation nan\)"),
    ],
)
def test_what_has_no_scale_is_told(guide, share, message):
    with pytest.raises(ValueError, match=message):
        scale(guide, n=100, share=share)
