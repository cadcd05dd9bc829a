"""Networks over maps: what a cell sees, any size of map, and positive numbers."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.nets import CellMLP, ConvMap, LinearMap, Positive

KINDS = {
    "linear": lambda: LinearMap(channels_in=2, channels_out=3),
    "cells": lambda: CellMLP(channels_in=2, channels_out=3, width=8),
    "convolutions": lambda: ConvMap(channels_in=2, channels_out=3, width=4, depth=1),
    "positive": lambda: Positive(ConvMap(channels_in=2, channels_out=3, width=4, depth=1), floor=0.5),
}
every = pytest.mark.parametrize("kind", KINDS)


def stirred(kind):
    net = KINDS[kind]().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, dtype=torch.float64))
    return net


def layers(*shape):
    return draws.normal(shape, generator=draws.generator(0), like=torch.zeros((), dtype=torch.float64))


@every
def test_one_network_serves_maps_of_every_size_and_rows_never_see_each_other(kind):
    net = stirred(kind)
    maps = layers(3, 2, 6, 5)
    assert net(maps).shape == (3, 3, 6, 5) and net(maps[..., :1]).shape == (3, 3, 6, 1)
    torch.testing.assert_close(net(maps)[1:2], net(maps[1:2]))


@pytest.mark.parametrize(("kind", "reach"), [("linear", 0), ("cells", 0), ("convolutions", 3)])
def test_a_cell_sees_as_far_as_its_kind_says(kind, reach):
    net, maps = stirred(kind), layers(1, 2, 11, 11).requires_grad_()
    (slope,) = torch.autograd.grad(net(maps)[0, :, 5, 5].sum(), maps)
    rows, columns = torch.meshgrid(torch.arange(11) - 5, torch.arange(11) - 5, indexing="ij")
    near = torch.maximum(rows.abs(), columns.abs()) <= reach
    assert ((slope[0].abs().sum(0) > 0) == near).all()


@every
def test_a_constant_map_gives_constant_numbers_up_to_the_rim(kind):
    numbers = stirred(kind)(torch.ones(1, 2, 5, 5, dtype=torch.float64))
    torch.testing.assert_close(numbers, numbers[..., :1, :1].expand_as(numbers))


def test_positive_numbers_are_above_their_floor_whatever_the_network_says():
    net = Positive(LinearMap(channels_in=1), floor=0.5).double()
    with torch.no_grad():
        net.net.weights.weight.fill_(1.0)
    values = torch.tensor([-1000.0, 0.0, 50.0], dtype=torch.float64).view(1, 1, 1, 3)
    expected = torch.tensor([0.5, 0.5 + torch.tensor(2.0).log().item(), 50.5], dtype=torch.float64)
    torch.testing.assert_close(net(values).flatten(), expected)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LinearMap(channels_in=0), "channels_in must be >= 1; got 0"),
        (lambda: CellMLP(channels_in=1, depth=0), "depth must be >= 1; got 0"),
        (lambda: ConvMap(channels_in=1, kernel=2), "kernel must be odd; got 2"),
        (lambda: Positive(LinearMap(channels_in=1), floor=-1.0), "floor must be at least 0 and finite; got -1.0"),
        (lambda: LinearMap(channels_in=2)(torch.zeros(1, 3, 4, 4)), r"shape \(B, 2, H, W\); got \(1, 3, 4, 4\)"),
    ],
)
def test_impossible_sizes_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
