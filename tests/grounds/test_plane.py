"""The plane judges: the truth is as far from itself as the floor, and a mean is far from both."""

import math

import pytest
import torch
from torch import nn

from embodied_gen import draws
from embodied_gen.blocks import MLPBlock
from embodied_gen.demos.windows import Windows
from embodied_gen.events import Binary, Trajectory
from embodied_gen.experiment import Sizes
from embodied_gen.grounds import plane
from embodied_gen.grounds.measures import apart, slices
from embodied_gen.grounds.plane import BitsGround, PlaneGround
from embodied_gen.heads import Head
from embodied_gen.predictor import Predictor
from embodied_gen.training import TrainSettings

GROUNDS = [
    PlaneGround(shape=shape, condition=condition, points=400, contexts=4, samples=500)
    for shape, condition in (
        ("eight_gaussians", "free"),
        ("two_moons", "scale"),
        ("checkerboard", "label"),
        ("pinwheel", "angle"),
    )
]


BITS = BitsGround(shape="checkerboard", condition="label", points=400, contexts=4, samples=500)


class Known(Head):
    """The density itself, or its mean."""

    def __init__(self, density, spread):
        super().__init__(Trajectory(1, [-2.0, -1.0], [2.0, 1.0]))
        self.density, self.spread = density, spread

    def loss(self, x, c, *, generator, valid=None):
        return x.new_zeros(len(x))

    def _sample(self, c, rows, generator, guide):
        return self.event.scale(self.spread * self.density.sample(c, generator=generator).unsqueeze(1))


def judged(ground, spread):
    predictor = Predictor(nn.Flatten(), Known(ground.density, spread))
    return ground.judge(predictor, seed=0, workers=1)


