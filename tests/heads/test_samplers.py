"""Samplers against the reference implementations, against exact paths, and against exact distributions."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from embodied_gen import draws
from embodied_gen.heads import DenoisingHead
from embodied_gen.heads.analytic import Exact, Normals
from embodied_gen.heads.samplers import DDIM, Ancestral, DPMSolver, Heun
from embodied_gen.heads.schedules import Cosine, Karras, Level, Linear, Rectified
from tests.heads.analytic import PAIRS, PARAMETRISATIONS, SCHEDULES, normal, two_modes, unit_event

pytestmark = pytest.mark.usefixtures("double")

# --- References: the same grid, noise and denoiser in diffusers -------------------------------------------------

LEVELS = 120
TABLES = {"linear": lambda: Linear(LEVELS, 1e-3, 0.15), "squaredcos_cap_v2": lambda: Cosine(LEVELS)}
TABLE = pytest.mark.parametrize("table", TABLES)
# Numbers of steps that divide the levels, for which diffusers' idea of the previous step is its grid's.
STEPS = pytest.mark.parametrize("steps", [LEVELS, 30, 4])
DATA = two_modes()


def start(deviation=1.0):
    return deviation * torch.randn(50, 2, generator=draws.generator(1))


def walk(sampler, schedule, steps, noises=()):
    """Our sampler on the mixture's denoiser: the states at which it asked for an estimate, and the event."""
    states, queue = [], iter(noises)

    def denoise(x, level):
        states.append(x)
        return DATA.denoise(x, level.alpha, level.sigma)

    events = sampler.run(start(schedule.initial_deviation), schedule.grid(steps), denoise, lambda: next(queue))
    assert next(queue, None) is None, "the sampler must use all the noise that the reference uses"
    return [*states, events]


def reference(name, table, **options):
    """A scheduler of diffusers on our table; theirs is the same in single precision, see test_schedules."""
    diffusers = pytest.importorskip("diffusers")
    scheduler = getattr(diffusers, name)(
        num_train_timesteps=LEVELS,
        beta_schedule=table,
        beta_start=1e-3,
        beta_end=0.15,
        prediction_type="sample",
        timestep_spacing="trailing",
        **options,
    )
    scheduler.alphas_cumprod = TABLES[table]().coefficients(torch.arange(1, LEVELS + 1) / LEVELS).alpha ** 2
    return scheduler


def reference_walk(scheduler, schedule, steps, step):
    """Theirs: level i / N of ours is their index i - 1."""
    scheduler.set_timesteps(steps)
    indices = [int(t) for t in scheduler.timesteps]
    assert indices == [round(level.t * LEVELS) - 1 for level in schedule.grid(steps)[:-1]]
    states = [start()]
    for t, level in zip(scheduler.timesteps, schedule.grid(steps), strict=False):
        x_hat = DATA.denoise(states[-1], level.alpha, level.sigma)
        states.append(step(scheduler, x_hat, t, states[-1]).prev_sample)
    return states


def assert_same_walk(ours, theirs):
    assert len(ours) == len(theirs)
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right.double(), rtol=0, atol=1e-5)


@TABLE
@STEPS
@pytest.mark.parametrize(("variance", "width"), [("fixed_small", 0.0), ("fixed_large", 1.0)])
def test_the_ancestral_sampler_is_the_ddpm_of_diffusers(table, steps, variance, width):
    schedule = TABLES[table]()
    scheduler = reference("DDPMScheduler", table, variance_type=variance, clip_sample=False)
    stream = draws.generator(2)
    theirs = reference_walk(scheduler, schedule, steps, lambda s, x_hat, t, x: s.step(x_hat, t, x, generator=stream))
    g = draws.generator(2)
    ours = walk(Ancestral(width), schedule, steps, [torch.randn(50, 2, generator=g) for _ in range(steps - 1)])
    if variance == "fixed_large" and steps < LEVELS:
        # Theirs adds the noise of the last stride to the event; ours gives the clean estimate, as with all steps.
        torch.testing.assert_close(ours[-1], DATA.denoise(ours[-2], *schedule.grid(steps)[-2][1:]))
        ours, theirs = ours[:-1], theirs[:-1]
    assert_same_walk(ours, theirs)


