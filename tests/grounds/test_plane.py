"""The plane judges: the truth is as far from itself as the floor, and a mean is far from both."""

import pytest
import torch
from torch import nn

from embodied_gen import draws
from embodied_gen.demos.windows import Windows
from embodied_gen.events import Trajectory
from embodied_gen.grounds.plane import PlaneGround
from embodied_gen.heads import Head
from embodied_gen.predictor import Predictor

GROUNDS = [
    PlaneGround(shape=shape, condition=condition, points=400, contexts=4, samples=500)
    for shape, condition in (
        ("eight_gaussians", "free"),
        ("two_moons", "scale"),
        ("checkerboard", "label"),
        ("pinwheel", "angle"),
    )
]


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
    assert found["successes"] > 0.99 * found["trials"] and sum(found["parts"]) == found["successes"]
    assert min(found["parts"]) > 0
    assert 0.5 < found["distance"] / found["floor"] < 2


@pytest.mark.parametrize("ground", GROUNDS, ids=lambda g: g.shape)
def test_a_point_is_far_from_the_truth(ground):
    found = judged(ground, 0.0)
    assert found["distance"] > 5 * found["floor"]
    assert sum(count > 0 for count in found["parts"]) <= 1


def test_the_truths_own_surprise_is_in_model_units():
    """Halving the width of the bounds doubles all model units: the density of each number halves."""
    ground = GROUNDS[0]
    wide = Predictor(nn.Flatten(), Known(ground.density, 1.0))
    narrow = Predictor(nn.Flatten(), Known(ground.density, 1.0))
    narrow.head.event = Trajectory(1, [-1.0, -0.5], [1.0, 0.5])
    values = [ground.judge(p, seed=0, workers=1)["nll_of_truth"] for p in (wide, narrow)]
    assert values[1] - values[0] == pytest.approx(float(torch.tensor(2.0).log()), abs=1e-5)
    assert "nll_of_truth" not in judged(GROUNDS[1], 1.0)


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
