"""Small events of every kind, and batches of them with flat contexts."""

import math

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.events import (
    Binary,
    BoxSet,
    GridPath,
    InstanceMap,
    LabelMap,
    Path,
    Polygon,
    SetEvent,
    Trajectory,
)
from embodied_gen.graphs import Finite, Grid, Horizon, Soft, Within, sampled

HORIZON, CHANNELS, CONTEXT = 4, 2, 3
START, GOAL, LAYERS = 0, 11, 3
SLOTS, KINDS = 6, 2


def trajectory() -> Trajectory:
    return Trajectory(HORIZON, [-1.0, 0.0], [1.0, 5.0])


def path() -> Path:
    return Path(HORIZON, [-1.0, 0.0], [1.0, 5.0], [-0.2, -0.1], [0.2, 0.3])


def binary(low: float = 0.0) -> Binary:
    return Binary(CHANNELS, steps=HORIZON, low=low)


def items() -> SetEvent:
    return SetEvent(HORIZON, [-1.0], [1.0])


def outline() -> Polygon:
    return Polygon(6, [-2.0, -1.0], [2.0, 1.0], levels=16)


def ways() -> GridPath:
    return GridPath(Grid(3, 4, connectivity=8), 6, cell=0.5, origin=(-1.0, 0.0))


def batch(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.rand(rows, HORIZON, CHANNELS, generator=g) * 2 - 1
    return x, torch.randn(rows, CONTEXT, generator=g)


def spins(rows: int = 5) -> tuple[Tensor, Tensor]:
    x, c = batch(rows)
    return x.sign(), c


def maps(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    label = torch.randint(3, (rows, 3, 4), generator=g)
    return LabelMap(3, 4, 3).encode(label), torch.randn(rows, CONTEXT, generator=g)


def chains(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    label = torch.randint(3, (rows, 1, 5), generator=g)
    return LabelMap(1, 5, 3).encode(label), torch.randn(rows, CONTEXT, generator=g)


def objects(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 4, (rows, 4, 4), generator=g).repeat_interleave(2, 1).repeat_interleave(2, 2)
    return InstanceMap(8, 8, 3).encode(labels), torch.randn(rows, CONTEXT, generator=g)


def outlines(rows: int = 5) -> tuple[Tensor, Tensor]:
    """Stars of three to six vertices around the middle."""
    g = torch.Generator().manual_seed(1)
    count = torch.randint(3, 7, (rows, 1), generator=g)
    angle = 2 * math.pi * (torch.arange(6) + 0.5 * torch.rand(rows, 6, generator=g)) / count
    radius = 0.5 + 0.4 * torch.rand(rows, 6, generator=g)
    value = torch.stack([2 * radius * angle.cos(), radius * angle.sin(), torch.ones(rows, 6)], -1)
    value = value * (torch.arange(6) < count).unsqueeze(-1)
    return outline().encode(value), torch.randn(rows, CONTEXT, generator=g)


def drawn_ways(horizon: Horizon, rows: int) -> tuple[Tensor, Tensor]:
    """Paths of a horizon that are all alike to it."""
    event, states = ways(), torch.full((1, rows), START)
    costs = torch.ones(1, *event.grid.actions)
    paths = sampled(horizon, event.grid, costs, states, Soft(), generator=draws.generator(1)).states[0]
    last = paths.gather(1, (paths >= 0).sum(1, keepdim=True) - 1)
    return event.coded(torch.where(paths < 0, last, paths)), batch(rows)[1]


def to_goal(rows: int = 5) -> tuple[Tensor, Tensor]:
    return drawn_ways(Within(ways().grid.mask(torch.tensor([GOAL])), 6), rows)


def walks(rows: int = 5) -> tuple[Tensor, Tensor]:
    end = torch.where(ways().grid.mask(torch.tensor([GOAL])), 0.0, math.inf)
    return drawn_ways(Finite(6, end=end), rows)


def boxes(rows: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    size = 0.1 + 0.4 * torch.rand(rows, 3, 2, generator=g)
    middle = size / 2 + (1 - size) * torch.rand(rows, 3, 2, generator=g)
    label = torch.randint(KINDS, (rows, 3, 1), generator=g)
    there = torch.rand(rows, 3, 1, generator=g) < 0.8
    value = torch.cat([middle, size, label, there], -1)
    return BoxSet(KINDS, SLOTS).encode(value), torch.randn(rows, CONTEXT, generator=g)
