r"""A robot that moves in any direction: its velocity follows the commanded one.

State s = (x, y, vx, vy), action u in the plane in units of the largest speed V, shortened to the unit disc. In a step
of time h

    v' = v + w min(1, A h / |w|),   w = V u - v,        x' = x + h v',

so velocity changes by A h at most. This is the robot of Crowd-v0, away from the edge of its plaza.
"""

from typing import final

import torch
from torch import Tensor


@final
class Omnidirectional:
    """The next states of many robots.

    Args:
        speed: V [m/s], > 0.
        acceleration: A [m/s^2], > 0.
        period: h [s], > 0.

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(self, *, speed: float, acceleration: float, period: float):
        if not all(number > 0 for number in (speed, acceleration, period)):
            raise ValueError(
                f"speed, acceleration and period must be positive; got {speed}, {acceleration} and {period}."
            )
        self.speed, self.acceleration, self.period = speed, acceleration, period

    def __call__(self, states: Tensor, actions: Tensor) -> Tensor:
        """States after one step, `(M, 4)`, from states `(M, 4)` [m, m/s] and actions `(M, 2)`."""
        place, velocity = states.split(2, -1)
        wanted = self.speed * actions / torch.hypot(*actions.unbind(-1)).clamp(min=1).unsqueeze(-1)
        change = wanted - velocity
        length = torch.hypot(*change.unbind(-1)).clamp(min=1e-9).unsqueeze(-1)
        velocity = velocity + change * (self.acceleration * self.period / length).clamp(max=1)
        return torch.cat([place + self.period * velocity, velocity], -1)
