import itertools
import math

import pytest
import torch
from scipy import stats
from torch import nn

from embodied_gen import context, draws
from embodied_gen.events import LabelMap
from embodied_gen.events.labels import UNLABELLED
from embodied_gen.heads import DenoisingHead
from embodied_gen.heads.analytic import Exact, Normals
from embodied_gen.heads.parametrisation import Clean, Noise, V, Velocity
from embodied_gen.heads.samplers import DDIM, Heun, Sampler
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import PAIRS, PARAMETRISATIONS, SCHEDULES, normal, unit_event

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


def train(head, data, steps=350):
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)
    for step in range(steps):
        x = data.draw(256, draws.generator(1, step)).float().view(-1, 1, 1)
        optimizer.zero_grad()
        head.loss(x, torch.zeros(256, 0), generator=draws.generator(2, step)).mean().backward()
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("schedule", "parametrisation", "data"),
    [
        (Rectified(), Velocity(), "normal"),
        (Rectified(), Velocity(), "two_modes"),
        (Linear(100, 1e-3, 0.15), Noise(), "two_modes"),
        (Cosine(100), Clean(), "two_modes"),
        (Karras(), V(0.5), "two_modes"),
    ],
    ids=["flow_matching_normal", "flow_matching", "ddpm", "clean", "edm"],
)
def test_a_trained_denoiser_approaches_the_posterior_mean(schedule, parametrisation, data):
    torch.set_default_dtype(torch.float32)
    data = DATA[data]()
    net = ResidualMLP(horizon=1, channels_in=1, channels_out=1, context=0, width=48, depth=1)
    head = DenoisingHead(unit_event(1), net, schedule=schedule, parametrisation=parametrisation)
    train(head, data)
    # Levels that training visits often, rarely and in between.
    drawn = schedule.draw(4000, generator=draws.generator(9), like=torch.zeros(()))
    for t in drawn.quantile(torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])):
        at = schedule.coefficients(t.double())
        x = data.draw(500, draws.generator(3))
        x_t = at.alpha * x + at.sigma * torch.randn(500, 1, generator=draws.generator(4), dtype=torch.float64)
        with torch.no_grad():
            x_hat = head.denoise(x_t.float().unsqueeze(2), t.expand(500), torch.zeros(500, 0)).squeeze(2)
        expected = data.denoise(x_t, at.alpha, at.sigma)
        # In units of the event, or of the network's output where that is read with a factor above one.
        factor = parametrisation.affine(at)[1].abs().clamp(min=1)
        assert ((x_hat - expected) / factor).square().mean().sqrt() < 0.12


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


class Shifted(nn.Module):
    """A network that is off by a linear function of its input."""

    def __init__(self, net, offset, slope):
        super().__init__()
        self.net, self.offset, self.slope = net, offset, slope

    def forward(self, x, t, c):
        return self.net(x, t, c) + self.offset + self.slope * x


@READABLE
def test_no_network_has_less_loss_than_the_exact_one(schedule, parametrisation):
    x = two_points().draw(8000, draws.generator(5)).unsqueeze(1)

    def loss(offset=0.0, slope=0.0):
        head = exact_head(schedule, parametrisation)
        head.net = Shifted(head.net, offset, slope)
        return head.loss(x, torch.zeros(8000, 1), generator=draws.generator(6))

    for wrong in (loss(0.5), loss(-0.5), loss(0.0, 0.5), loss(0.0, -0.5)):
        difference = wrong - loss()
        assert difference.mean().item() > 3 * difference.std().item() / math.sqrt(8000)


@pytest.mark.parametrize("data", DATA)
def test_samples_of_the_exact_network_have_the_exact_distribution(data):
    # In each entry of a head with several contexts and samples; samplers and schedules: see test_samplers.
    head = exact_head(data=data, sampler=Heun(), steps=40, clip=None)
    x = head.sample(torch.zeros(20, 1), 100, generator=draws.generator(7)).flatten().numpy()
    known = DATA[data]()

    def cumulative(value):
        parts = stats.norm(known.mean.flatten().numpy(), known.deviation.numpy()).cdf(value[..., None])
        return (parts * known.weight.numpy()).sum(-1)

    assert stats.kstest(x, cumulative).pvalue > 0.01
    assert stats.kstest(x + 0.1, cumulative).pvalue < 1e-3