@TABLE
@STEPS
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_that_of_diffusers(table, steps, eta):
    schedule = TABLES[table]()
    scheduler = reference("DDIMScheduler", table, clip_sample=False, set_alpha_to_one=True)
    g = draws.generator(2)
    noises = [torch.randn(50, 2, generator=g) for _ in range(steps - 1)]
    # The last step of theirs, to alpha = 1, has no variance.
    queue = iter([*noises, torch.zeros(50, 2)])
    theirs = reference_walk(
        scheduler,
        schedule,
        steps,
        lambda s, x_hat, t, x: s.step(x_hat, t, x, eta=eta, variance_noise=next(queue)),
    )
    assert_same_walk(walk(DDIM(eta), schedule, steps, noises if eta > 0 else ()), theirs)


@TABLE
@STEPS
def test_the_solver_is_the_second_order_multistep_solver_of_diffusers(table, steps):
    schedule = TABLES[table]()
    scheduler = reference(
        "DPMSolverMultistepScheduler",
        table,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type="zero",
        lower_order_final=True,
    )
    theirs = reference_walk(scheduler, schedule, steps, lambda s, x_hat, t, x: s.step(x_hat, t, x))
    assert_same_walk(walk(DPMSolver(), schedule, steps), theirs)


@pytest.mark.parametrize("steps", [1, 7, 40])
def test_ddim_on_straight_paths_is_the_euler_of_diffusers(steps):
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
    states = [start()]
    for t, level in zip(scheduler.timesteps, Rectified().grid(steps), strict=False):
        x_hat = DATA.denoise(states[-1], level.alpha, level.sigma)
        velocity = (states[-1] - x_hat) / level.sigma
        states.append(scheduler.step(velocity, t, states[-1].double()).prev_sample)
    assert_same_walk(walk(DDIM(), Rectified(), steps), states)


EDM = {"sigma_min": 0.01, "sigma_max": 20.0, "sigma_data": 0.5, "rho": 7.0}


@pytest.mark.parametrize("steps", [5, 40])
@pytest.mark.parametrize(
    ("sampler", "name", "options"),
    [
        (DDIM(), "EDMEulerScheduler", {}),
        (DPMSolver(), "EDMDPMSolverMultistepScheduler", {"solver_order": 2, "final_sigmas_type": "zero"}),
    ],
    ids=["euler", "solver"],
)
def test_samplers_on_the_schedule_of_karras_are_those_of_diffusers(sampler, name, options, steps):
    diffusers = pytest.importorskip("diffusers")
    schedule = Karras(0.01, 20.0, data_deviation=0.5)
    scheduler = getattr(diffusers, name)(**EDM, prediction_type="v_prediction", **options)
    scheduler.set_timesteps(steps)
    states = [start(20.0)]
    for t, level in zip(scheduler.timesteps, schedule.grid(steps), strict=False):
        total = level.sigma**2 + 0.5**2
        scaled = scheduler.scale_model_input(states[-1], t)
        torch.testing.assert_close(scaled, states[-1] / math.sqrt(total), rtol=1e-6, atol=0)
        x_hat = DATA.denoise(states[-1], level.alpha, level.sigma)
        output = (states[-1] * 0.5**2 / total - x_hat) * math.sqrt(total) / (level.sigma * 0.5)
        states.append(scheduler.step(output, t, states[-1]).prev_sample)
    assert_same_walk(walk(sampler, schedule, steps), states)


@pytest.mark.parametrize("steps", [6, 40])
def test_heun_on_the_schedule_of_karras_is_that_of_diffusers(steps):
    scheduler = reference("HeunDiscreteScheduler", "linear", use_karras_sigmas=True)
    scheduler.set_timesteps(steps)
    sigmas = [scheduler.sigmas[0].item(), *scheduler.sigmas[1::2].tolist()]
    schedule = Karras(sigmas[-2], sigmas[0])
    assert [level.sigma for level in schedule.grid(steps)] == pytest.approx(sigmas, rel=1e-5)
    # Its sigmas stand twice, once for each end of a step; its states are of the same two kinds as ours.
    states, all_sigmas = [start(sigmas[0])], scheduler.sigmas.tolist()
    for index, t in enumerate(scheduler.timesteps):
        x_hat = DATA.denoise(states[-1], 1.0, all_sigmas[index])
        states.append(scheduler.step(x_hat, t, states[-1]).prev_sample)
    assert_same_walk(walk(Heun(), schedule, steps), states)


