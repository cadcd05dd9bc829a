"""Walks: positions after the origin, coded as steps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import Walk


def walks(seed: int, count: int = 50, horizon: int = 6) -> torch.Tensor:
    like = torch.zeros((), dtype=torch.float64)
    return (0.3 + 0.1 * draws.normal((count, horizon, 2), generator=draws.generator(seed), like=like)).cumsum(1)


@given(seed=st.integers(0, 1000), horizon=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_unscale_is_the_inverse_of_scale(seed, horizon):
    y = walks(seed, horizon=horizon)
    walk = Walk.from_data(y).double()
    torch.testing.assert_close(walk.unscale(walk.scale(y)), y, rtol=0, atol=1e-6)
    torch.testing.assert_close(walk.decode(walk.encode(y)), y, rtol=0, atol=1e-6)


def test_steps_of_the_data_have_mean_zero_and_a_third_as_deviation_the_first_like_the_others():
    y = walks(0, count=4000)
    x = Walk.from_data(y).double().scale(y)
    assert x.flatten(0, 1).mean(0).abs().max() < 1e-4
    torch.testing.assert_close(x.flatten(0, 1).std(0), torch.full((2,), 1 / 3).double(), rtol=1e-3, atol=0)
    torch.testing.assert_close(x[:, 0].std(0), x[:, 3].std(0), rtol=0.1, atol=0)


def test_the_first_step_is_taken_from_the_origin():
    walk = Walk(3, low=[-9.0], high=[9.0], step_low=[-0.1], step_high=[0.3])
    y = walk.unscale(torch.tensor([[[0.5], [0.0], [1.0]]]))
    torch.testing.assert_close(y, torch.tensor([[[0.2], [0.3], [0.6]]]))


def test_who_never_moves_along_a_channel_has_a_width_there_too():
    walk = Walk.from_data(torch.zeros(5, 4, 2))
    assert walk.unscale(torch.zeros(1, 4, 2)).equal(torch.zeros(1, 4, 2))
    assert walk.step_high.equal(torch.ones(2))


def test_a_walk_of_no_positions_is_refused():
    with pytest.raises(ValueError, match="the horizon of a walk must be at least 1; got 0"):
        Walk(0, [-1.0], [1.0], [-1.0], [1.0])
