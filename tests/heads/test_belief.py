"""What a belief network says of scenes: against enumeration of small ones, and against a rule that made the scenes."""

import math
from itertools import pairwise

import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import Binary
from embodied_gen.heads import BeliefHead
from embodied_gen.heads.gibbs import every_state
from tests.heads.analytic import Constant


def network(units, layers, low=0.0, seed=0):
    head = BeliefHead(Binary(units, low=low), Constant(1, BeliefHead.width(units, layers)), layers=layers, steps=1)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            # Signs differ by two, and are coupled as much more strongly.
            parameter.normal_(0, 1.0 if low == 0 else 0.5, generator=draws.generator(seed, number))
    return head


def enumerated(head):
    """The probability of each state of the units: the top machine by its energies, and one layer after another down."""
    like = torch.zeros(())
    *biases, top = head._biases(torch.zeros(1, 0))
    states = [every_state(size, like) for size in head.sizes[:-1]]
    probability = (-head.layers[-1].free_energy(states[-1], *top)).softmax(0)
    for layer, (below, _), (lower, upper) in reversed(
        list(zip(head.layers[:-1], biases, pairwise(states), strict=True))
    ):
        on = layer.down(upper, below)[:, None]
        given = torch.where(lower > 0, on, 1 - on).prod(2)  # a row for each state of the layer above
        probability = probability @ given
    return probability


SMALL = pytest.mark.parametrize(
    ("layers", "low"), [((3, 2), 0.0), ((3, 2), -1.0), ((2, 3, 2), 0.0)], ids=["two", "signs", "three"]
)


@SMALL
def test_draws_are_as_probable_as_enumeration_says(layers, low, double):
    head = network(3, layers, low)
    probability = enumerated(head)
    assert probability.sum().item() == pytest.approx(1)
    x = head.sample(torch.zeros(1, 0), 6000, generator=draws.generator(1)).flatten(0, 2)
    number = ((x > 0).long() * 2 ** torch.arange(3)).sum(1)
    shares = torch.bincount(number, minlength=8) / 6000
    torch.testing.assert_close(shares, probability.detach(), rtol=0, atol=0.025)


@SMALL
def test_what_is_not_seen_is_as_probable_as_enumeration_says(layers, low, double):
    head, every = network(3, layers, low), every_state(3, torch.zeros(()))
    probability = enumerated(head).detach()
    seen = torch.tensor([True, False, False])
    holds = every[:, 0] > 0
    expected = (probability[holds, None] * (every[holds] > 0)).sum(0) / probability[holds].sum()
    scene = torch.tensor([[[1.0, -1.0, -1.0]]])
    told = head.marginals(
        scene, seen.view(1, 1, 3), torch.zeros(1, 0), generator=draws.generator(2), sweeps=60, chains=200
    )
    torch.testing.assert_close(told[0, 0], expected, rtol=0, atol=0.02)
    assert told[0, 0, 0] == 1


@SMALL
def test_surprise_is_that_of_enumeration(layers, low, double):
    head, every = network(3, layers, low), every_state(3, torch.zeros(()))
    probability = enumerated(head).detach()
    told = head.surprise(
        every.unsqueeze(1), torch.zeros(8, 0), generator=draws.generator(3), sweeps=60, chains=100
    ).squeeze(1)
    for unit in range(3):
        flipped = probability[torch.arange(8) ^ 2**unit]
        torch.testing.assert_close(told[:, unit], -(probability / (probability + flipped)).log(), rtol=0.1, atol=0.05)


# Objects of three rooms: those of the room that a scene shows are there nine times in ten, others hardly ever.
ROOM = torch.arange(12) // 4
PRESENT = torch.where(ROOM == torch.arange(3)[:, None], 0.9, 0.03)


def scenes(rows, generator):
    like = torch.zeros(())
    room = draws.categorical(torch.zeros(rows, 3), generator=generator)
    there = draws.uniform((rows, 12), generator=generator, like=like) < PRESENT[room]
    return (2.0 * there - 1).unsqueeze(1)


def surprise_of_the_rule(x):
    """-log p(x_i | all others) by Bayes' rule over the rooms, shape `(B, 1, 12)`."""
    each = torch.where(x > 0, PRESENT.log(), (1 - PRESENT).log())  # (B, rooms, objects)
    room = (each.sum(2, keepdim=True) - each).softmax(1)
    return -(room * each.exp()).sum(1, keepdim=True).log()


