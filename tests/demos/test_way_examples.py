"""Stretches ahead and whole ways equal their definitions written out in plain Python."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.demos.ahead import Ahead
from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.whole_ways import WholeWays


def walks(lengths):
    """Episodes whose position is (1000 e + t, its square root) and whose goal is (7, e)."""
    e = torch.cat([torch.full((length,), float(number)) for number, length in enumerate(lengths)])
    t = torch.cat([torch.arange(float(length)) for length in lengths])
    observations = torch.stack([1000 * e + t, t.sqrt(), torch.full_like(t, 7.0), e], 1)
    starts = torch.tensor([0, *lengths]).cumsum(0)
    return Episodes(observations, torch.zeros(len(t), 2), starts, "walks")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(2, 5), st.integers(1, 3))
def test_every_stretch_equals_the_definition(lengths, horizon, stride):
    episodes = walks(lengths)
    ahead = Ahead(episodes, position=(0, 1), goal=(2, 3), horizon=horizon, stride=stride)
    batch = ahead.batch(torch.arange(len(ahead)))
    assert len(ahead) == sum(lengths) == len(ahead.values()) == len(ahead.observations())
    assert batch.value.equal(ahead.values()) and batch.observations[:, 0].equal(ahead.observations())
    for number in range(len(ahead)):
        e, t = ahead.place(number)
        here, goal = torch.tensor([1000.0 * e + t, t**0.5]), torch.tensor([7.0, e])
        steps = [t + stride * k for k in range(horizon)]
        there = [torch.tensor([1000.0 * e + s, s**0.5]) if s < lengths[e] else goal for s in steps]
        torch.testing.assert_close(batch.value[number], torch.stack(there) - here)
        torch.testing.assert_close(batch.observations[number, 0], goal - here)
    assert batch.valid.all() and batch.valid.shape == batch.value.shape[:2]


@given(st.integers(1, 4), st.integers(1, 5))
def test_a_whole_way_is_the_first_action_of_its_episode(count, points):
    actions = torch.arange(2.0 * 2 * points * count).view(2 * count, 2 * points)  # two steps each
    episodes = Episodes(torch.arange(2.0 * count)[:, None], actions, 2 * torch.arange(count + 1), "ways")
    ways = WholeWays(episodes, points=points)
    batch = ways.batch(torch.arange(count))
    assert len(ways) == count and batch.valid.all()
    assert batch.value.equal(actions[::2].view(count, points, 2)) and batch.value.equal(ways.values())
    assert batch.observations.flatten().tolist() == [2.0 * number for number in range(count)]
    assert ways.observations().flatten().tolist() == batch.observations.flatten().tolist()
    assert ways.place(count - 1) == (count - 1, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 1}, "horizon must be at least 2 and stride at least 1; got 1 and 2"),
        ({"stride": 0}, "horizon must be at least 2 and stride at least 1; got 3 and 0"),
        ({"goal": (4, 5)}, r"as many channels of the 4 of an observation; got \[0, 1\] and \[4, 5\]"),
        ({"goal": (2,)}, r"as many channels of the 4 of an observation; got \[0, 1\] and \[2\]"),
    ],
)
def test_stretches_that_do_not_fit_are_named(changes, message):
    arguments = {"position": (0, 1), "goal": (2, 3), "horizon": 3, "stride": 2} | changes
    with pytest.raises(ValueError, match=message):
        Ahead(walks([8]), **arguments)


def test_actions_that_are_no_ways_are_named():
    with pytest.raises(ValueError, match="walks: an action must hold 3 way-points of 2 numbers; got 2 numbers"):
        WholeWays(walks([2]), points=3)
