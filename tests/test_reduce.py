"""Reductions make one event of several samples."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen import reduce

shapes = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3))


@given(shapes, st.integers(0, 99))
def test_first_and_mean_are_what_they_say(shape, seed):
    samples = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    assert reduce.first(samples).equal(samples[:, 0])
    torch.testing.assert_close(reduce.mean(samples), sum(samples.unbind(1)) / shape[1])


@given(shapes, st.integers(0, 99))
def test_the_medoid_is_the_sample_with_the_least_squared_distance_to_all(shape, seed):
    samples = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    chosen = reduce.medoid(samples)
    for row, medoid in zip(samples, chosen, strict=True):
        costs = [sum(((a - b) ** 2).sum() for b in row) for a in row]
        best = min(range(len(costs)), key=costs.__getitem__)
        assert ((medoid - row[best]) ** 2).sum() == pytest.approx(0, abs=1e-12)


@given(shapes, st.integers(0, 99))
def test_of_equal_samples_each_reduction_gives_that_one(shape, seed):
    one = torch.randn(shape[0], *shape[2:], generator=torch.Generator().manual_seed(seed))
    samples = one[:, None].repeat(1, shape[1], 1, 1)
    for reduction in (reduce.first, reduce.mean, reduce.medoid):
        torch.testing.assert_close(reduction(samples), one)


def test_the_medoid_of_two_modes_lies_on_the_larger_one_and_the_mean_between_them():
    samples = torch.tensor([[-1.0, -1.1, -0.9, 1.0]]).reshape(1, 4, 1, 1)
    assert reduce.medoid(samples).item() < -0.8
    assert -1 < reduce.mean(samples).item() < 1
