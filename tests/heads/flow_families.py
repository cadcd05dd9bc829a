"""Small flows of every kind of layer."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.events import Trajectory
from embodied_gen.heads import FlowHead
from embodied_gen.heads.flows import (
    Affine,
    BlockAutoregressive,
    Continuous,
    Coupling,
    First,
    InverseAutoregressive,
    MaskedAutoregressive,
    Planar,
    Residual,
    Reverse,
    Spline,
    alternating,
)
from embodied_gen.heads.ode import Fixed
from embodied_gen.nets import LipschitzMLP, MaskedMLP, MonotoneMLP, ResidualMLP

CONTEXT = 2


class Shape:
    """Networks for events of one shape."""

    def __init__(self, horizon, channels):
        self.shape = (horizon, channels)
        self.sizes = {"horizon": horizon, "channels_in": channels, "context": CONTEXT}

    def mlp(self, numbers):
        return ResidualMLP(**self.sizes, channels_out=numbers * self.shape[1], width=24, depth=1)

    def masked(self, numbers):
        return MaskedMLP(**self.sizes, channels_out=numbers * self.shape[1], width=24, depth=1)

    def monotone(self):
        return MonotoneMLP(**self.sizes, channels_out=2 * self.shape[1], block=6, depth=1)

    def lipschitz(self):
        return LipschitzMLP(**self.sizes, channels_out=self.shape[1], width=32)

    def couplings(self, transform, layers=4):
        masks = alternating(self.shape, layers)
        return [Coupling(self.mlp(transform.numbers), transform, m, time=i / layers) for i, m in enumerate(masks)]

    def autoregressive(self, kind, transform):
        return [kind(self.masked(transform.numbers), transform, time=i / 2) for i in range(2)]


def reversed_between(layers):
    first, second = layers
    return [first, Reverse(), second]


# One line for each kind of layer: what a flow of them is on events of a shape.
FAMILIES = {
    "planar": lambda s: [Planar(s.shape, s.mlp(3), time=i / 4) for i in range(4)],
    "coupling": lambda s: s.couplings(Affine()),
    "spline": lambda s: s.couplings(Spline(6)),
    "maf": lambda s: reversed_between(s.autoregressive(MaskedAutoregressive, Affine())),
    "maf_spline": lambda s: reversed_between(s.autoregressive(MaskedAutoregressive, Spline(6))),
    "iaf": lambda s: reversed_between(s.autoregressive(InverseAutoregressive, Affine())),
    "bnaf": lambda s: reversed_between([BlockAutoregressive(s.shape, s.monotone(), time=i / 2) for i in range(2)]),
    "residual": lambda s: [Residual(s.lipschitz(), time=i / 4, truncation=First(5)) for i in range(3)],
    "continuous": lambda s: [Continuous(s.mlp(1), training_solver=Fixed(2))],
}
EVERY = pytest.mark.parametrize("family", FAMILIES)


def flow(family, horizon=3, channels=2, moved=0.15):
    """A flow whose weights have left their start."""
    head = FlowHead(
        Trajectory(horizon, [-1.0] * channels, [1.0] * channels), FAMILIES[family](Shape(horizon, channels))
    )
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(moved * torch.randn_like(parameter))
    return head


def batch(rows, head, seed=0):
    g = draws.generator(seed)
    like = torch.zeros(())
    return (
        0.5 * draws.normal((rows, *head.event.shape), generator=g, like=like),
        draws.normal((rows, CONTEXT), generator=g, like=like),
    )


def noise(head, x, c):
    """Where the layers lead events."""
    z = (x - head.mean) * (-head.log_deviation).exp()
    for layer in head.layers:
        z, _ = layer.normalise(z, c)
    return z
