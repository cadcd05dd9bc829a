"""Scenes: motions of agents in their own frames."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.events import Scene
from embodied_gen.events.scene import motions_of, placed
from tests.scenes import moved, moving


@given(seed=st.integers(0, 1000), agents=st.integers(1, 4), steps=st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_motions_placed_again_are_the_scene(seed, agents, steps):
    scenes = moving(seed, agents, steps)
    again = placed(motions_of(scenes), scenes[..., 0, :])
    torch.testing.assert_close(again[..., [0, 1, 3, 4, 5, 6]], scenes[..., [0, 1, 3, 4, 5, 6]])
    turned = again[..., 2] - scenes[..., 2]
    torch.testing.assert_close(turned.cos(), torch.ones_like(turned))


@given(seed=st.integers(0, 1000), angle=st.floats(-3, 3), x=st.floats(-500, 500))
@settings(max_examples=30, deadline=None)
def test_motions_do_not_depend_on_where_a_scene_is(seed, angle, x):
    scenes = moving(seed)
    torch.testing.assert_close(motions_of(moved(scenes, angle, (x, 3.0))), motions_of(scenes), rtol=0, atol=1e-9)


@given(seed=st.integers(0, 1000), steps=st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_unscale_is_the_inverse_of_scale(seed, steps):
    y = motions_of(moving(seed, steps=steps, rows=5))
    event = Scene.from_data(y).double()
    torch.testing.assert_close(event.unscale(event.scale(y)), y, rtol=0, atol=1e-6)
    x = event.scale(y)
    assert x.abs().max() <= 1 + 1e-5
    torch.testing.assert_close(event.decode(event.encode(y)), y, rtol=0, atol=1e-6)


def test_an_agent_that_is_not_there_does_not_move():
    scenes = moving(0)
    scenes[:, 1, :, 6] = 0
    assert motions_of(scenes)[:, 1].abs().max() == 0


def test_a_turn_across_the_cut_of_the_angle_is_small():
    scenes = moving(0, steps=3, agents=1, rows=1)
    scenes[..., 2] = torch.tensor([3.1, 3.14, -3.1])
    torch.testing.assert_close(motions_of(scenes)[0, 0, :, 2], torch.tensor([0.04, 0.0832]).double(), atol=1e-3, rtol=0)


def test_who_turns_around_turns_on():
    scenes = moving(0, steps=30, agents=1, rows=1)
    heading = 0.3 * torch.arange(30).double()  # more than a whole turn
    scenes[..., 2] = torch.atan2(heading.sin(), heading.cos())
    torch.testing.assert_close(motions_of(scenes)[0, 0, :, 2], heading[1:])


def test_speeds_are_not_negative():
    present = moving(0, agents=1, steps=1, rows=1)[..., 0, :]
    slower = torch.tensor([[[[0.0, 0.0, 0.0, -1e3]]]]).double()
    assert placed(slower, present)[0, 0, 1, 3] == 0


def test_padding_is_left_out_of_the_error():
    event = Scene(2, 2, [-1.0] * 4, [1.0] * 4, [-1.0] * 4, [1.0] * 4)
    x_hat, x = torch.zeros(1, 2, 2, 4), torch.zeros(1, 2, 2, 4)
    x_hat[0, 0, 0], x_hat[0, 1] = 2.0, 9.0
    valid = torch.tensor([[[True, True], [False, False]]])
    torch.testing.assert_close(event.error(x_hat, x, valid), torch.tensor([2.0]))
    assert event.error(x, x).item() == 0


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="at least one agent and one step; got 0 and 3"):
        Scene(0, 3, [-1.0] * 4, [1.0] * 4, [-1.0] * 4, [1.0] * 4)
    with pytest.raises(ValueError, match=r"must have shape \(B, 2, 3, 4\)"):
        Scene(2, 3, [-1.0] * 4, [1.0] * 4, [-1.0] * 4, [1.0] * 4).encode(torch.zeros(1, 3, 4))
