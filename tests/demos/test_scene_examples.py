"""Scenes cut from simulations."""

import pytest
import torch

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.scenes import Scenes
from embodied_gen.events.scene import motions_of
from tests.scenes import episodes


def scenes_of(data, **changes):
    arguments = {"agents": 3, "history": 3, "horizon": 4, "stride": 2} | changes
    return Scenes(data, **arguments)


def states(data, step):
    return data.observations[step, :21].view(3, 7)


def test_every_example_is_what_was_seen_and_what_came_within_one_episode():
    data = episodes((30, 25))
    cut = scenes_of(data)
    assert len(cut) == (30 - 8) + (25 - 8)
    batch = cut.batch(torch.arange(len(cut)))
    for example in (0, 1, 5, 21, 22, len(cut) - 1):
        episode, step = cut.place(example)
        first = int(data.starts[episode])
        now = first + step
        seen = [data.observations[max(now + back, first)] for back in (-4, -2, 0)]
        torch.testing.assert_close(batch.observations[example], torch.stack(seen))
        scene = torch.stack([states(data, now + ahead) for ahead in (0, 2, 4, 6, 8)], 1)
        torch.testing.assert_close(batch.value[example], motions_of(scene))
    assert batch.valid.all()


def test_an_agent_that_goes_away_repeats_its_last_step_which_is_marked():
    data = episodes((30,))
    gone = data.observations.clone()
    gone[14:, 7:14] = 0  # the second agent
    cut = scenes_of(Episodes(gone, data.actions, data.starts, data.source))
    batch = cut.batch(torch.tensor([8]))  # steps 8, 10, 12 | 14, 16
    assert batch.valid[0, 1].tolist() == [True, True, False, False]
    steps = batch.value[0, 1, :, :2].diff(dim=0)
    torch.testing.assert_close(steps[1], steps[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(steps[2], steps[0], rtol=0, atol=1e-4)
    assert batch.valid[0, [0, 2]].all()


def test_bounds_do_not_come_from_padding():
    data = episodes((30,))
    assert scenes_of(data).values().shape[1:] == (3, 4, 4)
    assert scenes_of(data).observations().shape == data.observations.shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agents": 9}, "must begin with 9 states of 7 numbers; got 45 numbers. Set control.agents"),
        ({"stride": 0}, "must be at least 1; got 3, 3, 4 and 0"),
        (
            {"horizon": 40},
            "the longest of 2 episodes has 30 steps; the shortest span needs 81. Shorten control.horizon",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        scenes_of(episodes((30, 25)), **changes)
