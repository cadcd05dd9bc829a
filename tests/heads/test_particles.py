"""Particles tend to the exact conditional: against closed forms, and against rejection from the same distribution.

Two constraints in the plane on a mixture of eight normals on a circle, whose denoiser is exact: a disc to avoid that
holds a fifth of the mass, and a disc to stay in that holds a hundredth.
"""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import Trajectory
from embodied_gen.heads import DenoisingHead, Guide, RowGuide, settle
from embodied_gen.heads.analytic import Exact, Normals
from embodied_gen.heads.parametrisation import V, Velocity
from embodied_gen.heads.particles import Particles, _State, effective, systematic, tempered
from embodied_gen.heads.samplers import Ancestral
from embodied_gen.heads.schedules import Cosine, Rectified
from tests.heads.analytic import normal, two_modes, unit_event

pytestmark = pytest.mark.usefixtures("double")

ANGLE = torch.arange(8) * math.pi / 4
CIRCLE = Normals(
    torch.full((8,), 1 / 8, dtype=torch.float64),
    0.8 * torch.stack([ANGLE.cos(), ANGLE.sin()], -1).double(),
    torch.full((8,), 0.1, dtype=torch.float64),
)
HALF = 5.0  # the bounds of the plane [m]; model units are its fifth


def outside(y):
    """Margin of a disc of 2 m between two modes, to be avoided."""
    centre = y.new_tensor([math.cos(math.pi / 8), math.sin(math.pi / 8)]) * 3.88
    return (y - centre).norm(dim=-1) - 2.0


def inside(y):
    """Margin of a disc of 0.24 m beside a mode, to be stayed in."""
    return 0.24 - (y - y.new_tensor([3.575, 0.0])).norm(dim=-1)


def head_of(guidance, *, data=CIRCLE, half=HALF, schedule=None, steps=100, deviation=0.35):
    schedule = schedule or Cosine(100)
    reading = V() if isinstance(schedule, Cosine) else Velocity()
    channels = data.mean.shape[1]
    head = DenoisingHead(
        Trajectory(1, [-half] * channels, [half] * channels),
        Exact(data, schedule, reading),
        schedule=schedule,
        parametrisation=reading,
        steps=steps,
        clip=None,
        guidance=guidance,
    ).double()
    torch.nn.init.constant_(head.log_deviation, math.log(deviation))
    return head


def truth(constraint, count, seed):
    """Draws of the exact conditional, by rejection.

    Particles tend to the conditional of the free sampler, whose 100 steps make the modes a little narrow, which moves
    what is left of them outside of the large disc. Inside of the small one this is nothing: draws are from the data.
    """
    if constraint is inside:
        y = HALF * CIRCLE.draw(400 * count, draws.generator(seed, 1))
    else:
        free = head_of(None)
        free.sampler = Ancestral()
        y = HALF * free.sample(torch.zeros(2 * count, 1), generator=draws.generator(seed, 1)).reshape(-1, 2)
    kept = y[constraint(y) >= 0]
    assert len(kept) >= count
    return kept[:count]


def sliced(x, y, directions=100):
    """Sliced Wasserstein-2 distance of two equally large sets of points in the plane."""
    angle = torch.arange(directions) * math.pi / directions
    axes = torch.stack([angle.cos(), angle.sin()]).to(x.dtype)
    return ((x @ axes).sort(0).values - (y @ axes).sort(0).values).square().mean().sqrt().item()