def test_the_network_is_asked_at_the_times_of_the_grid_with_scaled_inputs_and_its_context():
    net, schedule = Recorder(), Karras(data_deviation=0.5)
    head = DenoisingHead(
        unit_event(1), net, schedule=schedule, parametrisation=V(0.5), sampler=DDIM(), steps=5, clip=None
    )
    goal = torch.tensor([1.0, 2.0, 3.0])
    head.sample({"goal": goal}, 2, generator=draws.generator(1))
    assert [t[0].item() for _, t, _ in net.calls] == pytest.approx([level.t for level in schedule.grid(5)[:-1]])
    for x, t, c in net.calls:
        assert x.shape == (6, 1, 1) and t.shape == (6,) and (t == t[0]).all()
        assert torch.equal(c["goal"], goal.repeat_interleave(2))
    first = schedule.grid(5)[0]
    noise = draws.normal((6, 1, 1), generator=draws.generator(1), like=goal)
    torch.testing.assert_close(net.calls[0][0], first.sigma * noise / math.sqrt(0.5**2 + first.sigma**2))


# --- Without a condition ------------------------------------------------------------------------------------------

PLANE = {"goal": torch.tensor([0.4, -0.2, 0.7], dtype=torch.float64)}


@pytest.mark.parametrize("w", [-0.5, 1.0, 3.0])
@READABLE
def test_guided_estimates_are_extrapolated_from_the_blank_condition(schedule, parametrisation, w):
    sampler = Estimates()
    net = Recorder()
    head = DenoisingHead(
        unit_event(1),
        net,
        schedule=SCHEDULES[schedule](),
        parametrisation=PARAMETRISATIONS[parametrisation](),
        sampler=sampler,
        steps=6,
        clip=None,
        dropout=0.1,
        guidance_weight=w,
    )
    head.sample(PLANE, 2, generator=draws.generator(1))
    c = context.repeat(PLANE, 2)
    nothing = {"goal": torch.zeros(6)}
    for level, x_hat in zip(sampler.grid, sampler.answers, strict=False):
        t = torch.full((6,), level.t)
        conditional, blank = (head.denoise(sampler.asked, t, which) for which in (c, nothing))
        assert not torch.allclose(conditional, blank)
        torch.testing.assert_close(x_hat, (1 + w) * conditional - w * blank, rtol=1e-6, atol=1e-6)


def test_guidance_without_weight_asks_for_the_condition_only():
    net = Recorder()
    head = DenoisingHead(unit_event(1), net, steps=4, dropout=0.5)
    head.sample(PLANE, 2, generator=draws.generator(1))
    for x, _, c in net.calls:
        assert len(x) == 6 and (c["goal"] != 0).all()


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5])
def test_training_drops_the_stated_share_of_contexts_in_every_leaf_at_once(dropout):
    net, rows = Recorder(), 4000
    head = DenoisingHead(unit_event(1), net, dropout=dropout)
    c = {"goal": torch.ones(rows), "image": torch.ones(rows, 2, 3)}
    head.loss(torch.zeros(rows, 1, 1), c, generator=draws.generator(2))
    _, _, seen = net.calls[0]
    dropped = seen["goal"] == 0
    assert torch.equal(seen["image"], (~dropped).double().view(-1, 1, 1).expand(rows, 2, 3))
    if dropout == 0:
        assert not dropped.any()
    else:
        assert stats.binomtest(int(dropped.sum()), rows, dropout).pvalue > 0.01
    assert (c["goal"] == 1).all()


def test_dropping_is_independent_of_the_noise_and_of_the_time():
    net, rows = Recorder(), 4000
    head = DenoisingHead(unit_event(1), net, dropout=0.5)
    head.loss(torch.zeros(rows, 1, 1), {"goal": torch.ones(rows)}, generator=draws.generator(2))
    x, t, c = net.calls[0]
    for value in (t, x.flatten() / t):
        assert stats.ks_2samp(value[c["goal"] == 0].numpy(), value[c["goal"] == 1].numpy()).pvalue > 0.01
    assert stats.kstest((x.flatten() / t).numpy(), stats.norm.cdf).pvalue > 0.01


# --- Losses and refusals ------------------------------------------------------------------------------------------


def test_a_wrong_shape_is_named():
    head = DenoisingHead(unit_event(2), Recorder())
    with pytest.raises(ValueError, match=r"x must have shape \(B, 1, 2\); got \(4, 2\)"):
        head.loss(torch.zeros(4, 2), PLANE, generator=draws.generator(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\); got 1.0"),
        ({"dropout": -0.1}, r"dropout must lie in \[0, 1\); got -0.1"),
        ({"guidance_weight": 2.0}, "guidance_weight 2.0 needs .* dropout > 0"),
        ({"clip": 0.0}, "clip must be positive or None; got 0.0"),
        ({"clip": -1.0}, "clip must be positive or None; got -1.0"),
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"schedule": Cosine(10), "steps": 11}, "steps must lie between 1 and the schedule's 10 levels; got 11"),
        ({"parametrisation": Noise()}, r"Noise of Rectified .* \(alpha = 0\).*Predict a velocity"),
    ],
)
def test_impossible_heads_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DenoisingHead(unit_event(1), Recorder(), **options)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_head_says_how_many_steps_it_takes(steps):
    assert DenoisingHead(unit_event(1), Recorder(), steps=steps).steps == steps


