import itertools
import math

import pytest
import torch

from embodied_gen import draws
from embodied_gen.heads import DenoisingHead
from embodied_gen.heads.analytic import Exact, target
from embodied_gen.heads.parametrisation import Clean, Noise, Simple, V, VariationalBound, Velocity
from embodied_gen.heads.schedules import Coefficients, Cosine, Karras, Linear, Rectified
from tests.heads.analytic import PAIRS, PARAMETRISATIONS, SCHEDULES, normal, unit_event

pytestmark = pytest.mark.usefixtures("double")
EVERY = pytest.mark.parametrize(("schedule", "parametrisation"), list(itertools.product(SCHEDULES, PARAMETRISATIONS)))
READABLE = pytest.mark.parametrize(("schedule", "parametrisation"), PAIRS)


def rows(schedule, count=64):
    """Events, noise and levels of `count` rows; levels as columns. Times stay off alpha = 0."""
    g = draws.generator(3)
    x, eps = torch.randn(2, count, 3, generator=g)
    t = 0.02 + 0.97 * torch.rand(count, generator=g)
    at = schedule.coefficients(t)
    return x, eps, t, at, Coefficients(*(entry.view(-1, 1) for entry in at))


def read(parametrisation, at, x_t, output):
    a, b = parametrisation.affine(at)
    return a.view(-1, 1) * x_t + b.view(-1, 1) * output


@EVERY
def test_the_exact_target_is_read_as_the_exact_event(schedule, parametrisation):
    schedule, parametrisation = SCHEDULES[schedule](), PARAMETRISATIONS[parametrisation]()
    x, eps, _, at, columns = rows(schedule)
    x_t = columns.alpha * x + columns.sigma * eps
    x_hat = read(parametrisation, at, x_t, target(parametrisation, columns, x, eps))
    torch.testing.assert_close(x_hat, x, rtol=1e-9, atol=1e-9)


@EVERY
def test_the_simple_weight_measures_the_error_of_what_the_network_predicts(schedule, parametrisation):
    schedule, parametrisation = SCHEDULES[schedule](), PARAMETRISATIONS[parametrisation]()
    x, eps, t, at, columns = rows(schedule)
    x_t = columns.alpha * x + columns.sigma * eps
    exact = target(parametrisation, columns, x, eps)
    output = exact + torch.randn(x.shape, generator=draws.generator(4))
    error = (read(parametrisation, at, x_t, output) - x).square().sum(1)
    weighted = Simple().weight(t, schedule, parametrisation) * error
    torch.testing.assert_close(weighted, (output - exact).square().sum(1), rtol=1e-7, atol=0)


@READABLE
def test_the_loss_of_a_head_under_the_simple_weight_is_the_error_of_its_network(schedule, parametrisation):
    schedule, parametrisation = SCHEDULES[schedule](), PARAMETRISATIONS[parametrisation]()
    seen = {}

    class Off(torch.nn.Module):
        def forward(self, x, t, c):
            seen["x"], seen["t"] = x, t
            return torch.full_like(x, 0.7)

    head = DenoisingHead(unit_event(3), Off(), schedule=schedule, parametrisation=parametrisation)
    x = torch.randn(64, 1, 3, generator=draws.generator(5))
    loss = head.loss(x, torch.zeros(64, 1), generator=draws.generator(6))
    at = Coefficients(*(entry.view(-1, 1, 1) for entry in schedule.coefficients(seen["t"])))
    eps = (seen["x"] / schedule.input_scale(at.alpha, at.sigma) - at.alpha * x) / at.sigma
    assert eps.std().item() == pytest.approx(1, abs=0.2)
    expected = (target(parametrisation, at, x, eps) - 0.7).square().mean((1, 2))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("schedule", [Linear(200, 5e-4, 0.1), Cosine(100)])
def test_v_is_the_velocity_of_salimans_and_ho(schedule):
    x, eps, _, at, columns = rows(schedule)
    v = columns.alpha * eps - columns.sigma * x
    x_t = columns.alpha * x + columns.sigma * eps
    # In the rotated frame (x_t, v), x = alpha x_t - sigma v.
    torch.testing.assert_close(read(V(), at, x_t, v), columns.alpha * x_t - columns.sigma * v)
    torch.testing.assert_close(read(V(), at, x_t, v), x)


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0])
def test_v_on_the_schedule_of_karras_is_the_preconditioning_of_edm(d):
    schedule = Karras(data_deviation=d)
    t = torch.linspace(0, 1, 33)
    at = schedule.coefficients(t)
    sigma = at.sigma
    skip, out = V(d).affine(at)
    # Karras et al. 2022, table 1; the sign of the output is free and opposite here.
    torch.testing.assert_close(skip, d**2 / (sigma**2 + d**2))
    torch.testing.assert_close(-out, sigma * d / (d**2 + sigma**2).sqrt())
    torch.testing.assert_close(schedule.input_scale(at.alpha, sigma), 1 / (sigma**2 + d**2).sqrt())
    # lambda(sigma) c_out^2 = 1 in the same table: the simple weight is EDM's.
    expected = (sigma**2 + d**2) / (sigma * d) ** 2
    torch.testing.assert_close(Simple().weight(t, schedule, V(d)), expected)


def test_the_preconditioning_of_edm_is_that_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.EDMEulerScheduler(sigma_data=0.7, prediction_type="v_prediction")
    at = Karras(data_deviation=0.7).coefficients(torch.linspace(0, 1, 9))
    x_t, output = torch.randn(2, 9, 3, generator=draws.generator(7))
    expected = theirs.precondition_outputs(x_t, output, at.sigma.view(-1, 1))
    torch.testing.assert_close(read(V(0.7), at, x_t, output), expected)
    scaled = Karras(data_deviation=0.7).input_scale(at.alpha, at.sigma).view(-1, 1) * x_t
    torch.testing.assert_close(scaled, theirs.precondition_inputs(x_t, at.sigma.view(-1, 1)))