@pytest.mark.parametrize("name", SCHEDULES)
def test_heun_is_the_trapezoid_of_the_velocity(name):
    schedule = SCHEDULES[name]()
    x, grid = start(schedule.initial_deviation), schedule.grid(6)

    def velocity(x, level, now, then):
        """The slope of alpha x_hat + sigma eps_hat from one level to another, both estimates held."""
        x_hat = DATA.denoise(x, level.alpha, level.sigma)
        return (then.alpha - now.alpha) * x_hat + (then.sigma - now.sigma) * (x - level.alpha * x_hat) / level.sigma

    for now, then in itertools.pairwise(grid):
        first = velocity(x, now, now, then)
        x = x + (first + velocity(x + first, then, now, then)) / 2 if then.sigma > 0 else x + first
    torch.testing.assert_close(walk(Heun(), schedule, 6)[-1], x)


# --- Exact paths: the probability flow of a normal --------------------------------------------------------------

PATHS = {
    "linear": lambda: Linear(4096, 0.1 / 4096, 20 / 4096),
    "cosine": lambda: Cosine(4096),
    "rectified": lambda: Rectified(),
    "karras": lambda: Karras(smallest=1e-3, largest=40.0),
}
SAMPLERS = {"ddim": (DDIM(), 1), "heun": (Heun(), 2), "solver": (DPMSolver(), 2)}


def errors(sampler, grid, mean=0.3, deviation=0.5):
    """Distance from the exact path at the last noisy level and at the event.

    For data N(m, s^2) the flow keeps the standardised value (x_t - alpha m) / sqrt(alpha^2 s^2 + sigma^2).
    """
    data, noisy = normal(mean, deviation), []
    standard = torch.linspace(-2, 2, 9).view(-1, 1)

    def denoise(x, level):
        noisy.append((x, level))
        return data.denoise(x, level.alpha, level.sigma)

    def exact(level):
        return level.alpha * mean + math.hypot(level.alpha * deviation, level.sigma) * standard

    event = sampler.run(exact(grid[0]), grid, denoise, lambda: None)
    last, level = noisy[-1]
    return (last - exact(level)).abs().max().item(), (event - exact(grid[-1])).abs().max().item()


def order(values, steps):
    """The slope of log error over log 1 / steps, by least squares."""
    return -np.polyfit(np.log(steps), np.log(values), 1)[0]


def orders(sampler, grids):
    """Of the last noisy level and of the event."""
    steps = [len(grid) - 1 for grid in grids]
    return [order(values, steps) for values in zip(*(errors(sampler, grid) for grid in grids), strict=True)]


@pytest.mark.parametrize(
    ("sampler", "name"),
    [(s, n) for s, n in itertools.product(["ddim", "heun"], PATHS)] + [("solver", "karras")],
)
def test_samplers_converge_to_the_exact_path_with_their_order(sampler, name):
    schedule = PATHS[name]()
    sampler, expected = SAMPLERS[sampler]
    noisy, event = orders(sampler, [schedule.grid(n) for n in (32, 64, 128, 256)])
    assert noisy == pytest.approx(expected, abs=0.15)
    if expected == 1 or name in ("rectified", "karras"):
        # The variance of a table grows as t near the data, so that the last step is of first order there.
        assert event == pytest.approx(expected, abs=0.15)


PATHS_OF_RATIO = {
    "preserving": lambda ratio: (ratio / math.hypot(1, ratio), 1 / math.hypot(1, ratio)),
    "rectified": lambda ratio: (ratio / (1 + ratio), 1 / (1 + ratio)),
    "exploding": lambda ratio: (1.0, 1 / ratio),
}


@pytest.mark.parametrize("path", PATHS_OF_RATIO)
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_have_their_order_on_grids_even_in_log_signal_to_noise(name, path):
    # In these steps the solver is a method of second order; a grid that is even in t stretches them without
    # bound at both ends, and there its order is reached but for a factor log(steps).
    def grid(steps):
        ratios = np.exp(np.linspace(-3, 3, steps)).tolist()
        return [Level(0.5, *PATHS_OF_RATIO[path](ratio)) for ratio in ratios] + [Level(0, 1, 0)]

    sampler, expected = SAMPLERS[name]
    noisy, _ = orders(sampler, [grid(n) for n in (32, 64, 128, 256)])
    assert noisy == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("name", PATHS)