@pytest.mark.parametrize(("schedule", "sampler"), list(itertools.product(SCHEDULES, [DDIM(), Heun()])))
def test_a_chain_of_one_step_gives_the_mean_of_the_data(schedule, sampler):
    # From pure noise the best estimate of the event is its mean, and one step leads to the estimate.
    parametrisation = "v"
    head = exact_head(schedule, parametrisation, "normal", sampler=sampler, steps=1, clip=None)
    x = head.sample(torch.zeros(1, 1), 200, generator=draws.generator(1))
    torch.testing.assert_close(x, torch.full_like(x, 0.3), rtol=0, atol=0.03)


@READABLE
def test_the_deviation_that_guides_assume_is_fitted_to_the_data(schedule, parametrisation):
    head = exact_head(schedule, parametrisation, data="normal")
    optimizer = torch.optim.Adam([head.log_deviation], lr=0.05)
    for step in range(80):
        optimizer.zero_grad()
        z = draws.normal((400, 1, 1), generator=draws.generator(1, step), like=head.event.low)
        loss = head.loss(0.3 + 0.4 * z, torch.zeros(400, 1), generator=draws.generator(2, step))
        loss.mean().backward()
        optimizer.step()
    assert head.log_deviation.exp().item() == pytest.approx(0.4, rel=0.1)


def test_steps_may_be_set_and_are_left_as_they_were_where_they_cannot():
    head, other = exact_head(steps=3), exact_head(steps=7)
    c = torch.zeros(5, 1)
    head.steps = 7
    drawn = [each.sample(c, generator=draws.generator(1)) for each in (head, other)]
    assert head.steps == 7 and torch.equal(*drawn)
    with pytest.raises(ValueError, match="steps must be at least 1; got 0"):
        head.steps = 0
    noise = exact_head("linear", "noise", steps=2)
    noise.schedule = Rectified()  # of which the first level has no signal to be divided by
    with pytest.raises(ValueError, match="no clean estimate at the first level"):
        noise.steps = 4
    assert head.steps == 7 and noise.steps == 2
    assert torch.equal(head.sample(c, generator=draws.generator(1)), drawn[1])


class InStages(nn.Module):
    """Estimates that come closer to the last one."""

    def __init__(self, shares):
        super().__init__()
        self.net, self.shares = nn.Linear(1, 1), shares

    def stages(self, x, t, c):
        return torch.stack([share * self.net(x) for share in self.shares])

    def forward(self, x, t, c):
        return self.stages(x, t, c)[-1]


def test_a_network_with_stages_is_trained_at_each_and_draws_with_the_last():
    shares = (0.0, 0.5, 1.0)
    staged = DenoisingHead(unit_event(1), InStages(shares), parametrisation=Clean(), clip=None)
    single = []
    for share in shares:
        head = DenoisingHead(unit_event(1), InStages((share,)), parametrisation=Clean(), clip=None)
        head.load_state_dict(staged.state_dict())
        single.append(head)
    x, c = torch.linspace(-1, 1, 6).view(6, 1, 1), torch.zeros(6, 1)
    losses = [head.loss(x, c, generator=draws.generator(1)) for head in (staged, *single)]
    torch.testing.assert_close(losses[0], torch.stack(losses[1:]).mean(0))
    drawn = [head.sample(c, generator=draws.generator(1)) for head in (staged, single[-1])]
    assert torch.equal(*drawn)


class Same(nn.Module):
    """The same output for all inputs."""

    def __init__(self, *shape):
        super().__init__()
        self.output = nn.Parameter(torch.randn(shape, generator=draws.generator(0)))

    def forward(self, x, t, c):
        return self.output.expand(x.shape)


def test_cells_without_a_label_teach_the_network_nothing():
    event, labels = LabelMap(3, 4, 3), torch.randint(3, (5, 3, 4), generator=draws.generator(1))
    known = torch.arange(12).view(3, 4) % 3 > 0
    head = DenoisingHead(event, net := Same(3, 4, 3))
    x, c = event.encode(torch.where(known, labels, UNLABELLED)), torch.zeros(5, 1)
    head.loss(x, c, generator=draws.generator(2)).sum().backward()
    taught = (net.output.grad != 0).any(-1)
    assert torch.equal(taught, known)
