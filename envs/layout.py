"""How an observation of Traffic-v0 is laid out.

First `agents` x 7 numbers, one row a vehicle: x [m], y [m], heading [rad], speed [m/s], length [m], width [m], valid.
Then `agents` x ROUTES x POINTS x 2: the ways ahead of every vehicle, a point every SPACING, the first that far ahead;
the first way again where there are fewer. All in the world's frame; zeros for vehicles that are not there.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

STATE = 7
"""Numbers of a vehicle's state."""
BOX = [0, 1, 2, 4, 5]
"""Columns of a state that are the vehicle's box: x, y, heading, length, width."""
ROUTES = 3
"""Ways ahead of every vehicle."""
POINTS = 10
"""Points of a way."""
SPACING = 5.0
"""Distance of a way's points [m]."""


@final
@dataclass(frozen=True)
class Layout:
    """Where the parts of an observation are.

    Attributes:
        agents: Vehicles with the ego, which is the first.
    """

    agents: int

    @property
    def states(self) -> slice:
        """The states of all vehicles."""
        return slice(0, self.agents * STATE)

    @property
    def routes(self) -> slice:
        """The ways ahead of all vehicles."""
        return slice(self.agents * STATE, self.size)

    @property
    def size(self) -> int:
        """Numbers of an observation."""
        return self.agents * (STATE + ROUTES * POINTS * 2)

    def states_of(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        """States, shape `(..., agents, 7)`, of observations `(..., size)`."""
        return observation[..., self.states].reshape(*observation.shape[:-1], self.agents, STATE)

    def routes_of(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ways ahead [m], shape `(..., agents, ROUTES, POINTS, 2)`, of observations `(..., size)`."""
        return observation[..., self.routes].reshape(*observation.shape[:-1], self.agents, ROUTES, POINTS, 2)
