r"""A point mass with damping in the plane, pushed by a force: the model of a ball in a maze.

State s = (x, y, vx, vy), action u in [-1, 1]^2 of the largest force g. One step of time h is MuJoCo's Euler
integrator, which is implicit in the damping d and explicit in everything else,

    v' = v + h (g u - d v) / (m + h d),        x' = x + h v',

where v is the velocity cut to +-V along each axis before the step, as Gymnasium-Robotics' point environment does. The
defaults are its `point.xml`: a sphere of radius 0.1 m and density 1000 kg/m^3, a motor of gear 100, a joint damping
of 1, steps of 10 ms. Walls are no part of the model: what plans with it keeps clear of them by its constraints.

Source: the chapter on computation of MuJoCo's documentation (implicit integration of joint damping).
"""

import math
from typing import final

import torch
from torch import Tensor

BALL = 4 / 3 * math.pi * 0.1**3 * 1000.0
"""Mass of the point maze's ball [kg]."""


@final
class PointMass:
    """The next states of many point masses.

    Args:
        mass: m [kg], > 0.
        force: g, of an action of 1 [N], > 0.
        damping: d [N s/m].
        speed: V, the largest speed along each axis with which a step starts [m/s], > 0.
        period: h, of a step [s], > 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        *,
        mass: float = BALL,
        force: float = 100.0,
        damping: float = 1.0,
        speed: float = 5.0,
        period: float = 0.01,
    ):
        if not (all(number > 0 for number in (mass, force, speed, period)) and damping >= 0):
            raise ValueError(
                "mass, force, speed and period must be positive and damping not negative; "
                f"got {mass}, {force}, {speed}, {period} and {damping}."
            )
        self.speed, self.period = speed, period
        self._keep = 1 - period * damping / (mass + period * damping)
        self._gain = period * force / (mass + period * damping)

    def __call__(self, states: Tensor, actions: Tensor) -> Tensor:
        """States after one step, `(M, 4)`, from states `(M, 4)` [m, m/s] and actions `(M, 2)`, cut to [-1, 1]."""
        start, velocity = states.split(2, -1)
        velocity = self._keep * velocity.clamp(-self.speed, self.speed) + self._gain * actions.clamp(-1, 1)
        return torch.cat([start + self.period * velocity, velocity], -1)
