"""Schedules, readings and distributions of the tests that need no training."""

from itertools import product

import torch
from torch import Tensor, nn

from embodied_gen.events import Trajectory
from embodied_gen.heads.analytic import Normals
from embodied_gen.heads.parametrisation import Clean, Noise, V, Velocity
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified

# One line for each kind of schedule; the linear one has larger betas for its fewer levels.
SCHEDULES = {
    "linear": lambda: Linear(200, 5e-4, 0.1),
    "cosine": lambda: Cosine(100),
    "rectified": lambda: Rectified(),
    "karras": lambda: Karras(),
}
PARAMETRISATIONS = {
    "noise": lambda: Noise(),
    "clean": lambda: Clean(),
    "v": lambda: V(),
    "edm": lambda: V(0.5),
    "velocity": lambda: Velocity(),
}
# What a head accepts: noise cannot be read as an event where a rectified path has no signal.
PAIRS = [pair for pair in product(SCHEDULES, PARAMETRISATIONS) if pair != ("rectified", "noise")]


def normal(mean: float = 0.3, deviation: float = 0.4, channels: int = 1) -> Normals:
    return Normals(
        torch.ones(1, dtype=torch.float64),
        torch.full((1, channels), mean, dtype=torch.float64),
        torch.tensor([deviation], dtype=torch.float64),
    )


def two_modes(first: float = 0.5) -> Normals:
    """Two narrow modes in the plane, on no axis of symmetry of a schedule."""
    return Normals(
        torch.tensor([first, 1 - first], dtype=torch.float64),
        torch.tensor([[0.8, 0.3], [-0.7, -0.2]], dtype=torch.float64),
        torch.tensor([0.15, 0.25], dtype=torch.float64),
    )


def unit_event(channels: int) -> Trajectory:
    """A trajectory of one step whose model units are its physical units."""
    return Trajectory(1, [-1.0] * channels, [1.0] * channels)


class Constant(nn.Module):
    """A network that knows nothing but a table: one learned output, whatever its inputs."""

    def __init__(self, *shape: int):
        super().__init__()
        self.output = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        return self.output.expand(len(x), *self.output.shape)
