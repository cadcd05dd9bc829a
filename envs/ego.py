"""The ego vehicle of Traffic-v0: a kinematic bicycle.

With heading psi, speed v of the middle, wheelbase l = 0.6 times the length, the middle half-way between the axles, and
steering angle delta of the front wheels,

    beta = atan(tan(delta) / 2),    d(x, y)/dt = v (cos(psi + beta), sin(psi + beta)),
    d psi/dt = 2 v sin(beta) / l,   dv/dt = acceleration,

integrated with the mean speed and the middle heading of a period.

Source: Polack et al. 2017, The kinematic bicycle model: a consistent model for planning feasible trajectories?
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

ACCELERATION = 6.0
"""Acceleration of a full action [m/s^2]."""
BRAKING = 8.0
"""Braking of a full action [m/s^2]."""
STEERING = 0.6
"""Steering angle of a full action [rad]."""
MAX_SPEED = 40.0
"""[m/s]."""
WHEELBASE = 0.6
"""Wheelbase as a share of the length."""


@final
class Ego:
    """The state of the ego vehicle.

    Args:
        state: x [m], y [m], heading [rad], speed [m/s], length [m], width [m], shape `(6,)` or more.
    """

    def __init__(self, state: NDArray[np.float64]) -> None:
        self.x, self.y, self.heading, speed, self.length, self.width = state[:6].tolist()
        self.speed = min(max(speed, 0.0), MAX_SPEED)

    @property
    def box(self) -> NDArray[np.float64]:
        """x, y, heading, length, width, shape `(5,)`."""
        return np.array([self.x, self.y, self.heading, self.length, self.width])

    def drive(self, action: NDArray[np.floating], period: float) -> None:
        """Move for one period.

        Args:
            action: Acceleration in units of `ACCELERATION`, or of `BRAKING` below zero, and steering angle in units of
                `STEERING`, left positive, clipped to [-1, 1], shape `(2,)`.
            period: [s].
        """
        pedal, wheel = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0).tolist()
        rate = ACCELERATION * pedal if pedal >= 0 else BRAKING * pedal
        after = min(max(self.speed + rate * period, 0.0), MAX_SPEED)
        slip = np.arctan(np.tan(STEERING * wheel) / 2)
        way = period * (self.speed + after) / 2
        turn = 2 * way * np.sin(slip) / (WHEELBASE * self.length)
        direction = self.heading + turn / 2 + slip
        self.x += float(way * np.cos(direction))
        self.y += float(way * np.sin(direction))
        self.heading = float(np.angle(np.exp(1j * (self.heading + turn))))
        self.speed = after
