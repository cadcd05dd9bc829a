"""Methods of peers do what their papers say: nothing at strength zero, less violation with more, no rare success."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.heads import Guide
from embodied_gen.heads.comparisons import BestOf, NoisyMean, Projected, ThroughNetwork
from embodied_gen.heads.samplers import Ancestral
from tests.heads.test_particles import HALF, head_of, inside, outside

pytestmark = pytest.mark.usefixtures("double")


def project(y):
    centre = y.new_tensor([3.575, 0.0])
    away = y - centre
    length = away.norm(dim=-1, keepdim=True)
    return centre + away * (length.clamp(max=0.24) / length)


def samples(guidance, guide, rows=500, steps=50, seed=0):
    head = head_of(guidance, steps=steps)
    return HALF * head.sample(torch.zeros(rows, 1), 1, generator=draws.generator(seed), guide=guide).reshape(rows, 2)


def violation(y, constraint):
    assert y.isfinite().all()
    return (constraint(y) < 0).double().mean().item()


@pytest.mark.parametrize("method", [ThroughNetwork(0.0), NoisyMean(0.0), Projected()])
def test_without_strength_each_is_the_ancestral_sampler(method):
    head = head_of(method, steps=50)
    head.sampler = Ancestral()
    free = HALF * head.sample(torch.zeros(500, 1), 1, generator=draws.generator(0)).reshape(500, 2)
    torch.testing.assert_close(samples(method, Guide()), free)


@pytest.mark.parametrize("make", [ThroughNetwork, NoisyMean])
def test_strength_lowers_violation(make):
    rates = [violation(samples(make(strength), Guide(margins=outside)), outside) for strength in (0.0, 0.01, 0.1)]
    assert rates[0] > 0.15 and rates[0] > rates[1] > rates[2]


def test_projected_samples_are_feasible_and_pile_up_at_the_boundary():
    y = samples(Projected(), Guide(project=project))
    assert inside(y).min() > -1e-9
    assert (inside(y) < 0.02).double().mean() > 0.35  # a sixth of the exact conditional lies there


def test_the_best_of_many_is_feasible_where_one_of_them_is():
    assert violation(samples(BestOf(16), Guide(margins=outside)), outside) == 0
    rare = violation(samples(BestOf(16), Guide(margins=inside)), inside)
    assert rare == pytest.approx((1 - 0.0094) ** 16, abs=0.06)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ThroughNetwork(-1), "strength must be at least 0; got -1"),
        (lambda: BestOf(0), "count must be at least 1; got 0"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
