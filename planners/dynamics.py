r"""Dynamics: what neighbouring steps of a path, or of an agent of a scene, must have to do with each other.

Over a step of h seconds, from (p, theta, v) to (p', theta', v'), with theta_m halfway along the shorter arc, u_m and
n_m the directions along it and to its left, and l the travelled h (v + v') / 2:

    double integrator   p' - p  =  h (v + v') / 2                     with v a vector
    unicycle            p' - p  =  l u_m
    bicycle             n_m (q' - q)  =  0    and    |theta' - theta|  <=  |l| tan(steering) / wheelbase

where q is the middle of the rear axle, which does not slip sideways.

Sources: Kong et al. 2015 for the kinematic bicycle; the mean heading is the midpoint rule, of error O(h^3).
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from planners.boxes import frame, wrap
from planners.constraints import Constraint, Period, _length, _need, _plane, _require_positive, position
from planners.scenes import HEADING, SPEED


@final
class DoubleIntegrator(Constraint):
    """Positions and velocities belong together: x' - x = h (v + v') / 2, up to a tolerance.

    Args:
        tolerance: Largest error of a step [m], > 0.
        period: Time h between way-points [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        channels: The two channels that are the position.
        velocity: The two channels that are the velocity.
    """

    def __init__(
        self,
        tolerance: float,
        period: Period,
        *,
        channels: Sequence[int] = (0, 1),
        velocity: Sequence[int] = (2, 3),
    ):
        _require_positive(tolerance, period)
        self.tolerance, self.period = tolerance, period
        self.channels, self.velocity = _plane(channels), _plane(velocity)
        self.name = f"positions follow velocities to {tolerance:g} m a step"

    def margins(self, y: Tensor) -> Tensor:
        """Tolerance minus error of every step [m], `(B, N, T - 1)`.

        Raises:
            ValueError: If the path has a single way-point.
        """
        _need(y, 2, "a step")
        step = position(y, self.channels).diff(dim=-2)
        v = position(y, self.velocity)
        mean = (v[..., 1:, :] + v[..., :-1, :]) / 2
        period = self.period if isinstance(self.period, float | int) else self.period.unsqueeze(-1)
        return self.tolerance - _length(step - period * mean)


@final
class Unicycle(Constraint):
    """Every step goes along the mean heading, as far as the mean speed says, up to a tolerance.

    Args:
        tolerance: Largest error of a step [m], > 0.
        period: Time h between steps [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        channels: The two channels that are the position.
        heading: The channel that is the heading [rad].
        speed: The channel that is the speed [m/s].
    """

    def __init__(
        self,
        tolerance: float,
        period: Period,
        *,
        channels: Sequence[int] = (0, 1),
        heading: int = HEADING,
        speed: int = SPEED,
    ):
        _require_positive(tolerance, period)
        self.tolerance, self.period = tolerance, period
        self.channels, self.heading, self.speed = _plane(channels), heading, speed
        self.name = f"unicycle to {tolerance:g} m a step"

    def margins(self, y: Tensor) -> Tensor:
        """Tolerance less error of every step [m], `(B, N, T - 1)`.

        Raises:
            ValueError: If the path has a single step.
        """
        _need(y, 2, "a step")
        mean, _ = _mean_heading(y[..., self.heading])
        along, aside = frame(position(y, self.channels).diff(dim=-2), mean)
        travelled = _travelled(y[..., self.speed], self.period)
        return self.tolerance - _length(torch.stack([along - travelled, aside], dim=-1))


@final
class Bicycle(Constraint):
    """A car does not slip sideways and turns no more sharply than its steering allows, up to a tolerance.

    Args:
        tolerance: Largest slip of the rear axle in a step, and largest slip of the front axle that turns of the
            heading beyond the steering amount to [m], > 0.
        period: Time h between steps [s], > 0; a number, or one for each context, shape `(B, 1, 1)`.
        wheelbase: Distance between the axles [m], > 0.
        steering: Largest angle of the front wheels [rad], in (0, pi / 2).
        rear: Distance of the rear axle behind the position [m]; 0 where the position is the rear axle's.
        channels: The two channels that are the position.
        heading: The channel that is the heading [rad].
        speed: The channel that is the speed [m/s].

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        tolerance: float,
        period: Period,
        *,
        wheelbase: float = 2.8,
        steering: float = 0.6,
        rear: float = 0.0,
        channels: Sequence[int] = (0, 1),
        heading: int = HEADING,
        speed: int = SPEED,
    ):
        _require_positive(tolerance, period)
        if not (wheelbase > 0 and 0 < steering < math.pi / 2):
            raise ValueError(
                "wheelbase must be positive and steering lie between 0 and pi / 2 radians; "
                f"got {wheelbase} and {steering}."
            )
        self.tolerance, self.period = tolerance, period
        self.wheelbase, self.steering, self.rear = wheelbase, steering, rear
        self.channels, self.heading, self.speed = _plane(channels), heading, speed
        self.name = f"bicycle of wheelbase {wheelbase:g} m, steering {steering:g} rad, to {tolerance:g} m a step"

    def margins(self, y: Tensor) -> Tensor:
        """Tolerance less slip, then what is left of the steering at the front axle [m], `(B, N, 2 (T - 1))`.

        Raises:
            ValueError: If the path has a single step.
        """
        _need(y, 2, "a step")
        heading = y[..., self.heading]
        mean, turn = _mean_heading(heading)
        axle = position(y, self.channels) - self.rear * torch.stack([heading.cos(), heading.sin()], dim=-1)
        _, aside = frame(axle.diff(dim=-2), mean)
        travelled = _travelled(y[..., self.speed], self.period).abs()
        left = self.tolerance + travelled * math.tan(self.steering) - self.wheelbase * turn.abs()
        return torch.cat([self.tolerance - aside.abs(), left], dim=-1)


def _mean_heading(heading: Tensor) -> tuple[Tensor, Tensor]:
    """Heading halfway through each step, and its turn [rad], `(..., T)` to `(..., T - 1)` twice."""
    turn = wrap(heading.diff(dim=-1))
    return heading[..., :-1] + turn / 2, turn


def _travelled(speed: Tensor, period: Period) -> Tensor:
    """Way of each step by its mean speed [m], `(B, N, T)` to `(B, N, T - 1)`."""
    return (speed[..., 1:] + speed[..., :-1]) / 2 * period