def test_the_target_of_edm_has_unit_variance_for_data_of_the_stated_deviation():
    d = 0.5
    at = Karras(data_deviation=d).coefficients(torch.linspace(0, 1, 9).view(-1, 1))
    g = draws.generator(8)
    x, eps = d * torch.randn(1, 200_000, generator=g), torch.randn(1, 200_000, generator=g)
    variance = target(V(d), at, x, eps).square().mean(1)
    torch.testing.assert_close(variance, torch.ones(9), rtol=0, atol=5 * math.sqrt(2 / 200_000))


def test_the_velocity_of_a_straight_path_is_noise_minus_data():
    x, eps, _, at, columns = rows(Rectified())
    x_t = columns.alpha * x + columns.sigma * eps
    torch.testing.assert_close(read(Velocity(), at, x_t, eps - x), x)
    # One step of Euler over the whole of the remaining time arrives at the data.
    torch.testing.assert_close(x_t - columns.sigma * (eps - x), x)


@pytest.mark.parametrize("schedule", ["rectified", "karras"])
def test_the_bounds_weight_is_half_the_loss_of_signal_to_noise(schedule):
    schedule = SCHEDULES[schedule]()
    t = torch.linspace(0.05, 0.99, 40).requires_grad_()
    at = schedule.coefficients(t)
    signal_to_noise = (at.alpha / at.sigma).square()
    (slope,) = torch.autograd.grad(signal_to_noise.sum(), t)
    weight = schedule.density(t) * VariationalBound(largest=1e12).weight(t, schedule, Velocity())
    torch.testing.assert_close(weight, -slope / 2, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(1000),
        Cosine(1000),
        Rectified(),
        Rectified(smallest=0.3),
        Rectified(concentration=1.0),
        Rectified(concentration=2.0, smallest=0.1),
        Karras(),
        Karras(0.1, 5.0, rho=3.0, mean=0.5, deviation=1.5),  # some times at both ends
    ],
)
def test_the_mean_loss_under_the_bounds_weight_is_the_integral_whatever_the_law_of_times(schedule):
    # Of the error 1 / (1 + SNR)^2 it is half of what 1 / (1 + SNR) gains, the share of noise in the variance.
    t = schedule.draw(200_000, generator=draws.generator(11), like=torch.zeros(()))
    at, ends = (schedule.coefficients(each) for each in (t, torch.stack([t.min(), t.max()])))
    error, gained = ((c.sigma**2 / (c.alpha**2 + c.sigma**2)) for c in (at, ends))
    weighted = VariationalBound(largest=math.inf).weight(t, schedule, Clean()) * error**2
    assert weighted.isfinite().all()
    assert weighted.mean().item() == pytest.approx(gained.diff().item() / 2, rel=0.02)


@pytest.mark.parametrize("build", [lambda n: Linear(n, 0.1 / n, 20 / n), lambda n: Cosine(n)])
def test_the_bounds_weight_of_a_table_tends_to_half_the_loss_of_signal_to_noise(build):
    def difference(levels):
        schedule = build(levels)
        t = torch.linspace(0.25, 0.75, 11)
        before, after = (schedule.coefficients(t + shift / levels) for shift in (-1, 1))
        loss = (before.alpha / before.sigma).square() - (after.alpha / after.sigma).square()
        weight = VariationalBound(largest=1e12).weight(t, schedule, V())
        return (weight / (loss * levels / 4) - 1).abs().max().item()

    assert difference(1600) < 1e-3
    assert difference(1600) < difference(400) / 10


def test_the_bounds_weight_is_the_same_for_every_parametrisation_and_is_capped():
    schedule = Rectified()
    t = torch.linspace(0.001, 1, 50)
    weights = [VariationalBound(largest=30).weight(t, schedule, p) for p in (Clean(), Noise(), V(), Velocity())]
    for weight in weights[1:]:
        torch.testing.assert_close(weight, weights[0], rtol=0, atol=0)
    assert weights[0].max() == 30
    assert weights[0][-1] == 0  # pure noise tells nothing of the event


@pytest.mark.parametrize("parametrisation", ["clean", "v", "velocity"])
def test_the_loss_under_the_bounds_weight_is_the_information_of_the_noisy_event(parametrisation):
    # For N(m, s^2), E|x - E[x | x_t]|^2 = s^2 / (1 + s^2 SNR), so that over times from t_0 to 1 the integral of
    # the weighted error is (1/2) log(1 + s^2 SNR(t_0)): the mutual information of x and its noisiest copy.
    start, s, channels, count = 0.1, 0.6, 2, 40_000
    schedule, parametrisation = Rectified(smallest=start), PARAMETRISATIONS[parametrisation]()
    data = normal(0.3, s, channels)
    head = DenoisingHead(
        unit_event(channels),
        Exact(data, schedule, parametrisation),
        schedule=schedule,
        parametrisation=parametrisation,
        weighting=VariationalBound(largest=1e9),
    )
    x = data.draw(count, draws.generator(9)).view(count, 1, channels)
    loss = head.loss(x, torch.zeros(count, 1), generator=draws.generator(10)) * channels
    information = channels * math.log1p(s**2 * ((1 - start) / start) ** 2) / 2
    deviation = loss.std().item() / math.sqrt(count)
    assert deviation < 0.02 * information
    assert loss.mean().item() == pytest.approx(information, abs=4 * deviation)