@pytest.mark.parametrize(("constraint", "allowed"), [(outside, 1.25), (inside, 3.0)])
def test_the_default_samples_the_exact_conditional_of_a_hard_constraint(constraint, allowed):
    runs = 2000  # contexts of 16 particles, of which one sample is kept: independent draws
    head = head_of(Particles())
    distance, floor, near, near_truth = [], [], [], []
    for seed in range(2):
        y = HALF * head.sample(
            torch.zeros(runs, 1), 1, generator=draws.generator(seed), guide=Guide(margins=constraint)
        )
        y = y.reshape(runs, 2)
        assert (constraint(y) >= 0).all(), "no sample violates, and no run is without a feasible one"
        near.append((constraint(y) < 0.02).double().mean().item())
        for number in range(3):
            one, two = (truth(constraint, runs, 10 * seed + 2 * number + k) for k in range(2))
            distance.append(sliced(y, one))
            floor.append(sliced(two, one))
            near_truth.append((constraint(one) < 0.02).double().mean().item())
    assert sum(distance) <= allowed * sum(floor)
    assert sum(near) / len(near) <= 1.5 * sum(near_truth) / len(near_truth) + 0.002


def test_langevin_steps_lead_to_the_twisted_distribution_of_their_level():
    # Normal data and a quadratic cost: p_t psi_t is normal, and both of its factors are exact.
    mean, deviation, goal, scale = 0.2, 0.4, -0.5, 6.0
    head = head_of(Particles(), data=normal(mean, deviation), half=1.0, deviation=deviation)
    level = head._grid[80]
    spread = level.alpha**2 * deviation**2 + level.sigma**2  # of p_t
    slope = level.alpha * deviation**2 / spread  # of the clean estimate
    uncertain = deviation**2 * level.sigma**2 / spread + 1 / scale
    precision = 1 / spread + slope**2 / uncertain
    # The clean estimate meets the goal at x = alpha mean + (goal - mean) / slope.
    centre = level.alpha * mean + slope**2 / uncertain * ((goal - mean) / slope) / precision

    method = Particles(corrections=150, corrected=9.0, iterations=12)
    guide = RowGuide(Guide(cost=lambda y: (y - goal).square().sum((-1, -2)) / 2, scale=scale), head.event, 1)
    walk = head._walk(torch.zeros(4000, 1), 4000, draws.generator(5))
    start = method._look(walk, guide, torch.full((4000, 1, 1), 1.5), level)
    x = method._correct(walk, guide, start, level, torch.ones(4000)).x.flatten()
    assert x.mean().item() == pytest.approx(centre, abs=0.02)
    assert x.std().item() == pytest.approx(precision**-0.5, rel=0.05)


@pytest.mark.parametrize(("eta", "tempering"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.8)])
def test_the_error_of_estimates_falls_with_the_root_of_the_number_of_particles(eta, tempering):
    # A mixture of normals under a normal likelihood is a mixture again, whose mean is known.
    data, precision, goal = two_modes(0.3), 4.0, torch.tensor([0.1, -0.4])
    variance = data.deviation.square()
    kept = variance * (1 / precision) / (variance + 1 / precision)
    mean = (data.mean / variance[:, None] + precision * goal) * kept[:, None]
    away = (data.mean - goal).square().sum(1) / (2 * (variance + 1 / precision))
    weight = (data.weight.log() - away - (variance + 1 / precision).log()).softmax(0)
    exact = (weight[:, None] * mean).sum(0)

    guide = Guide(cost=lambda y: (y - goal).square().sum((-1, -2)) / 2, scale=precision)
    errors, counts = [], [8, 32, 128]
    for count in counts:
        method = Particles(count, eta=eta, iterations=12, tempering=tempering)
        head = head_of(method, data=data, half=1.0, deviation=0.5)
        y = head.sample(torch.zeros(100, 1), count, generator=draws.generator(4), guide=guide)
        errors.append((y.mean(1)[:, 0] - exact).square().sum(1).mean().sqrt().item())
    slope = math.log(errors[-1] / errors[0]) / math.log(counts[-1] / counts[0])
    assert -0.65 < slope < -0.35, errors


@given(st.lists(st.floats(-20, 5), min_size=1, max_size=12), st.integers(1, 40), st.integers(0, 1000))
def test_systematic_draws_are_as_even_as_whole_numbers_allow(log_weight, n, seed):
    log_weight = torch.tensor([log_weight, log_weight])
    index = systematic(log_weight, n, generator=draws.generator(seed))
    expected = n * log_weight[0].softmax(0)
    for row in index:
        count = torch.bincount(row, minlength=log_weight.shape[1])
        assert ((count - expected).abs() < 1 + 1e-9).all()
        assert row.diff().ge(0).all()


