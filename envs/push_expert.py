"""The expert of PushBlocks-v0: pushes one cube into one zone, then the other cube into the other zone.

With b the cube, g its target and d = (g - b) / |g - b|, the set-point s goes through the phases

    approach   to b - 0.05 d, at 0.3 m/s
    contact    to b - 0.03 d, at 0.35 m/s; on to `turn` where the cube's heading is off by more than 0.2 rad
    push       to b - 0.01 d, at 0.35 m/s, which is inside of the cube; back to `approach` where it has turned
    turn       around b at 25 mm, 0.2 rad ahead, at 0.15 m/s, until the heading is off by less than 0.03 rad
    retreat    once the first cube is within 40 mm of its target: back to the first place to push from, then home

The heading error is the angle from a side of the cube to d, in [-pi/4, pi/4). Which cube goes first, and to which
target, is drawn once an episode: four orders, equally likely.

Source: the scripted oracle of Florence et al. 2021 (arXiv:2109.00137), with the orders of Shafiullah et al. 2022
(arXiv:2206.11251).
"""

import math
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

ORDERS = 4
"""Ways to do the task: order = 2 * (first cube) + (its target)."""

_ARRIVED = 0.001  # [m]
_DONE = 0.04  # distance of a cube from its target at which the next is due [m]
_TWISTED, _FLAT = 0.2, 0.03  # heading errors at which turning begins and ends [rad]
_CIRCLE, _AHEAD = 0.025, 0.2  # [m], [rad]
_NEXT = {"approach": "contact", "contact": "push", "retreat": "home", "home": "approach"}
_SPEED = {"approach": 0.3, "retreat": 0.3, "home": 0.3, "contact": 0.35, "push": 0.35, "left": 0.15, "right": 0.15}


@final
class PushExpert:
    """Pushes the cubes one after the other.

    Args:
        period: Time between two actions [s].
        order: Order to take always, 0 to 3; random for every episode if None.

    Raises:
        ValueError: If there is no such order.
    """

    def __init__(self, *, period: float, order: int | None = None) -> None:
        if order is not None and not 0 <= order < ORDERS:
            raise ValueError(f"order must lie in 0..{ORDERS - 1}, or be None for random ones; got {order}.")
        self.period = period
        self.order = order
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Draw the order of the next episode from `seed`."""
        # Not `seed` alone: the environment's draws begin with the numbers of that stream.
        drawn = int(np.random.default_rng([seed, 1]).integers(ORDERS))
        self._cube, self._target = divmod(drawn if self.order is None else self.order, 2)
        self._phase = "approach"
        self._second = False
        self._way_back: list[NDArray[np.float64]] = []  # home, then the first place to push from

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Advance of the set-point [m], shape `(2,)`, for an observation, shape `(16,)`."""
        cubes, targets = observation[:6].reshape(2, 3), observation[10:].reshape(2, 3)
        setpoint = observation[8:10]
        if not self._way_back:
            self._way_back.append(setpoint.copy())
        if not self._second and math.dist(cubes[self._cube, :2], targets[self._target, :2]) < _DONE:
            self._cube, self._target, self._second = 1 - self._cube, 1 - self._target, True
            self._phase = "retreat"
        wanted = self._wanted(cubes[self._cube], targets[self._target, :2], setpoint)
        delta = wanted - setpoint
        longest = _SPEED[self._phase] * self.period
        return np.asarray(delta * min(1.0, longest / max(float(np.linalg.norm(delta)), 1e-9)), dtype=np.float32)

    def _wanted(
        self, cube: NDArray[np.float64], target: NDArray[np.float64], setpoint: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Where the set-point should go [m], after the phase is brought up to date."""
        along = (target - cube[:2]) / max(math.dist(target, cube[:2]), 1e-9)
        error = heading_error(cube[2], along)
        self._advance(error)
        place = self._place(cube[:2], along, setpoint)
        if self._phase in _NEXT and math.dist(place, setpoint) < _ARRIVED:
            if self._phase == "approach" and len(self._way_back) == 1:
                self._way_back.append(place)
            self._phase = _NEXT[self._phase]
            place = self._place(cube[:2], along, setpoint)
        return place

    def _advance(self, error: float) -> None:
        """Begin or end a turn."""
        if self._phase == "contact" and abs(error) > _TWISTED:
            self._phase = "left" if error > 0 else "right"
        elif (
            (self._phase == "push" and abs(error) > _TWISTED)
            or (self._phase == "left" and error < _FLAT)
            or (self._phase == "right" and error > -_FLAT)
        ):
            self._phase = "approach"

    def _place(
        self, cube: NDArray[np.float64], along: NDArray[np.float64], setpoint: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        match self._phase:
            case "approach":
                return cube - 0.05 * along
            case "contact":
                return cube - 0.03 * along
            case "push":
                return cube - 0.01 * along
            case "retreat":
                return self._way_back[-1]
            case "home":
                return self._way_back[0]
        away = math.atan2(*(setpoint - cube)[::-1]) + (_AHEAD if self._phase == "left" else -_AHEAD)
        return cube + _CIRCLE * np.array([math.cos(away), math.sin(away)])


def heading_error(yaw: float, along: NDArray[np.float64]) -> float:
    """Angle [rad] from the nearest side of a cube at `yaw` to a direction, in [-pi/4, pi/4)."""
    return (math.atan2(along[1], along[0]) - yaw + math.pi / 4) % (math.pi / 2) - math.pi / 4
