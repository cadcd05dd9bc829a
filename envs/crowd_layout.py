"""Observations of Crowd-v0: a robot, its goal, and the last 8 positions of everybody else.

x, y, vx, vy           of the robot [m], [m/s]
x, y                   of its goal [m]
P x 8 x (x, y)         of the people, 0.4 s apart, oldest first [m]; zero where nobody was
P x 8                  whether the person who is in a slot now was there then, 1 or 0
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

OBSERVED = 8
"""Positions of everybody."""
EVERY = 4
"""Steps of 0.1 s between them."""
_OWN = 6


@final
@dataclass(frozen=True)
class CrowdLayout:
    """Takes observations apart; leading axes are kept.

    Args:
        people: Slots P.
    """

    people: int

    @property
    def size(self) -> int:
        """Numbers of an observation."""
        return _OWN + 3 * self.people * OBSERVED

    def robot(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position and velocity, shape `(..., 4)`."""
        return observation[..., :4]

    def goal(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position, shape `(..., 2)`."""
        return observation[..., 4:_OWN]

    def tracks(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions of people, shape `(..., P, 8, 2)`."""
        end = _OWN + 2 * self.people * OBSERVED
        return observation[..., _OWN:end].reshape(*observation.shape[:-1], self.people, OBSERVED, 2)

    def present(self, observation: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Who was there when, shape `(..., P, 8)`."""
        start = _OWN + 2 * self.people * OBSERVED
        return observation[..., start:].reshape(*observation.shape[:-1], self.people, OBSERVED) > 0.5