def test_particles_of_no_weight_are_never_drawn_and_none_of_weight_are_drawn_alike():
    log_weight = torch.tensor([[-math.inf, 0.0, math.nan, 0.0], [-math.inf, math.nan] * 2])
    index = systematic(log_weight, 8, generator=draws.generator(0))
    assert index.tolist() == [[1] * 4 + [3] * 4, [0, 0, 1, 1, 2, 2, 3, 3]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_last_position_is_that_of_a_particle_of_weight_however_it_rounds(monkeypatch, dtype):
    almost_one = 1 - torch.finfo(dtype).eps / 2
    monkeypatch.setattr(draws, "uniform", lambda shape, *, generator, like: like.new_full(shape, almost_one))
    log_weight = torch.tensor([[0.0, 0.3, 0.1, -math.inf, -math.inf], [-math.inf] * 5], dtype=dtype)
    index = systematic(log_weight, 50, generator=draws.generator(0))
    assert index.amax(1).tolist() == [2, 4]


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=10))
def test_the_effective_number_lies_between_one_and_all(log_weight):
    number = effective(torch.tensor([log_weight]))
    assert 1 - 1e-9 <= number.item() <= len(log_weight) + 1e-9
    assert effective(torch.zeros(1, 7)).item() == pytest.approx(7)


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 50)), min_size=2, max_size=10),
    st.floats(0.01, 0.95),
    st.floats(0, 1),
)
def test_psi_is_tempered_no_more_than_the_effective_number_asks(particles, share, least):
    log_weight, energy = torch.tensor(particles).T.unsqueeze(1)
    number = share * len(particles)
    exponent = tempered(log_weight, energy, torch.tensor([[least]]), share)
    assert least <= exponent.item() <= 1
    assert exponent.item() == least or effective(log_weight - exponent * energy).item() >= number
    if effective(log_weight - energy).item() >= number:
        assert exponent.item() == 1
    elif exponent.item() > least:  # a little more would be too much
        more = exponent + 2e-3 * (1 - least)
        assert effective(log_weight - more * energy).item() < number
    assert tempered(log_weight, energy, torch.tensor([[least]]), 0.0).item() == 1


def test_contexts_are_tempered_each_by_its_own_weights():
    energy = torch.tensor([[0.0, 0.1, 0.2, 0.1], [0.0, 90.0, 50.0, 70.0]])
    exponent = tempered(torch.zeros(2, 4), energy, torch.zeros(2, 1), 0.5)
    assert exponent[0].item() == 1 and 0 < exponent[1].item() < 0.1


@pytest.mark.parametrize("inside_by", [-4.0, -2.0, -1.0, 0.0, 1.0, 3.0])
def test_the_settled_estimate_and_its_value_are_near_those_of_the_normal_cut_off_at_a_flat_constraint(inside_by):
    deviation, slope = 0.2, torch.tensor([0.6, 0.8])
    event = unit_event(2)
    guide = Guide(margins=lambda y: 7 * ((y * slope).sum(-1) - 0.1))  # any unit will do
    x_hat = (slope * (0.1 + inside_by * deviation)).view(1, 1, 2)
    x, value = settle(x_hat, deviation**2, RowGuide(guide, event, 1), iterations=8)
    normal_ = torch.distributions.Normal(0.0, 1.0)
    mass = normal_.cdf(torch.tensor(inside_by))
    mean = inside_by + normal_.log_prob(torch.tensor(inside_by)).exp() / mass  # of the cut-off normal
    moved = ((x[0, 0] * slope).sum() - 0.1) / deviation
    assert moved.item() == pytest.approx(mean.item(), abs=0.5)
    assert value.item() == pytest.approx(-mass.log().item(), abs=0.4 + 0.2 * abs(mass.log().item()))


