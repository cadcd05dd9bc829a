"""Sums of exponentials are torch's own, and their slopes are finite where there is nothing to sum."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.graphs import Grid

pytestmark = pytest.mark.usefixtures("double")

weights = st.one_of(st.floats(-1e6, 1e6), st.just(-math.inf))


@given(st.lists(st.lists(weights, min_size=4, max_size=4), min_size=1, max_size=3))
def test_sums_and_their_slopes(rows):
    q = torch.tensor(rows)[..., None, None].requires_grad_()
    grid = Grid(1, 1, connectivity=4)
    with_slopes = grid.log_sum(q)
    torch.testing.assert_close(with_slopes, grid.log_sum(q.detach()))
    (slopes,) = torch.autograd.grad(with_slopes.sum(), q)
    expected = q.detach().softmax(1).nan_to_num()  # nothing where all is minus infinity
    torch.testing.assert_close(slopes, expected)
