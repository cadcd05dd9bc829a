"""Paths: positions coded as a start and its steps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import Path


def random_walks(seed: int, count: int = 20, horizon: int = 6) -> torch.Tensor:
    like = torch.zeros((), dtype=torch.float64)
    return 0.1 * draws.normal((count, horizon, 2), generator=draws.generator(seed), like=like).cumsum(1)


@given(seed=st.integers(0, 1000), horizon=st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_unscale_is_the_inverse_of_scale(seed, horizon):
    y = random_walks(seed, horizon=horizon)
    path = Path.from_data(y).double()
    torch.testing.assert_close(path.unscale(path.scale(y)), y, rtol=0, atol=1e-6)
    x = path.scale(y)
    torch.testing.assert_close(path.scale(path.unscale(x)), x, rtol=0, atol=1e-5)


def test_the_data_lie_within_the_bounds_and_touch_them():
    y = random_walks(0)
    x = Path.from_data(y).double().scale(y)
    steps = x[:, 1:].flatten(0, 1)
    torch.testing.assert_close(steps.amin(0), -torch.ones(2).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(steps.amax(0), torch.ones(2).double(), rtol=0, atol=1e-5)
    assert x[:, 0].abs().max() <= 1 + 1e-6


def test_positions_are_the_sum_of_start_and_steps():
    path = Path(3, low=[-2.0], high=[2.0], step_low=[-0.1], step_high=[0.3])
    y = path.unscale(torch.tensor([[[0.5], [0.0], [1.0]]]))
    torch.testing.assert_close(y, torch.tensor([[[1.0], [1.1], [1.4]]]))


def test_a_translation_changes_the_start_alone():
    path = Path(4, low=[-1.0, -1.0], high=[1.0, 1.0], step_low=[-0.1, -0.1], step_high=[0.1, 0.1])
    y = random_walks(3, horizon=4).float()
    difference = path.scale(y + 0.25) - path.scale(y)
    torch.testing.assert_close(difference[:, 0], torch.full((20, 2), 0.25))
    torch.testing.assert_close(difference[:, 1:], torch.zeros(20, 3, 2), rtol=0, atol=1e-5)


def test_leading_axes_are_kept():
    y = random_walks(1).view(4, 5, 6, 2)
    path = Path.from_data(y.flatten(0, 1)).double()
    torch.testing.assert_close(path.scale(y)[2, 3], path.scale(y[2, 3]))
    torch.testing.assert_close(path.unscale(y)[2, 3], path.unscale(y[2, 3]))


def test_padding_is_left_out_of_the_error():
    path = Path(3, low=[-1.0], high=[1.0], step_low=[-1.0], step_high=[1.0])
    x_hat, x = torch.tensor([[[1.0], [2.0], [9.0]]]), torch.zeros(1, 3, 1)
    valid = torch.tensor([[True, True, False]])
    torch.testing.assert_close(path.error(x_hat, x, valid), torch.tensor([2.5]))
    assert path.error(x, x).item() == 0


def test_a_channel_that_never_moves_is_coded_as_zero():
    y = torch.full((5, 4, 2), 0.7)
    y[..., 1] += torch.arange(4.0)
    path = Path.from_data(y)
    torch.testing.assert_close(path.scale(y)[..., 0], torch.zeros(5, 4), rtol=0, atol=1e-6)
    torch.testing.assert_close(path.unscale(path.scale(y)), y)


def test_a_single_position_is_refused():
    with pytest.raises(ValueError, match=r"must be at least 2; got 1\. Use a trajectory"):
        Path(1, [-1.0], [1.0], [-1.0], [1.0])
    with pytest.raises(ValueError, match="step_low must be below step_high"):
        Path(3, [-1.0], [1.0], [1.0], [-1.0])
    with pytest.raises(ValueError, match=r"value must have shape \(B, 3, 1\)"):
        Path(3, [-1.0], [1.0], [-1.0], [1.0]).encode(torch.zeros(1, 4, 1))