def test_a_set_that_is_empty_is_answered_with_finite_samples_that_are_flagged():
    head = head_of(Particles(4), steps=10)
    guide = Guide(margins=lambda y: torch.cat([y[..., 0] - 1, -1 - y[..., 0]], -1))
    answer = head.certified(torch.zeros(3, 1), 2, generator=draws.generator(0), guide=guide)
    assert answer.x.shape == (3, 2, 1, 2) and answer.x.isfinite().all() and answer.x.abs().max() < 3
    assert not answer.feasible.any() and (answer.weight == 0).all() and (answer.margin < 0).all()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_few_steps_are_enough_for_a_constraint_that_the_estimate_can_reach(steps):
    head = head_of(Particles(8), data=normal(-0.2, 0.3, 2), half=1.0, schedule=Rectified(), steps=steps, deviation=0.3)
    guide = Guide(margins=lambda y: y[..., 0])
    assert head.certified(torch.zeros(20, 1), 2, generator=draws.generator(0), guide=guide).feasible.all()


def test_nothing_is_steered_from_pure_noise():
    looked = []
    guide = Guide(margins=lambda y: looked.append(y.shape) or inside(y))
    head = head_of(Particles(8), steps=10)
    walk = head._walk(torch.zeros(8, 1), 8, draws.generator(0))
    levels = []
    watched = dataclasses.replace(walk, variance=lambda level: levels.append(level) or walk.variance(level))
    head.guidance.run(watched, RowGuide(guide, head.event, 1), 2)
    assert levels == head._grid[1:-1] and looked


def test_what_is_feasible_is_told_for_each_sample():
    free = head_of(Particles(), steps=10)
    c = torch.zeros(20, 1)
    answer = free.certified(c, 5, generator=draws.generator(0), guide=Guide(margins=outside))
    assert answer.feasible.all() and answer.weight.eq(1 / 5).all()
    assert answer.margin.equal(outside(free.event.unscale(answer.x)).amin(-1))
    nothing = free.certified(c, 5, generator=draws.generator(0), guide=Guide())
    assert nothing.margin.isinf().all() and nothing.feasible.all()


def test_a_context_has_the_same_particles_whatever_lies_beside_it():
    head = head_of(Particles(8), steps=10)
    guide = Guide(margins=inside, cost=lambda y: y[..., 0, 0])
    together = head.sample(torch.zeros(3, 1), 2, generator=[draws.generator(k) for k in range(3)], guide=guide)
    alone = head.sample(torch.zeros(1, 1), 2, generator=[draws.generator(2)], guide=guide)
    torch.testing.assert_close(together[2:], alone, rtol=1e-9, atol=1e-9)


def test_costs_without_gradients_are_followed_by_weights():
    data = normal(0.0, 0.4, 2)
    head = head_of(Particles(64), data=data, half=1.0, deviation=0.4)
    guide = Guide(cost=lambda y: (y[..., 0, 0] < 0).to(y.dtype), scale=3.0)  # a step: its gradient is zero
    y = head.sample(torch.zeros(200, 1), 1, generator=draws.generator(1), guide=guide)
    share = (y[..., 0] < 0).double().mean().item()
    assert share == pytest.approx(math.exp(-3) / (1 + math.exp(-3)), abs=0.05)


@pytest.mark.parametrize("count", [4, 6, 8, 16])
def test_a_particle_that_has_nearly_all_weight_takes_the_place_of_the_others(count):
    head = head_of(None, steps=10)
    walk = head._walk(torch.zeros(count, 1), count, draws.generator(0))
    alone = torch.full((1, count), -9.0)
    alone[0, 1] = 0.0
    weight, index = Particles(count)._resample(alone, walk)
    assert (index == 1).all() and (weight == weight[0, 0]).all()
    even = torch.zeros(1, count)
    even[0, 0] = 0.5
    for method, log_weight in ((Particles(count), even), (Particles(count, threshold=0.0), alone)):
        weight, index = method._resample(log_weight, walk)
        assert index.equal(torch.arange(count)) and weight.equal(log_weight)


