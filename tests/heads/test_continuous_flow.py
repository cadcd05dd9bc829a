"""Laws of continuous flows: what they are trained by, and what their solvers tell."""

import copy
import functools
import math

import pytest
import torch
from torch import nn

from embodied_gen import draws
from embodied_gen.heads import FlowHead
from embodied_gen.heads.flows import Continuous
from embodied_gen.heads.ode import DormandPrince, Fixed
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import unit_event
from tests.heads.flow_families import CONTEXT, Shape, noise
from tests.heads.learning import fitted

pytestmark = pytest.mark.usefixtures("double")


def test_an_adaptive_continuous_flow_is_inverted_to_its_tolerance():
    shape = Shape(2, 2)
    layer = Continuous(shape.mlp(1), solver=DormandPrince(1e-9, 1e-9))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    x, c = torch.randn(5, 2, 2), torch.randn(5, CONTEXT)
    z, _ = layer.normalise(x, c)
    assert (z - x).abs().max() > 0.1
    torch.testing.assert_close(layer.generate(z, c), x, rtol=0, atol=1e-6)


def two_narrow_modes(rows, stream):
    """Points of one step with a deviation of 0.1 around either of two places."""
    like = torch.zeros(())
    side = draws.signs((rows, 1, 1), generator=stream, like=like) * torch.tensor([0.6, 0.4])
    return side + 0.1 * draws.normal((rows, 1, 2), generator=stream, like=like)


@functools.cache
def bent(roughness):
    """A continuous flow that has learned narrow modes in two steps."""
    torch.manual_seed(0)
    net = ResidualMLP(**Shape(1, 2).sizes, channels_out=2, width=32, depth=1)
    head = FlowHead(unit_event(2), [Continuous(net, training_solver=Fixed(2), roughness=roughness)])
    return fitted(head, lambda stream: two_narrow_modes(64, stream), rate=1e-2, steps=200, seed=1, context=CONTEXT)


def coarse(head):
    """The same flow, read by the steps that it learned in."""
    other = copy.deepcopy(head)
    other.layers[0].solver = other.layers[0].training_solver
    return other


@torch.no_grad()
def integral(head, reach, cells):
    axis = reach * ((torch.arange(cells) + 0.5) * 2 / cells - 1)
    x = torch.cartesian_prod(axis, axis).view(-1, 1, 2)
    return head.log_prob(x, torch.zeros(len(x), CONTEXT)).exp().sum().item() * (2 * reach / cells) ** 2


def test_a_trained_continuous_flow_integrates_to_one_and_is_undone_whatever_steps_it_learned_in():
    torch.set_default_dtype(torch.float32)
    head, c = bent(0.1), torch.zeros(300, CONTEXT)
    z = draws.normal((300, 1, 2), generator=draws.generator(3), like=c)
    torch.testing.assert_close(noise(head, head.push(z, c), c), z, rtol=0, atol=1e-4)
    assert integral(head, 1.2, 60) == pytest.approx(1, abs=1e-2)
    # The steps that it learned in are no measure of it: such a density is none.
    assert integral(coarse(head), 1.2, 60) > 1.03
    assert (noise(coarse(head), coarse(head).push(z, c), c) - z).abs().max() > 0.02


@torch.no_grad()
def surprises(head):
    """-log p of other points, nat for each number, to a tolerance and by the steps of training."""
    x, c = two_narrow_modes(500, draws.generator(7)), torch.zeros(500, CONTEXT)
    return [-flow.log_prob(x, c).mean().item() / 2 for flow in (head, coarse(head))]


def test_what_training_charges_keeps_ways_so_straight_that_few_steps_tell_the_density():
    torch.set_default_dtype(torch.float32)
    free, charged = surprises(bent(0.0)), surprises(bent(0.1))
    truth = math.log(0.1) + (1 + math.log(2 * math.pi) + math.log(2)) / 2
    assert 5 * abs(charged[0] - charged[1]) < free[0] - free[1]
    assert truth < charged[0] < truth + 0.12 < free[0]


class Decay(nn.Module):
    """The velocity -rate x."""

    def __init__(self, rate):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(rate))

    def forward(self, x, t, c):
        return -self.rate * x


def test_what_is_charged_is_the_integral_of_the_squares_of_speed_and_of_its_change():
    x, c, rate = torch.randn(5, 2, 2), torch.randn(5, CONTEXT), 0.7
    layers = [Continuous(Decay(rate), training_solver=Fixed(50), roughness=roughness) for roughness in (0.0, 0.2)]
    (z, free), (_, charged) = (layer.estimate(x, c, generator=draws.generator(0)) for layer in layers)
    torch.testing.assert_close(z, x * math.exp(-rate), rtol=1e-6, atol=0)
    torch.testing.assert_close(free, torch.full((5,), -4 * rate))
    speed = rate * x.square().flatten(1).sum(1) * (1 - math.exp(-2 * rate)) / 2
    torch.testing.assert_close(free - charged, 0.2 * (speed + 4 * rate**2), rtol=1e-6, atol=0)


def test_a_negative_roughness_is_refused():
    with pytest.raises(ValueError, match=r"roughness must be at least 0; got -0\.1"):
        Continuous(Shape(1, 2).mlp(1), roughness=-0.1)