@pytest.fixture(scope="module")
def rooms():
    torch.manual_seed(0)
    layers = (6, 4)
    head = BeliefHead(Binary(12), Constant(1, BeliefHead.width(12, layers)), layers=layers, steps=1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 250)
    for step in range(250):
        optimizer.zero_grad()
        stream = draws.generator(1, step)
        head.loss(scenes(128, stream), torch.zeros(128, 0), generator=stream).mean().backward()
        optimizer.step()
        schedule.step()
    return head


def changed(value):
    """Scenes of whole rooms in which each object that is not of this value takes it, and the object's number."""
    whole = 2.0 * (ROOM == torch.arange(3)[:, None]) - 1
    room, number = (whole == -value).nonzero().T
    x = whole[room].clone()
    x[torch.arange(len(x)), number] = value
    return x.unsqueeze(1), number


def test_what_is_missing_and_what_is_out_of_place_in_a_scene_is_found(rooms):
    for value in (-1.0, 1.0):  # taken away, and put there
        x, number = changed(value)
        surprise = rooms.surprise(x, torch.zeros(len(x), 0), generator=draws.generator(4)).squeeze(1)
        candidates = surprise.where(x.squeeze(1) == value, 0.0)
        assert (candidates.argmax(1) == number).all()
        assert (surprise.argmax(1) == number).all()


def test_surprise_at_scenes_is_about_that_of_the_rule_which_made_them(rooms):
    x = scenes(40, draws.generator(5))
    told = rooms.surprise(x, torch.zeros(40, 0), generator=draws.generator(6))
    assert (told - surprise_of_the_rule(x)).abs().mean() < 0.1


def test_what_was_not_looked_for_is_as_probable_as_among_draws_and_about_as_the_rule_says(rooms):
    x, c = torch.full((1, 1, 12), -1.0), torch.zeros(1, 0)
    x[..., :2] = 1
    seen = x > 0
    told = rooms.marginals(x, seen, c, generator=draws.generator(7), sweeps=100, chains=50)[0, 0]
    there = rooms.sample(c, 20_000, generator=draws.generator(8))[0, :, 0] > 0
    shares = there[there[:, :2].all(1)].float().mean(0)
    torch.testing.assert_close(told, shares, rtol=0, atol=0.05)
    assert told[2:4].min() > 0.6 and told[4:].max() < 0.3


def test_questions_that_cannot_be_are_refused():
    head, x = network(3, (2, 2)), torch.ones(1, 1, 3)
    everything, c = torch.ones_like(x, dtype=torch.bool), torch.zeros(1, 0)
    with pytest.raises(ValueError, match=r"seen must have the shape \(1, 1, 3\) of the events; got \(1, 3\)"):
        head.marginals(x, everything[0], c, generator=draws.generator(0))
    with pytest.raises(ValueError, match="sweeps must be at least 2 and chains at least 1; got 1 and 8"):
        head.marginals(x, everything, c, generator=draws.generator(0), sweeps=1)
    with pytest.raises(ValueError, match="sweeps must be at least 2 and chains at least 1; got 40 and 0"):
        head.surprise(x, c, generator=draws.generator(0), chains=0)
    with pytest.raises(ValueError, match="shape"):
        head.surprise(x[..., :2], c, generator=draws.generator(0))
    for ask in (
        lambda x: head.marginals(x, x > 0, c, generator=draws.generator(0)),
        lambda x: head.surprise(x, c, generator=draws.generator(0)),
    ):
        with pytest.raises(ValueError, match="one context for each of the 2 events; got 1"):
            ask(x.repeat(2, 1, 1))


def test_of_each_context_its_own_answer(double):
    """The network's biases, which are of a context, reach every unit that is drawn."""

    class Chosen(torch.nn.Module):
        def forward(self, x, t, c):
            return torch.cat([3 * c[:, None], x.new_zeros(len(x), 1, BeliefHead.width(2, (2, 2)) - 2)], 2)

    head = BeliefHead(Binary(2), Chosen(), layers=(2, 2))
    with torch.no_grad():
        for layer in head.layers:
            layer.weights.zero_()
    c = torch.tensor([[1.0, -1.0], [0.0, 1.0]])
    x = torch.ones(2, 1, 2)
    told = head.surprise(x, c, generator=draws.generator(0), chains=2)
    torch.testing.assert_close(told.squeeze(1), torch.nn.functional.softplus(-3 * c))
    seen = torch.zeros_like(x, dtype=torch.bool)
    on = head.marginals(x, seen, c, generator=draws.generator(0), chains=2)
    torch.testing.assert_close(on.squeeze(1), (3 * c).sigmoid())
    assert told[1, 0, 0].item() == pytest.approx(math.log(2))
