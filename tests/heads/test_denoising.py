import math

import pytest
import torch
from torch import nn

from embodied_gen import draws
from embodied_gen.heads import DenoisingHead
from embodied_gen.heads.parametrisation import Clean, Noise, V, Velocity
from embodied_gen.heads.samplers import Sampler
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import PAIRS, PARAMETRISATIONS, SCHEDULES, Exact, Normals, normal, unit_event

pytestmark = pytest.mark.usefixtures("double")
READABLE = pytest.mark.parametrize(("schedule", "parametrisation"), PAIRS)


def two_points():
    """Two modes of one entry."""
    return Normals(torch.tensor([0.3, 0.7]), torch.tensor([[-0.6], [0.5]]), torch.tensor([0.1, 0.2]))


DATA = {"normal": lambda: normal(0.3, 0.4), "two_modes": two_points}


def exact_head(schedule="rectified", parametrisation="velocity", data="two_modes", **options):
    schedule, parametrisation = SCHEDULES[schedule](), PARAMETRISATIONS[parametrisation]()
    return DenoisingHead(
        unit_event(1),
        Exact(DATA[data](), schedule, parametrisation),
        schedule=schedule,
        parametrisation=parametrisation,
        **options,
    )


def density(data, x):
    components = torch.exp(-(((x - data.mean.T) / data.deviation) ** 2) / 2) / data.deviation / math.sqrt(2 * math.pi)
    return (data.weight * components).sum(1)


# --- The denoiser -------------------------------------------------------------------------------------------------


@READABLE
@pytest.mark.parametrize("data", DATA)
def test_the_denoiser_of_known_data_is_the_posterior_mean_by_integration(schedule, parametrisation, data):
    head = exact_head(schedule, parametrisation, data)
    grid = torch.linspace(-3, 3, 20_001)
    prior = density(DATA[data](), grid.view(-1, 1))
    for t in (0.1, 0.5, 0.9):
        at = head.schedule.coefficients(torch.tensor([t]))
        x_t = torch.linspace(-2, 2, 9) * (at.alpha**2 * 0.5 + at.sigma**2).sqrt()
        likelihood = (-(((x_t.view(-1, 1) - at.alpha * grid) / at.sigma) ** 2) / 2).softmax(1)
        expected = (likelihood * prior * grid).sum(1) / (likelihood * prior).sum(1)
        x_hat = head.denoise(x_t.view(-1, 1, 1), torch.full((9,), t), torch.zeros(9, 1)).flatten()
        torch.testing.assert_close(x_hat, expected, rtol=1e-6, atol=1e-6)


def train(head, data, steps=400):
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)
    for step in range(steps):
        x = data.draw(256, draws.generator(1, step)).float().view(-1, 1, 1)
        optimizer.zero_grad()
        head.loss(x, torch.zeros(256, 0), generator=draws.generator(2, step)).mean().backward()
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(
    ("schedule", "parametrisation"),
    [(Rectified(), Velocity()), (Linear(100, 1e-3, 0.15), Noise()), (Cosine(100), Clean()), (Karras(), V(0.5))],
    ids=["flow_matching", "ddpm", "clean", "edm"],
)
def test_a_trained_denoiser_approaches_the_posterior_mean(schedule, parametrisation, data):
    torch.set_default_dtype(torch.float32)
    data = DATA[data]()
    net = ResidualMLP(horizon=1, channels_in=1, channels_out=1, context=0, width=48, depth=1)
    head = DenoisingHead(unit_event(1), net, schedule=schedule, parametrisation=parametrisation)
    train(head, Normals(*(part.float() for part in (data.weight, data.mean, data.deviation))))
    for t in (0.2, 0.35, 0.5, 0.65, 0.8):
        at = schedule.coefficients(torch.tensor([t], dtype=torch.float64))
        x = data.draw(500, draws.generator(3))
        x_t = at.alpha * x + at.sigma * torch.randn(500, 1, generator=draws.generator(4), dtype=torch.float64)
        with torch.no_grad():
            x_hat = head.denoise(x_t.float().unsqueeze(2), torch.full((500,), t), torch.zeros(500, 0)).squeeze(2)
        expected = data.denoise(x_t, at.alpha, at.sigma)
        # In units of the event, or of the network's output where that is read with a factor above one.
        factor = parametrisation.affine(at)[1].abs().clamp(min=1)
        assert ((x_hat - expected) / factor).square().mean().sqrt() < 0.08
        print("TRAIN", ((x_hat - expected) / factor).square().mean().sqrt())


class Recorder(nn.Module):
    """Remembers what a head asks its network; answers with the context, so that answers differ by it."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, t, c):
        self.calls.append((x, t, c))
        return c["goal"].view(-1, 1, 1) + 0.1 * x


class Estimates(Sampler):
    """A walk that only asks: keeps the estimate of every level at the initial noise."""

    def run(self, x, grid, denoise, noise):
        self.grid = grid
        self.asked = x
        self.answers = [denoise(x, level) for level in grid[:-1]]
        return x


@READABLE
def test_the_sampler_is_given_the_denoiser_itself(schedule, parametrisation):
    sampler = Estimates()
    head = exact_head(schedule, parametrisation, sampler=sampler, steps=7, clip=None)
    head.sample(torch.zeros(1, 1), 50, generator=draws.generator(1))
    assert sampler.asked.std().item() == pytest.approx(head.schedule.initial_deviation, rel=0.3)
    for level, x_hat in zip(sampler.grid, sampler.answers, strict=False):
        expected = head.denoise(sampler.asked, torch.full((50,), level.t), torch.zeros(50, 1))
        torch.testing.assert_close(x_hat, expected, rtol=1e-6, atol=1e-6)


def test_clean_estimates_are_confined_by_clip_only():
    for clip, largest in ((0.2, 0.2), (None, 1.0)):
        sampler = Estimates()
        head = exact_head(sampler=sampler, steps=20, clip=clip)
        head.sample(torch.zeros(1, 1), 500, generator=draws.generator(1))
        reached = torch.stack(sampler.answers).abs().max().item()
        assert reached == pytest.approx(largest, abs=1e-12) if clip else reached > 0.5


@READABLE
def test_no_network_has_less_loss_than_the_exact_one(schedule, parametrisation):
    head = exact_head(schedule, parametrisation)
    x = two_points().draw(2000, draws.generator(5)).unsqueeze(1)

    def loss(offset):
        exact = head.net
        head.net = lambda x, t, c: exact(x, t, c) + offset(x)
        value = head.loss(x, torch.zeros(2000, 1), generator=draws.generator(6))
        head.net = exact
        return value

    head.net.__class__.__call__  # the exact network is a module; plain functions stand in for it below
    del head._modules["net"]
    head.__dict__["net"] = Exact(two_points(), head.schedule, head.parametrisation)
    best = loss(torch.zeros_like)
    for offset in (lambda x: 0.3 * torch.ones_like(x), lambda x: -0.3 * torch.ones_like(x), lambda x: 0.3 * x):
        difference = loss(offset) - best
        assert difference.mean().item() > 3 * difference.std().item() / math.sqrt(2000)
