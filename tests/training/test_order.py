"""Which windows a step sees is a function of the seed and the step, and every pass sees each window once."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen.training.order import Order

sizes = st.tuples(st.integers(1, 40), st.integers(1, 50))


@given(sizes, st.integers(0, 2**62))
def test_each_pass_is_a_permutation(size, seed):
    windows, batch = size
    order = Order(windows, batch, seed)
    positions = torch.cat([order.step(step) for step in range(3 * windows // batch + 2)])
    for start in range(0, len(positions) - windows + 1, windows):
        assert sorted(positions[start : start + windows].tolist()) == list(range(windows))


@given(sizes, st.integers(0, 2**62), st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_the_windows_of_a_step_depend_on_the_seed_and_the_step_alone(size, seed, steps):
    in_any_order = Order(*size, seed)
    for step in steps:
        seen = in_any_order.step(step)
        assert seen.dtype == torch.int64 and seen.shape == (size[1],)
        assert seen.equal(Order(*size, seed).step(step))


def test_passes_and_seeds_differ():
    order = Order(50, 50, 0)
    assert not order.step(0).equal(order.step(1))
    assert not order.step(0).equal(Order(50, 50, 1).step(0))


def test_it_holds_no_more_than_the_passes_of_one_step():
    order = Order(10, 25, 0)
    for step in range(20):
        order.step(step)
        assert len(order._passes) <= 4