@pytest.mark.parametrize("dead", [math.nan, math.inf])
def test_particles_whose_cost_is_not_finite_do_not_decide_on_others(dead):
    # The half-plane of no cost is avoided, and on the other side the cost is followed as if there were no such thing.
    head = head_of(Particles(64), data=normal(0.0, 0.4, 2), half=1.0, deviation=0.4)

    def cost(y):
        here = y[..., 0, :]
        return torch.where(here[..., 0] < 0, dead, (here[..., 1] < 0).to(y.dtype))

    y = head.sample(torch.zeros(200, 1), 1, generator=draws.generator(1), guide=Guide(cost=cost, scale=3.0))[:, 0, 0]
    assert (y[:, 0] >= 0).all()
    assert (y[:, 1] < 0).double().mean().item() == pytest.approx(math.exp(-3) / (1 + math.exp(-3)), abs=0.05)


@pytest.mark.parametrize("impossible", [math.nan, math.inf])
def test_a_band_around_the_mean_that_is_impossible_is_left_to_both_sides(impossible):
    # Every estimate near pure noise lies in the band, beyond which there are both sides and a cost to follow.
    head = head_of(Particles(), data=normal(0.0, 0.4, 2), half=1.0, deviation=0.4, steps=20)

    def cost(y):
        here = y[..., 0, :]
        return torch.where(here[..., 0].abs() < 0.3, impossible, 3 * (here[..., 1] < 0).to(y.dtype))

    y = head.sample(torch.zeros(300, 1), 1, generator=draws.generator(1), guide=Guide(cost=cost))[:, 0, 0]
    assert (y[:, 0].abs() >= 0.3).all()
    assert 0.4 < (y[:, 0] > 0).double().mean() < 0.6
    assert (y[:, 1] < 0).double().mean() < 0.15


@pytest.mark.parametrize("impossible", [math.nan, math.inf])
def test_where_no_particle_is_possible_a_steered_estimate_that_is_takes_its_place(impossible):
    head = head_of(None, steps=10)
    walk = head._walk(torch.zeros(4, 1), 4, draws.generator(0))
    clean = torch.zeros(4, 1, 2)
    guided = torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None].expand(4, 1, 2)
    state = _State(clean, clean, guided, torch.zeros(4))

    def kept(cost, margins=None):
        guide = RowGuide(Guide(cost=cost, margins=margins), head.event, 1)
        x = Particles()._finish(walk, guide, state, torch.zeros(1, 4), torch.ones(1, 1), 40)
        return set(head.event.scale(head.event.unscale(x)).mul(10).round().flatten().int().tolist())

    def dear(*allowed):
        return lambda y: torch.where(
            sum((y - HALF * a).abs().amax((-1, -2)) < 1e-6 for a in allowed) > 0, 0.0, impossible
        )

    assert kept(dear(0.2, 0.3)) == {2, 3}
    assert kept(dear(0.2, 0.3), lambda y: y[..., 0] - HALF * 0.25) == {3}
    assert kept(dear(0.1, 0.2), lambda y: y[..., 0] - HALF * 0.25) == {2}
    assert kept(dear(0.9), lambda y: y[..., 0] - HALF * 0.35) == {4}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Particles(1), "count must be at least 2; got 1. For a single row use Steered"),
        (lambda: Particles(eta=0), r"eta must lie in \(0, 1\]; got 0"),
        (lambda: Particles(free=1.0), "free must lie strictly between 0 and 1; got 1.0. It bounds the weights"),
        (lambda: Particles(tempering=1.0), r"tempering must lie in \[0, 1\); got 1.0. Zero tempers nothing"),
        (lambda: Particles(threshold=2), r"threshold must lie in \[0, 1\]; got 2"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
