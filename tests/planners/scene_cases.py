"""Scenes that tests share: random ones, boxes for hypothesis, and turns of whole scenes."""

import math

import torch
from hypothesis import strategies as st

near = st.floats(-4, 4)
sizes = st.floats(0.3, 5)
angles = st.floats(-7, 7)
boxes = st.tuples(near, near, angles, sizes, sizes)  # x, y, heading, length, width


def agent(x, y, heading, length=4.5, width=2.0, speed=0.0, valid=1.0):
    return [x, y, heading, speed, length, width, valid]


def scene(*agents):
    """Agents that are lists of steps, as one scene `(1, 1, A, T, 7)`."""
    return torch.tensor(agents, dtype=torch.float64)[None, None]


def traffic(seed=0, *, contexts=1, samples=4, agents=4, steps=6, spread=8.0, turn=0.2):
    """Cars at random places, each driving along its own heading, 0.2 s between steps."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(contexts, samples, agents, *shape, generator=generator, dtype=torch.float64)

    y = torch.ones(contexts, samples, agents, steps, 7, dtype=torch.float64)
    heading = 3 * normal(1) + turn * normal(steps).cumsum(-1)
    speed = 6 + normal(steps)
    way = torch.stack([heading.cos(), heading.sin()], -1) * speed[..., None] * 0.2
    y[..., :2] = spread * normal(1, 2) + way.cumsum(-2)
    y[..., 2], y[..., 3] = heading, speed
    y[..., 4], y[..., 5] = 4 + normal(1).abs(), 2.0
    return y


def moved(y, angle, x, z):
    """A whole scene turned about the origin and shifted."""
    cos, sin = math.cos(angle), math.sin(angle)
    new = y.clone()
    new[..., 0] = cos * y[..., 0] - sin * y[..., 1] + x
    new[..., 1] = sin * y[..., 0] + cos * y[..., 1] + z
    new[..., 2] = y[..., 2] + angle
    return new
