"""Log-likelihoods of denoising heads against closed forms: the exact denoiser of normal data has their density."""

import math

import pytest
import torch

from embodied_gen import draws
from embodied_gen.heads import DenoisingHead, log_likelihood
from embodied_gen.heads.analytic import Exact
from embodied_gen.heads.flows.trace import hutchinson
from embodied_gen.heads.ode import HEUN, DormandPrince, Fixed
from embodied_gen.heads.parametrisation import Clean, Noise, V, Velocity
from embodied_gen.heads.samplers import Heun
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import SCHEDULES, normal, two_modes, unit_event
from tests.heads.batches import batch as contract_batch
from tests.heads.cases import CASES
from tests.heads.learning import fitted

pytestmark = pytest.mark.usefixtures("double")


def head_of(data, schedule):
    channels = data.mean.shape[1]
    return DenoisingHead(unit_event(channels), Exact(data, schedule, V()), schedule=schedule, parametrisation=V())


def density(data, x, noise):
    """Of data with noise of a deviation on them."""
    variance = data.deviation**2 + noise**2
    away = (x[:, None] - data.mean).square().sum(2) / (2 * variance)
    return torch.logsumexp(data.weight.log() - away - x.shape[1] / 2 * (2 * math.pi * variance).log(), 1)


def nearest(schedule, noise):
    """The noise of the level of a table that is nearest to some noise, and any noise of the other schedules."""
    if schedule.most is None:
        return noise
    ratios = [level.sigma / level.alpha for level in schedule.grid(schedule.most)[:-1] if level.alpha > 0]
    return min(ratios, key=lambda ratio: abs(math.atan(ratio) - math.atan(noise)))


def errors(data, schedule, steps=None, noise=0.02, **options):
    """Largest error against the density with the noise that is left."""
    noise = max(noise, schedule.least_noise)
    x, c = data.draw(40, draws.generator(1)), torch.zeros(40, 1)
    told = log_likelihood(head_of(data, schedule), schedule, x[:, None], c, noise=noise, steps=steps, **options)
    return (told - density(data, x, nearest(schedule, noise))).abs().max().item()


# What the usual steps leave, in nat, of densities of two entries. On Karras' schedule what is left is the start: its
# last level is almost, not quite, pure noise.
TOLERANCE = {"linear": 0.05, "cosine": 0.02, "rectified": 0.001, "karras": 0.02}


@pytest.mark.parametrize("noise", [0.02, 0.1])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("data", [normal(channels=2), two_modes()], ids=["normal", "two_modes"])
def test_the_exact_denoiser_has_the_density_of_its_data_with_the_noise_that_is_left(name, data, noise):
    assert errors(data, SCHEDULES[name](), noise=noise) < TOLERANCE[name]


@pytest.mark.parametrize("deviation", [0.1, 0.05, 0.02, 0.01])
def test_the_density_of_data_that_are_narrow_beside_the_noise_is_not_too_large(deviation):
    """With steps even in t it was, by half a nat: a bound that was made with it was none."""
    assert errors(normal(deviation=deviation, channels=8), SCHEDULES["rectified"](), 12) < 0.005


@pytest.mark.parametrize(("solver", "order"), [(Fixed(1, HEUN), 2), (None, 4)], ids=["Heun", "Kutta"])
def test_errors_fall_with_a_power_of_the_steps(solver, order):
    coarse, fine = (errors(two_modes(), SCHEDULES["rectified"](), steps, solver=solver) for steps in (30, 60))
    assert coarse / fine == pytest.approx(2**order, rel=0.2)


def test_an_adaptive_solver_reaches_its_tolerance():
    solver = DormandPrince(1e-7, 1e-8)
    assert errors(two_modes(), SCHEDULES["rectified"](), solver=solver) < 1e-6
    assert errors(two_modes(), SCHEDULES["karras"](), solver=solver) < 3e-3  # see above


def test_probes_estimate_the_density_without_bias():
    data, schedule = two_modes(), SCHEDULES["rectified"]()
    x = data.draw(1, draws.generator(2)).expand(600, -1)[:, None]
    told = log_likelihood(
        head_of(data, schedule),
        schedule,
        x,
        torch.zeros(600, 1),
        steps=30,
        divergence=hutchinson(x, generator=draws.generator(3)),
    )
    exact = log_likelihood(head_of(data, schedule), schedule, x[:1], torch.zeros(1, 1), steps=30)
    assert told.std() > 1e-3
    assert abs((told.mean() - exact).item()) < 4 * told.std().item() / math.sqrt(600)


