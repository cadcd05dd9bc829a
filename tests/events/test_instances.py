"""Instance maps: sets of masks."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.events import InstanceMap

seeds = st.integers(0, 10_000)


def maps(seed, rows=3, objects=3, size=(4, 5)):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, objects + 1, (rows, *size), generator=g), g


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_maps_survive_the_coding(seed):
    event, (value, _) = InstanceMap(4, 5, 3), maps(seed)
    x = event.encode(value)
    assert x.shape == (3, 4, 5, 4) and torch.equal(event.decode(x), value)
    assert torch.equal(event.scale(event.unscale(x)), x)
    assert torch.equal(event.masks(x), torch.stack([value == j for j in (1, 2, 3)], 1))
    assert event.counts(x).tolist() == [len(set(each.flatten().tolist()) - {0}) for each in value]


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_error_is_that_of_the_best_order(seed):
    event, (value, g) = InstanceMap(4, 5, 3), maps(seed)
    x, valid = event.encode(value).double(), torch.rand(3, 4, 5, generator=g) < 0.7
    y_hat = torch.rand(3, 4, 5, 4, generator=g, dtype=torch.float64)

    def brier(order):
        squares = (y_hat[..., [0, *order]] - event.unscale(x)).square().sum(-1)
        return (squares * valid).sum((1, 2)) / valid.sum((1, 2))

    best = torch.stack([brier(order) for order in itertools.permutations((1, 2, 3))]).amin(0)
    torch.testing.assert_close(event.error(event.scale(y_hat), x, valid), best)


@settings(max_examples=20, deadline=None)
@given(seeds, st.permutations([1, 2, 3]))
def test_the_error_does_not_know_the_numbers_of_objects(seed, order):
    event, (value, _) = InstanceMap(4, 5, 3), maps(seed)
    renumbered = torch.tensor([0, *order])[value]
    torch.testing.assert_close(event.error(event.encode(renumbered), event.encode(value)), torch.zeros(3))
    if bool((value == 1).any()):
        assert event.error(event.encode(torch.where(value == 1, 0, value)), event.encode(value)).max() > 0


def test_the_error_has_the_slope_of_finite_differences():
    event, (value, g) = InstanceMap(3, 3, 2), maps(0, rows=2, objects=2, size=(3, 3))
    event, x = event.double(), event.encode(value).double()
    estimate = torch.randn(x.shape, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda e: event.error(e, x), estimate)


def test_objects_beyond_those_of_the_event_are_named():
    event = InstanceMap(40, 30, 6)
    many = torch.arange(1200).view(1, 40, 30) % 1001
    with pytest.raises(ValueError, match=r"from 0 to 6; got torch.int64 from 0 to 1000. The event holds at most 6 obj"):
        event.encode(many)
    thousand = InstanceMap(40, 30, 1000)
    x = thousand.encode(many)
    assert thousand.counts(x).tolist() == [1000] and thousand.error(x, x.flip(0)).tolist() == [0]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (torch.zeros(1, 3, 5, dtype=torch.long), r"labels must have shape \(B, 4, 5\); got \(1, 3, 5\)"),
        (torch.zeros(1, 4, 5), "labels must be integers from 0 to 3; got torch.float32"),
        (torch.full((1, 4, 5), -1), "from -1 to -1"),
    ],
)
def test_values_that_do_not_fit_are_named(value, sentence):
    with pytest.raises(ValueError, match=sentence):
        InstanceMap(4, 5, 3).encode(value)


def test_sizes_out_of_range_are_named():
    with pytest.raises(ValueError, match="at least one cell and one object; got 4 x 5 cells and 0"):
        InstanceMap(4, 5, 0)


def test_a_map_without_objects_is_a_map():
    event = InstanceMap(4, 5, 3)
    x = event.encode(torch.zeros(2, 4, 5, dtype=torch.uint8))
    assert event.counts(x).tolist() == [0, 0] and event.error(x, x).tolist() == [0, 0]


def test_the_best_order_is_told_in_full_precision_under_autocast():
    event, (value, g) = InstanceMap(4, 5, 3), maps(1, rows=200)
    x = event.encode(value)
    estimate = event.scale(0.5 + 0.02 * torch.rand(x.shape, generator=g))  # objects that are nearly alike
    with torch.autocast("cpu", torch.bfloat16):
        found = event.error(estimate, x)
    torch.testing.assert_close(found, event.error(estimate, x), rtol=0, atol=0)