def test_the_solver_is_better_than_first_order_on_every_schedule(name):
    schedule = PATHS[name]()
    noisy, _ = orders(DPMSolver(), [schedule.grid(n) for n in (64, 128, 256)])
    assert noisy > 1.4
    assert errors(DPMSolver(), schedule.grid(128))[1] < errors(DDIM(), schedule.grid(128))[1] / 4


# --- Exact distributions -----------------------------------------------------------------------------------------


def projections_pvalue(x, data):
    """Kolmogorov and Smirnov's test of four projections on their exact distributions, after Bonferroni.

    A projection of a mixture of round normals on a unit vector is the mixture of the projections.
    """
    angles = torch.tensor([0.4, 1.2, 2.0, 2.8])
    pvalues = []
    for direction in torch.stack([angles.cos(), angles.sin()], 1):
        parts = stats.norm((data.mean @ direction).numpy(), data.deviation.numpy())
        cumulative = lambda v, parts=parts: (parts.cdf(v[:, None]) * data.weight.numpy()).sum(1)  # noqa: E731
        pvalues.append(stats.kstest((x @ direction).numpy(), cumulative).pvalue)
    return min(1.0, len(angles) * min(pvalues))


# A sampler and its steps: enough that what is left of their error is not seen in 1000 samples.
WALKS = {
    "ddim": (DDIM(), 60),
    "ddim_noisy": (DDIM(0.5), None),
    "ancestral": (Ancestral(), None),
    "ancestral_between": (Ancestral(0.3), None),
    "solver": (DPMSolver(), 60),
    "heun": (Heun(), 40),
}


def samples(schedule, parametrisation, walk, count=1000):
    sampler, steps = WALKS[walk]
    schedule, parametrisation = SCHEDULES[schedule](), PARAMETRISATIONS[parametrisation]()
    head = DenoisingHead(
        unit_event(2),
        Exact(two_modes(), schedule, parametrisation),
        schedule=schedule,
        parametrisation=parametrisation,
        sampler=sampler,
        steps=steps or getattr(schedule, "levels", 100),
        clip=None,
    )
    return head.sample(torch.zeros(1, 1), count, generator=draws.generator(12)).view(count, 2)


# Every sampler on every schedule, the parametrisations in turn.
TURNS = [
    (schedule, parametrisation, walk)
    for schedule in SCHEDULES
    for walk, parametrisation in zip(WALKS, itertools.cycle([p for s, p in PAIRS if s == schedule]), strict=False)
]


@pytest.mark.parametrize(("schedule", "parametrisation", "walk"), TURNS)
def test_samples_of_a_mixture_are_told_from_a_wrong_mixture_only(schedule, parametrisation, walk):
    x = samples(schedule, parametrisation, walk)
    assert projections_pvalue(x, two_modes()) > 0.01
    assert projections_pvalue(x, two_modes(0.4)) < 1e-3
    wide = Normals(two_modes().weight, two_modes().mean, 1.5 * two_modes().deviation)
    assert projections_pvalue(x, wide) < 1e-3


def test_the_test_of_samples_holds_its_level():
    pvalues = [projections_pvalue(two_modes().draw(800, draws.generator(i)), two_modes()) for i in range(60)]
    assert sum(p < 0.05 for p in pvalues) <= 8


# --- Refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_of_noise_outside_the_unit_interval_are_refused(share):
    with pytest.raises(ValueError, match=rf"eta must lie in \[0, 1\]; got {share}"):
        DDIM(share)
    with pytest.raises(ValueError, match=rf"width must lie in \[0, 1\]; got {share}"):
        Ancestral(share)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("sampler", [DDIM(), DPMSolver(), Heun()])
def test_deterministic_samplers_draw_nothing(sampler, name):
    def noise():
        raise AssertionError("drawn")

    schedule = SCHEDULES[name]()
    sampler.run(start(), schedule.grid(5), lambda x, level: DATA.denoise(x, level.alpha, level.sigma), noise)
