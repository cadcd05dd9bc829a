r"""The expert of Crowd-v0: the best of many velocities, if everybody else goes straight on.

Of velocities v on rings around rest it takes the one of the lowest

    |v - v_goal| + URGENCY / max(t(v), 0.1 s),

with v_goal towards the goal and t(v) the time until the robot would come within a margin of anybody, if all velocities
stayed as they are; what is later than 4 s does not count. On which side it likes to pass is drawn once an episode:
v_goal is turned by a few degrees while anybody is ahead.

Source: velocity obstacles, Fiorini and Shiller 1998; the cost of RVO, van den Berg, Lin and Manocha 2008.
"""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from envs.crowd_layout import EVERY, CrowdLayout
from envs.social_force import PERIOD, Array

URGENCY = 2.5  # [m]
_MARGIN = 0.35  # kept beside the sum of radii [m]
_HORIZON, _SOONEST = 4.0, 0.1  # [s]
_ANGLES, _RINGS = 32, (0.35, 0.7, 1.0)
_TURN = np.radians(12)
_BRAKED = 1.5  # distance from the goal at which it slows down [s of full speed]


@final
class CrowdExpert:
    """Passes by everybody.

    Args:
        layout: Of observations.
        speed: Largest speed of the robot [m/s].
        radius: Sum of the radii of robot and person [m].
    """

    def __init__(self, *, layout: CrowdLayout, speed: float, radius: float) -> None:
        self.layout, self.speed, self.radius = layout, speed, radius
        angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
        circle = np.stack([np.cos(angles), np.sin(angles)], 1)
        self._velocities = np.concatenate([np.zeros((1, 2)), *(speed * ring * circle for ring in _RINGS)])
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Draw the side of the next episode from `seed`."""
        # Not `seed` alone: the environment's draws begin with the numbers of that stream.
        self._side = 1.0 if np.random.default_rng([seed, 1]).random() < 0.5 else -1.0

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Velocity in units of the largest speed, shape `(2,)`."""
        robot, goal = self.layout.robot(observation), self.layout.goal(observation)
        present, tracks = self.layout.present(observation), self.layout.tracks(observation)
        there, moving = present[:, -1], present[:, -1] & present[:, -2]
        velocities = np.where(moving[:, None], tracks[:, -1] - tracks[:, -2], 0.0) / (EVERY * PERIOD)
        away = tracks[there, -1] - robot[:2]
        wanted = self._wanted(goal - robot[:2], away)
        candidates = np.concatenate([wanted[None], self._velocities])
        time = contact(away, velocities[there], candidates, self.radius + _MARGIN).min(1, initial=np.inf)
        urgency = np.where(time < _HORIZON, URGENCY / np.maximum(time, _SOONEST), 0.0)
        cost = np.linalg.norm(candidates - wanted, axis=1) + urgency
        return np.asarray(candidates[int(cost.argmin())] / self.speed, dtype=np.float32)

    def _wanted(self, way: Array, away: Array) -> Array:
        """Towards the goal, a little to one side while anybody is near and ahead."""
        distance = float(np.linalg.norm(way))
        wanted = way / max(distance, 1e-9) * min(self.speed, distance / (_BRAKED * PERIOD))
        near = np.linalg.norm(away, axis=1) < _HORIZON * self.speed / 2
        if not (near & (away @ way > 0)).any():
            return wanted
        cos, sin = np.cos(_TURN), self._side * np.sin(_TURN)
        return np.array([cos * wanted[0] - sin * wanted[1], sin * wanted[0] + cos * wanted[1]])


def contact(away: Array, velocities: Array, candidates: Array, radius: float) -> Array:
    """Time until each candidate velocity comes within a radius of each person [s].

    Args:
        away: Positions of people from the robot [m], shape `(P, 2)`.
        velocities: Of people [m/s], shape `(P, 2)`.
        candidates: Velocities of the robot [m/s], shape `(C, 2)`.
        radius: [m].

    Returns:
        Shape `(C, P)`; infinite where they never meet, 0 where they are that near and come nearer.
    """
    relative = velocities[None] - candidates[:, None]
    along = (away * relative).sum(-1)
    square = np.maximum((relative**2).sum(-1), 1e-12)
    inside = (away**2).sum(-1)[None] - radius**2
    root = along**2 - square * inside
    time = np.where((root >= 0) & (along < 0), (-along - np.sqrt(np.maximum(root, 0))) / square, np.inf)
    found: Array = np.where(inside < 0, np.where(along < 0, 0.0, np.inf), time)
    return found
