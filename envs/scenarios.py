"""A road map with the traffic that was recorded on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from envs.lanelets import MAX_COORDINATE
from envs.roads import RoadMap


@final
@dataclass(frozen=True, eq=False)
class Track:
    """One recorded road user, or something that stands there.

    Attributes:
        id: Its number in the recording.
        kind: What it is, as the recording says: "car", "truck", "pedestrian", ...
        length: [m].
        width: [m].
        first: Time step of the first state, counted in periods of the scenario.
        states: x [m], y [m] of the middle, heading [rad] in [-pi, pi], speed [m/s], one row a step, shape `(T, 4)`.
        static: Whether it stays where it is at all times; T is 1 then.
    """

    id: int
    kind: str
    length: float
    width: float
    first: int
    states: NDArray[np.float64]
    static: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.length <= 100 and 0 < self.width <= 100):
            raise ValueError(
                f"obstacle {self.id}: length and width must lie in (0, 100] m; got {self.length:g} and {self.width:g}."
            )
        if not (np.isfinite(self.states).all() and (np.abs(self.states[:, :2]) <= MAX_COORDINATE).all()):
            raise ValueError(
                f"obstacle {self.id}: states must be finite and within {MAX_COORDINATE:g} m of the origin."
            )

    def at(self, step: int) -> NDArray[np.float64] | None:
        """The state at a time step, shape `(4,)`, or None where there is none."""
        index = 0 if self.static else step - self.first
        return self.states[index] if 0 <= index < len(self.states) else None


@final
@dataclass(frozen=True, eq=False)
class Scenario:
    """A map and its recordings.

    Attributes:
        road: The map.
        tracks: Recorded road users, none for a map alone.
        period: Time between two steps of a track [s].
    """

    road: RoadMap
    tracks: Sequence[Track]
    period: float