def test_the_density_of_an_exact_denoiser_integrates_to_one():
    data, schedule = normal(channels=1), SCHEDULES["cosine"]()
    x = torch.linspace(-3, 3, 301)
    for noise in (0.05, 0.3):
        told = log_likelihood(head_of(data, schedule), schedule, x.view(-1, 1, 1), torch.zeros(301, 1), noise=noise)
        assert (told.exp().sum() * (x[1] - x[0])).item() == pytest.approx(1, abs=1e-3)


def learned(schedule, parametrisation, data=None, steps=120):
    """A small head that has learned two modes."""
    data = data or two_modes()
    net = ResidualMLP(horizon=1, channels_in=2, channels_out=2, context=1, width=24, depth=1)
    head = DenoisingHead(unit_event(2), net, schedule=schedule, parametrisation=parametrisation, clip=None)
    return fitted(head, lambda stream: data.draw(64, stream)[:, None], rate=3e-3, steps=steps, seed=4, context=1)


# One line for each prediction, on a schedule that it is used with.
LEARNED = {
    "velocity": lambda: learned(SCHEDULES["rectified"](), Velocity()),
    "clean": lambda: learned(SCHEDULES["rectified"](), Clean()),
    "v": lambda: learned(SCHEDULES["cosine"](), V()),
    "noise": lambda: learned(SCHEDULES["linear"](), Noise()),
}


def test_estimates_of_clean_events_have_no_density_in_the_limit_of_no_noise_and_velocities_have():
    x, c = two_modes().draw(100, draws.generator(9))[:, None], torch.zeros(100, 1)

    def told(prediction, *noises):
        head = LEARNED[prediction]()
        return [log_likelihood(head, head.schedule, x, c, noise=noise).mean().item() for noise in noises]

    more, less = told("clean", 0.1, 0.01)
    assert more - less > 10
    more, less = told("velocity", 0.01, 0.005)
    assert more == pytest.approx(less, abs=0.02)


def test_the_density_of_a_trained_head_integrates_to_one_and_is_that_of_its_draws():
    schedule = SCHEDULES["rectified"]()
    head = learned(schedule, V())
    axis = torch.linspace(-2.5, 2.5, 41)
    grid = torch.cartesian_prod(axis, axis).view(-1, 1, 2)
    density = log_likelihood(head, schedule, grid, torch.zeros(len(grid), 1), steps=25).exp()
    density = density.view(41, 41) * (axis[1] - axis[0]) ** 2
    assert density.sum().item() == pytest.approx(1, abs=0.01)
    # The sampler follows the same equation, the other way.
    head.sampler, head.steps = Heun(), 25
    x = head.sample(torch.zeros(1, 1), 2000, generator=draws.generator(5))[0, :, 0]
    edges = (axis[:-1] + axis[1:])[::4] / 2
    for channel in range(2):
        expected = density.sum(1 - channel).cumsum(0)[::4][: len(edges)]
        shares = (x[:, channel, None] < edges).double().mean(0)
        torch.testing.assert_close(shares, expected, rtol=0, atol=0.04)


def test_a_density_with_no_noise_left_is_refused():
    head = head_of(two_modes(), SCHEDULES["rectified"]())
    with pytest.raises(ValueError, match=r"noise must be positive; got 0.0. Without any the density of an estimate"):
        log_likelihood(head, head.schedule, torch.zeros(1, 1, 2), torch.zeros(1, 1), noise=0.0)


@pytest.mark.parametrize("name", ["linear", "cosine", "karras"])
def test_noise_that_a_schedule_does_not_have_is_refused_and_the_default_is_not(name):
    schedule = SCHEDULES[name]()
    head, x, c = head_of(two_modes(), schedule), torch.zeros(1, 1, 2), torch.zeros(1, 1)
    with pytest.raises(ValueError, match=rf"at least {schedule.least_noise:.3g}, the least of the schedule; got 0.001"):
        log_likelihood(head, schedule, x, c, noise=0.001)
    assert log_likelihood(head, schedule, x, c).isfinite().all()


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.head(), DenoisingHead)][:7], ids=str)
def test_every_denoising_head_with_every_network_has_one(case):
    torch.set_default_dtype(torch.float32)
    head = case.head()
    x, c = contract_batch(3)
    told = log_likelihood(head, head.schedule, x, c, steps=5)
    assert told.shape == (3,) and told.isfinite().all() and not told.requires_grad


@pytest.mark.parametrize("name", SCHEDULES)
def test_times_of_angles_are_those_of_the_levels(name):
    schedule = SCHEDULES[name]()
    levels = schedule.grid(20)[:-1]
    angles = torch.tensor([math.atan2(level.sigma, level.alpha) for level in levels])
    torch.testing.assert_close(schedule.time(angles), torch.tensor([level.t for level in levels]))
