import itertools
import math

import pytest
import torch
from scipy import stats

from embodied_gen import draws
from embodied_gen.heads.schedules import Cosine, Karras, Level, Linear, Rectified
from tests.heads.analytic import SCHEDULES

pytestmark = pytest.mark.usefixtures("double")
EVERY = pytest.mark.parametrize("name", SCHEDULES)
TABLES = pytest.mark.parametrize("name", ["linear", "cosine"])


def times(schedule, count=997):
    """Times in (0, 1]: those of the table where there is one."""
    levels = getattr(schedule, "levels", count)
    return torch.arange(1, levels + 1) / levels


@EVERY
def test_signal_never_grows_and_noise_always_grows(name):
    at = SCHEDULES[name]().coefficients(times(SCHEDULES[name]()))
    assert (at.alpha.diff() <= 0).all()
    assert (at.sigma.diff() > 0).all()
    assert (at.alpha >= 0).all() and (at.sigma > 0).all()
    assert (at.alpha_rate <= 0).all() and (at.sigma_rate > 0).all()


@TABLES
def test_variance_preserving_schedules_preserve_variance(name):
    at = SCHEDULES[name]().coefficients(times(SCHEDULES[name]()))
    torch.testing.assert_close(at.alpha**2 + at.sigma**2, torch.ones_like(at.alpha), rtol=0, atol=1e-14)


@EVERY
def test_the_path_starts_close_to_the_data_and_ends_in_noise_of_the_initial_deviation(name):
    schedule = SCHEDULES[name]()
    start, end = (schedule.coefficients(torch.tensor([t])) for t in (1e-9, 1.0))
    assert start.alpha.item() == pytest.approx(1, abs=1e-6)
    assert start.sigma.item() < 0.01
    assert end.sigma.item() == pytest.approx(schedule.initial_deviation, rel=1e-2)
    # What is left of data of unit size is small next to the noise.
    assert (end.alpha / end.sigma).item() < 0.02


@EVERY
@pytest.mark.parametrize("steps", [1, 2, 7, 50, 97])
def test_a_grid_has_one_level_more_than_steps_and_falls_from_noise_to_clean(name, steps):
    grid = SCHEDULES[name]().grid(steps)
    assert len(grid) == steps + 1
    assert grid[0].t == 1
    assert grid[-1] == Level(0, 1, 0)
    for now, then in itertools.pairwise(grid):
        assert now.t >= then.t and now.alpha <= then.alpha and now.sigma > then.sigma


@EVERY
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_the_levels_of_a_grid_are_those_of_the_coefficients(name, steps):
    schedule = SCHEDULES[name]()
    levels = torch.tensor(schedule.grid(steps)[:-1])
    at = schedule.coefficients(levels[:, 0])
    torch.testing.assert_close(levels[:, 1], at.alpha)
    torch.testing.assert_close(levels[:, 2], at.sigma)


@pytest.mark.parametrize("build", [lambda: Linear(24), lambda: Cosine(24)])
def test_a_table_gives_different_levels_for_every_number_of_steps_it_allows(build):
    schedule = build()
    for steps in range(1, 25):
        grid = schedule.grid(steps)
        assert len({level.t for level in grid}) == steps + 1
        gaps = [round((now.t - then.t) * 24) for now, then in itertools.pairwise(grid)]
        assert max(gaps) - min(gaps) <= 2  # as even as whole levels can be
    assert [round(level.t * 24) for level in schedule.grid(24)] == list(range(24, -1, -1))


@TABLES
@pytest.mark.parametrize("extra", [1, 100])
def test_a_table_refuses_more_steps_than_levels(name, extra):
    schedule = SCHEDULES[name]()
    with pytest.raises(ValueError, match=f"schedule's {schedule.levels} levels; got {schedule.levels + extra}"):
        schedule.grid(schedule.levels + extra)


@EVERY
def test_a_grid_of_no_steps_is_refused(name):
    with pytest.raises(ValueError, match="got 0"):
        SCHEDULES[name]().grid(0)


@EVERY
def test_rates_are_the_derivatives_of_the_curves(name):
    schedule = SCHEDULES[name]()
    # A table's derivative is meant between levels, hence central differences of its own spacing.
    h = 1 / schedule.levels if name in ("linear", "cosine") else 1e-6
    t = times(schedule)[1:-1]
    before, at, after = (schedule.coefficients(t + shift) for shift in (-h, 0, h))
    torch.testing.assert_close(at.alpha_rate, (after.alpha - before.alpha) / (2 * h), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(at.sigma_rate, (after.sigma - before.sigma) / (2 * h), rtol=1e-7, atol=1e-7)


def test_rates_of_a_table_tend_to_those_of_the_continuous_curve():
    # The squared cosine: alpha = cos(phi) / cos(phi_0), phi = (t + s) / (1 + s) pi / 2, away from the cap.
    offset = 0.008
    t = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    slope = math.pi / 2 / (1 + offset)
    start = math.cos(offset * slope)
    alpha = ((t + offset) * slope).cos() / start
    alpha_rate = -((t + offset) * slope).sin() * slope / start
    errors = []
    for levels in (100, 1000):
        at = Cosine(levels).coefficients(t)
        torch.testing.assert_close(at.alpha, alpha, rtol=1e-12, atol=0)
        torch.testing.assert_close(at.sigma_rate, -alpha * alpha_rate / at.sigma, rtol=50 / levels**2, atol=0)
        errors.append((at.alpha_rate - alpha_rate).abs().max().item())
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.05)  # second order in the spacing


