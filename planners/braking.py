"""Braking on a way: the same places, at a speed that falls by a constant deceleration until it is zero.

After t seconds of braking by b from the speed v a vehicle is v t - b t^2 / 2 further on its way, for t up to v / b.
"""

import numpy as np

from planners.scenes import HEADING, SPEED

_BEYOND = 1e3  # the last heading goes on that far [m]


def braked(here: np.ndarray, way: np.ndarray, deceleration: float, *, period: float, steps: int) -> np.ndarray:
    """States of a vehicle that brakes on its way.

    Args:
        here: Its state: x, y, heading, speed and what does not change, shape `(C,)`.
        way: States to come, as many channels; shape `(L, C)`, none for straight on.
        deceleration: > 0 [m/s^2].
        period: Of a step [s].
        steps: Of what is returned.

    Returns:
        States of the coming steps, shape `(steps, C)`.
    """
    states = np.concatenate([here[None], way])
    heading = np.unwrap(states[:, HEADING])
    ahead = [np.cos(heading[-1]), np.sin(heading[-1])]
    places = np.concatenate([states[:, :2], [states[-1, :2] + _BEYOND * np.array(ahead)]])
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(places, axis=0), axis=1).cumsum()])
    speed = here[SPEED]
    t = np.minimum(period * np.arange(1, steps + 1), speed / deceleration)
    gone = speed * t - deceleration * t**2 / 2
    found = np.repeat(here[None], steps, axis=0)
    found[:, 0], found[:, 1] = (np.interp(gone, along, places[:, axis]) for axis in range(2))
    found[:, HEADING] = np.interp(gone, along, np.append(heading, heading[-1]))
    found[:, SPEED] = speed - deceleration * t
    return found