@pytest.mark.parametrize("ground", GROUNDS, ids=lambda g: g.shape)
def test_the_truth_is_as_good_as_the_floor_and_reaches_every_part(ground):
    found = judged(ground, 1.0)
    assert found["trials"] == ground.contexts * ground.samples
    parts, due = (torch.tensor(found[name]) for name in ("parts", "due"))
    assert found["successes"] > 0.99 * found["trials"] == 0.99 * ground.judgements
    assert parts.sum() == found["successes"] and parts.shape == due.shape == (4, ground.density.shape.parts)
    assert torch.equal(parts > 0, due > 0) and due.sum(1) == pytest.approx(torch.full((4,), 500.0))
    assert (parts - due).abs().max() < 5 * (due.max() + 1).sqrt()  # in each context, not of all together
    assert found["spread"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("ground", [*GROUNDS, BITS], ids=lambda g: f"{g.kind} {g.shape}")
def test_the_distance_of_the_truth_is_that_of_the_floor_in_the_mean(ground):
    """One other sample made a floor of 0.8 to 1.2 of it, which was the same for all that it was compared with."""
    truth, stream = plane._truth(ground), draws.generator(7)
    points = (ground.decoded(ground.coded(ground.density.sample(truth.rows, generator=stream))) for _ in range(40))
    squares = [apart(slices(y.view(ground.contexts, -1, 2)), truth.slices).square().mean() for y in points]
    assert math.sqrt(sum(squares) / 40) / truth.floor == pytest.approx(1, abs=0.1)


class Collapsed(Head):
    """The first draw of each part of the density under each context, over and over."""

    def __init__(self, ground):
        super().__init__(Trajectory(1, [-2.0, -1.0], [2.0, 1.0]))
        self.ground = ground

    def loss(self, x, c, *, generator, valid=None):
        return x.new_zeros(len(x))

    def _sample(self, c, rows, generator, guide):
        y = self.ground.density.sample(c, generator=generator)
        first: dict[int, int] = {}
        kept = [first.setdefault(part, row) for row, part in enumerate(self.ground.parts(y, c).tolist())]
        return self.event.scale(y[kept].unsqueeze(1))


@pytest.mark.parametrize("ground", GROUNDS, ids=lambda g: g.shape)
def test_parts_that_have_collapsed_to_points_are_reached_and_have_no_spread(ground):
    found, truth = ground.judge(Predictor(nn.Flatten(), Collapsed(ground)), seed=0, workers=1), judged(ground, 1.0)
    assert found["parts"] == truth["parts"] and found["spread"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("ground", GROUNDS, ids=lambda g: g.shape)
def test_a_point_is_far_from_the_truth(ground):
    found = judged(ground, 0.0)
    assert found["distance"] > 5 * found["floor"]
    assert (torch.tensor(found["parts"]).sum(0) > 0).sum() <= 1


@pytest.mark.parametrize("ground", GROUNDS, ids=lambda g: g.shape)
def test_bounds_hold_the_density_whatever_the_data_are(ground):
    event = ground.event_of(torch.zeros(3, 1, 2))
    stream = draws.generator(5)
    c = ground.density.contexts(20_000, generator=stream)
    y = ground.density.sample(c, generator=stream)
    assert event.shape == (1, 2) and event.scale(y.unsqueeze(1)).abs().max() <= 1
    assert y.abs().max() > 0.75 * event.high.max()  # and not much more
    assert ground.sizes() == Sizes(observation=c.shape[1], action=2)


def test_bits_have_their_own_bounds_and_sizes():
    assert isinstance(BITS.event_of(torch.zeros(3, 1, 12)), Binary) and BITS.sizes() == Sizes(2, 12)


def test_what_draws_are_compared_with_is_made_once_a_ground(monkeypatch):
    made = []
    monkeypatch.setattr(plane, "slices", lambda cloud, of=plane.slices: (made.append(1), of(cloud))[1])
    plane._truth.cache_clear()
    ground = GROUNDS[0]
    first = judged(ground, 1.0)
    assert len(made) == 22  # the truth, twenty others, and the draws
    other_net = ground.model_copy(update={"net": MLPBlock(width=7), "train": TrainSettings(steps=1)})
    assert judged(other_net, 1.0) == first and len(made) == 23
    judged(GROUNDS[1], 1.0)
    assert len(made) == 45


def test_draws_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match=r"4000 of 4000 numbers that the trained head drew are not finite"):
        judged(GROUNDS[0], math.nan)


def held_out(ground):
    """All examples of a ground."""
    windows = Windows(ground.episodes(lambda _: None), history=1, horizon=1)
    return windows.batch(torch.arange(len(windows)))


def test_the_truths_own_surprise_is_that_of_the_events_that_are_asked_about_in_model_units():
    """Halving the width of the bounds doubles all model units: the density of each number halves."""
    ground = GROUNDS[0]
    batch = held_out(ground)
    events = [Trajectory(1, [-high, -high / 2], [high, high / 2]) for high in (2.0, 1.0)]
    wide, narrow = (ground.surprise_of_truth(batch, event) for event in events)
    assert narrow - wide == pytest.approx(math.log(2), abs=1e-5)
    log_density = ground.density.log_density(batch.value[:, 0], batch.observations[:, 0])
    assert wide == pytest.approx(-(log_density.mean().item() + math.log(2)) / 2, abs=1e-5)
    assert GROUNDS[1].surprise_of_truth(held_out(GROUNDS[1]), events[0]) is None


def test_the_data_are_the_same_for_all_and_lie_on_the_density():
    ground, notes = GROUNDS[2], []
    episodes = ground.episodes(notes.append)
    again = ground.episodes(notes.append)
    assert ground.missing() == 0 and notes == [] and episodes.digest() == again.digest()
    assert len(episodes) == 400 and (episodes.lengths == 1).all()
    assert (ground.density.part_of(episodes.actions, episodes.observations) >= 0).all()
    batch = Windows(episodes, history=1, horizon=1).batch(torch.tensor([3]))
    assert batch.observations.shape == (1, 1, 2) and batch.value.shape == (1, 1, 2)


def test_judging_draws_from_the_seed_alone():
    ground = GROUNDS[0]
    predictor = Predictor(nn.Flatten(), Known(ground.density, 1.0))
    first = ground.judge(predictor, seed=1, workers=1)
    draws.normal((5,), generator=draws.generator(0), like=torch.zeros(()))
    assert ground.judge(predictor, seed=1, workers=1) == first
    assert ground.judge(predictor, seed=2, workers=1) != first


def test_codes_of_cells_are_read_back_and_neighbours_differ_in_one_unit():
    y = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    back = BITS.decoded(BITS.coded(y))
    assert ((back - y.clamp(-1, 1)).abs() <= 1 / 64 + 1e-6).all()
    middles = (torch.arange(64) + 0.5) / 32 - 1
    codes = BITS.coded(torch.stack([middles, middles], 1))
    assert ((codes.diff(dim=0) != 0).sum(1) == 2).all()  # one of each coordinate
    assert len(codes.unique(dim=0)) == 64 and set(codes.unique().tolist()) == {0.0, 1.0}


class Coded(Head):
    """The density itself, coded."""

    def __init__(self, ground):
        super().__init__(Binary(2 * ground.bits))
        self.ground = ground

    def loss(self, x, c, *, generator, valid=None):
        return x.new_zeros(len(x))

    def _sample(self, c, rows, generator, guide):
        return self.event.scale(self.ground.coded(self.ground.density.sample(c, generator=generator)).unsqueeze(1))


def test_the_coded_truth_is_as_good_as_the_floor_and_its_surprise_is_that_of_cells():
    found = BITS.judge(Predictor(nn.Flatten(), Coded(BITS)), seed=0, workers=1)
    assert found["successes"] == found["trials"]  # cells of the code lie within those of the board
    assert found["spread"] == pytest.approx(1, abs=0.1)
    # A label leaves four cells of the board, each of 16 x 16 cells of the code, all equally likely.
    assert BITS.surprise_of_truth(held_out(BITS), Binary(12)) * 12 == pytest.approx(math.log(4 * 16 * 16))