def test_times_between_the_levels_of_a_table_read_the_nearest_level():
    schedule = Linear(10)
    exact = schedule.coefficients(torch.tensor([0.3, 0.4, 1.0]))
    near = schedule.coefficients(torch.tensor([0.32, 0.36, 0.97]))
    for left, right in zip(exact, near, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


@pytest.mark.parametrize("levels", [10, 1000])
def test_tables_are_those_of_diffusers(levels):
    diffusers = pytest.importorskip("diffusers")
    ours = {"linear": Linear(levels), "squaredcos_cap_v2": Cosine(levels)}
    for name, schedule in ours.items():
        theirs = diffusers.DDPMScheduler(num_train_timesteps=levels, beta_schedule=name).alphas_cumprod.double()
        at = schedule.coefficients(times(schedule))
        torch.testing.assert_close(at.alpha**2, theirs, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(at.sigma**2, 1 - theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rho", [1.0, 7.0])
def test_the_grid_of_karras_is_equation_5_of_the_paper(rho):
    schedule = Karras(0.01, 20.0, rho=rho)
    n = 11
    expected = [(20 ** (1 / rho) + i / (n - 1) * (0.01 ** (1 / rho) - 20 ** (1 / rho))) ** rho for i in range(n)]
    grid = schedule.grid(n)
    assert [level.sigma for level in grid] == pytest.approx([*expected, 0])
    assert {level.alpha for level in grid} == {1}


def test_a_rectified_path_is_straight():
    t = torch.linspace(0.01, 1, 50)
    at = Rectified().coefficients(t)
    torch.testing.assert_close(at.alpha, 1 - t)
    torch.testing.assert_close(at.sigma, t)


ROWS = 20_000


def training_times(schedule, dtype=torch.float64):
    return schedule.draw(ROWS, generator=draws.generator(1), like=torch.zeros((), dtype=dtype))


@TABLES
def test_training_times_of_a_table_visit_every_level_equally_often(name):
    schedule = SCHEDULES[name]()
    index = training_times(schedule) * schedule.levels
    torch.testing.assert_close(index, index.round())
    counts = torch.bincount(index.round().long(), minlength=schedule.levels + 1)
    assert counts[0] == 0 and len(counts) == schedule.levels + 1
    assert stats.chisquare(counts[1:].numpy()).pvalue > 0.01


@pytest.mark.parametrize(
    ("schedule", "distribution"),
    [
        (Rectified(), stats.uniform(1e-3, 1 - 1e-3)),
        (Rectified(smallest=0.2), stats.uniform(0.2, 0.8)),
    ],
)
def test_training_times_of_a_rectified_path_are_uniform(schedule, distribution):
    assert stats.kstest(training_times(schedule).numpy(), distribution.cdf).pvalue > 0.01


def test_training_times_of_a_concentrated_rectified_path_are_logit_normal():
    t = (training_times(Rectified(concentration=0.7, smallest=0.1)) - 0.1) / 0.9
    assert stats.kstest(t.logit().numpy(), stats.norm(0, 0.7).cdf).pvalue > 0.01


def test_training_noise_of_karras_is_log_normal():
    schedule = Karras()
    sigma = schedule.coefficients(training_times(schedule)).sigma
    assert stats.kstest(sigma.log().numpy(), stats.norm(-1.2, 1.2).cdf).pvalue > 0.01


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_times_lie_in_the_unit_interval_and_have_the_events_dtype(name, dtype):
    schedule = SCHEDULES[name]()
    t = training_times(schedule, dtype)
    assert t.shape == (ROWS,) and t.dtype == dtype
    assert (t >= 0).all() and (t <= 1).all()
    for entry in schedule.coefficients(t):
        assert entry.dtype == dtype and entry.isfinite().all()


def test_training_noise_of_karras_is_confined_to_its_range():
    schedule = Karras(smallest=0.1, largest=1.0)
    sigma = schedule.coefficients(training_times(schedule)).sigma
    assert sigma.min() >= 0.1 * (1 - 1e-12) and sigma.max() <= 1 + 1e-12
    outside = stats.norm(-1.2, 1.2).cdf(math.log(0.1))
    share = (sigma <= 0.1 * (1 + 1e-9)).double().mean().item()
    assert share == pytest.approx(outside, abs=4 * math.sqrt(outside * (1 - outside) / ROWS))


def test_inputs_of_a_network_have_unit_size_where_the_data_has_the_stated_deviation():
    schedule = Karras(data_deviation=0.3)
    at = schedule.coefficients(torch.linspace(0, 1, 20))
    deviation = (at.alpha**2 * 0.3**2 + at.sigma**2).sqrt()
    torch.testing.assert_close(schedule.input_scale(at.alpha, at.sigma) * deviation, torch.ones(20))


@pytest.mark.parametrize("name", ["linear", "cosine", "rectified"])
def test_inputs_of_schedules_between_data_and_unit_noise_are_left_alone(name):
    schedule = SCHEDULES[name]()
    at = schedule.coefficients(torch.linspace(0.1, 1, 5))
    assert (schedule.input_scale(at.alpha, at.sigma) == 1).all()


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_tables_are_not_part_of_the_weights(name):
    assert not SCHEDULES[name]().state_dict()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Linear(10, 0.0, 0.5), "strictly between 0 and 1"),
        (lambda: Linear(10, 0.1, 1.0), "strictly between 0 and 1"),
        (lambda: Karras(smallest=0.0), "smallest must lie between 0 and largest; got 0.0"),
        (lambda: Karras(smallest=2.0, largest=1.0), "got 2.0 and 1.0"),
    ],
)
def test_impossible_schedules_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
