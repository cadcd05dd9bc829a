"""Samples under guidance come near the goal, stay feasible, and are exact where the truth is known."""

import itertools
import math

import pytest
import torch
from scipy import stats

from embodied_gen import draws
from embodied_gen.heads import DenoisingHead, Guide
from embodied_gen.heads.analytic import Exact
from embodied_gen.heads.parametrisation import V
from embodied_gen.heads.samplers import DDIM, Ancestral, DPMSolver, Heun
from embodied_gen.heads.walk import Steered
from tests.heads.analytic import SCHEDULES, normal, unit_event

pytestmark = pytest.mark.usefixtures("double")


def guided(schedule, sampler, scale, project=None, steps=5):
    schedule = SCHEDULES[schedule]()
    head = DenoisingHead(
        unit_event(1),
        Exact(normal(-0.3, 0.3), schedule, V()),
        schedule=schedule,
        parametrisation=V(),
        sampler=sampler,
        steps=steps,
        guidance=Steered(),
    )
    guide = Guide(cost=lambda y: (y - 0.5).square().flatten(2).sum(2) / 2, scale=scale, project=project)
    return head.sample(torch.zeros(1, 1), 500, generator=draws.generator(3), guide=guide).flatten()


EVERY = pytest.mark.parametrize(
    ("schedule", "sampler"),
    list(itertools.product(SCHEDULES, [DDIM(), Ancestral(), DPMSolver(), Heun()])),
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)


@EVERY
def test_more_guidance_brings_samples_nearer_to_the_goal_and_never_breaks_them(schedule, sampler):
    scales = (0.0, 1.0, 30.0, 1e6)
    distance = []
    for scale in scales:
        y = guided(schedule, sampler, scale)
        assert y.isfinite().all() and y.abs().max() <= 1.5
        distance.append((y - 0.5).abs().mean().item())
    assert distance[0] == pytest.approx(0.8, abs=0.05)
    assert all(strong < weak for weak, strong in itertools.pairwise(distance[:3]))
    assert distance[3] < distance[1]


@EVERY
def test_samples_under_a_projection_are_feasible(schedule, sampler):
    y = guided(schedule, sampler, 10.0, project=lambda y: y.clamp(max=-0.2), steps=5)
    assert y.max() <= -0.2 + 1e-9


@EVERY
def test_guided_samples_of_normal_data_are_exact_where_its_deviation_is_known(schedule, sampler):
    # For normal data and a quadratic cost the steered estimate is the posterior mean of the tilted distribution,
    # p(x) exp(-scale cost), which is normal too: all that is left are the steps of the sampler.
    deviation, scale = 0.3, 10.0
    schedule = SCHEDULES[schedule]()
    head = DenoisingHead(
        unit_event(1),
        Exact(normal(-0.3, deviation), schedule, V()),
        schedule=schedule,
        parametrisation=V(),
        sampler=sampler,
        steps={DDIM: 40, Ancestral: 100, DPMSolver: 30, Heun: 20}[type(sampler)],
        clip=None,
        guidance=Steered(),
    )
    torch.nn.init.constant_(head.log_deviation, math.log(deviation))
    guide = Guide(cost=lambda y: (y - 0.5).square().flatten(2).sum(2) / 2, scale=scale)
    y = head.sample(torch.zeros(1, 1), 400, generator=draws.generator(21), guide=guide).flatten()
    precision = 1 / deviation**2 + scale
    tilted = stats.norm((-0.3 / deviation**2 + scale * 0.5) / precision, precision**-0.5)
    assert stats.kstest(y.numpy(), tilted.cdf).pvalue > 1e-3
