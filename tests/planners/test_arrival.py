"""A way arrives if it ends near the goal of its own context."""

import pytest
import torch

from planners.arrival import Arrival

GOALS = torch.tensor([[0.5, -0.5, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize("channels", [(0, 1), (3, 0), (2,), (0, 1, 3)])
def test_the_margin_is_what_is_left_of_the_tolerance(channels, generator):
    y = torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    goals = GOALS[:, : len(channels)]
    margin = Arrival(goals, 0.7, channels).margin(y)
    for context in range(2):
        for sample in range(3):
            distance = torch.linalg.vector_norm(y[context, sample, -1, list(channels)] - goals[context])
            torch.testing.assert_close(margin[context, sample], 0.7 - distance)


def test_only_the_last_way_point_counts_and_its_slope_is_that_of_the_distance(generator):
    y = torch.randn(2, 2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    arrival = Arrival(GOALS[:, :2], 0.1, (0, 2))
    assert torch.autograd.gradcheck(arrival.margins, y)
    (slope,) = torch.autograd.grad(arrival.margin(y).sum(), y)
    assert (slope[:, :, :-1] == 0).all() and (slope[..., 1] == 0).all()
    torch.testing.assert_close(slope[:, :, -1].norm(dim=-1), torch.ones(2, 2, dtype=torch.float64))


def test_a_way_that_ends_at_the_goal_has_the_whole_tolerance_and_a_finite_slope():
    y = torch.zeros(1, 1, 3, 2, requires_grad=True)
    margin = Arrival(torch.zeros(1, 2), 0.25, (0, 1)).margin(y)
    (slope,) = torch.autograd.grad(margin.sum(), y)
    assert margin.item() == 0.25 and slope.isfinite().all()
