"""PushBlocks-v0: push two cubes into two zones, one each; any cube into any zone, in any order.

The table of `envs.push_table`, control at 10 Hz, episodes of at most 350 control steps (35 s). Action a in R^2: advance
of the tip's set-point [m]. The tip starts at (0.3, -0.4) m. Cubes start in x in [0.3, 0.5], y in [-0.35, -0.05] m, more
than 0.1 m apart in x, with any yaw; zones lie at y = 0.2 m and x = 0.28 and 0.52 m, one left and one right, give or
take millimetres and 6 degrees. A cube is in a zone while its centre is within 0.05 m of the zone's. Success, which ends
the episode: each zone holds one cube.

There are four ways: which cube is first in a zone, and in which. A demonstration set holds all of them for every start.

Source: BlockPush of Florence et al. 2021 (arXiv:2109.00137) in the version with several modes of Shafiullah et al. 2022
(arXiv:2206.11251), ported to MuJoCo. `p1` and `p2` are their measures: one cube, and both, have been in a zone.
"""

import math
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.actions import check_action
from envs.drawing import BLUE, GREEN, INK, ORANGE, Colour, Drawing, check_render_mode
from envs.push_expert import ORDERS, PushExpert
from envs.push_table import CONTROL_PERIOD, HALF_SIDE, TIP_RADIUS, WORKSPACE, PushTable

ZONE_RADIUS = 0.05
"""Largest distance from a zone's centre at which a cube is in it [m]."""
LARGEST_ADVANCE = 0.1
"""Largest advance of the set-point along an axis in a control step [m]."""

_TIP = np.array([0.3, -0.4])
_CUBES_LOW, _CUBES_HIGH = np.array([0.3, -0.35]), np.array([0.5, -0.05])  # range of starts [m]
_APART = 0.1  # least distance of the cubes in x [m]
_ZONES = np.array([[0.28, 0.2], [0.52, 0.2]])
_ZONE_SPREAD = np.array([0.005, 0.0075])  # half widths [m]
_ZONE_TURN = math.pi / 30  # half width of a zone's yaw about pi [rad]
_ROOM = 0.1  # of the observation space around the workspace [m]
_COLOURS: tuple[Colour, Colour] = (BLUE, ORANGE)


@final
class PushBlocksEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """A tip that pushes two cubes.

    Observation, shape `(16,)`: x, y [m] and yaw modulo pi [rad] of both cubes; tip x, y; set-point x, y [m]; x, y and
    yaw modulo pi of both zones. Action, shape `(2,)`: advance of the set-point [m]. Reward 0.49 when a cube is in a
    zone for the first time, 0.51 on success. `info`: `is_success`, `p1`, `p2`, and `mode`, 2 * (first cube) + (its
    zone) once a cube has been in a zone, else -1.

    Args:
        render_mode: "rgb_array" or None.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10, "modes": ORDERS}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None) -> None:
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self.action_space = Box(-LARGEST_ADVANCE, LARGEST_ADVANCE, (2,), np.float32)
        # Cubes can be pushed a little further than the tip goes; nothing but the table stops them.
        pose = np.array([[-1.0, -1.5, 0.0], [2.0, 1.5, math.pi]])
        room = np.array([[-_ROOM], [_ROOM]])
        tips = np.tile(WORKSPACE + room, 2)
        low, high = np.concatenate([np.tile(pose, 2), tips, np.tile(pose, 2)], axis=1)
        self.observation_space = Box(low, high, dtype=np.float64)
        self._table = PushTable()
        self._zones = np.zeros((2, 3))
        self._entered = np.zeros((2, 2), dtype=bool)  # whether a cube (row) has been in a zone (column)
        self._mode = -1
        self._is_success = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Draw cubes and zones; `options` are not used."""
        super().reset(seed=seed)
        cubes = self.np_random.uniform(_CUBES_LOW, _CUBES_HIGH, (2, 2))
        while abs(cubes[0, 0] - cubes[1, 0]) <= _APART:
            cubes = self.np_random.uniform(_CUBES_LOW, _CUBES_HIGH, (2, 2))
        yaws = self.np_random.uniform(0, math.pi, size=(2, 1))
        zones = self.np_random.permutation(_ZONES) + self.np_random.uniform(-_ZONE_SPREAD, _ZONE_SPREAD, (2, 2))
        turns = self.np_random.uniform(-_ZONE_TURN, _ZONE_TURN, size=(2, 1)) % math.pi
        self._zones = np.concatenate([zones, turns], axis=1)
        self._table.place(_TIP, np.concatenate([cubes, yaws], axis=1))
        self._entered[:] = False
        self._mode = -1
        self._is_success = False
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Advance the set-point by `action` [m], clipped, in one control period of 0.1 s.

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        check_action(action, 2, "[m]")
        advance = np.clip(np.asarray(action, dtype=np.float64), -LARGEST_ADVANCE, LARGEST_ADVANCE)
        self._table.drive(self._table.setpoint + advance)
        reward = self._judge()
        return self._observation(), reward, self._is_success, False, self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """A drawing from above, x to the right and y up, shape `(660, 390, 3)`, or None without a render mode."""
        if self.render_mode is None:
            return None
        (left, low), (right, high) = WORKSPACE + np.array([[-_ROOM / 2], [_ROOM / 2]])
        drawing = Drawing(bounds=((left, right), (low, high)), size=(390, 660))
        drawing.grid(0.1)
        for zone in self._zones:
            drawing.disc(zone[:2], ZONE_RADIUS, (*GREEN[:3], 70), edge=GREEN)
        for cube, colour in zip(self._table.cubes, _COLOURS, strict=True):
            drawing.polygon(corners(cube), colour)
        drawing.disc(self._table.setpoint, 2 * TIP_RADIUS, None, edge=INK, edge_width=0.003)
        drawing.disc(self._table.tip, TIP_RADIUS, INK)
        return drawing.pixels()

    def expert(self, *, order: int | None = None) -> PushExpert:
        """A demonstrator that takes a random order in every episode, or always `order`."""
        return PushExpert(period=CONTROL_PERIOD, order=order)

    def _judge(self) -> float:
        """Brings the record of cubes and zones up to date; returns the reward of the step."""
        offset = self._table.cubes[:, None, :2] - self._zones[None, :, :2]
        inside = np.linalg.norm(offset, axis=-1) < ZONE_RADIUS
        new = inside & ~self._entered & ~self._entered.any(axis=1, keepdims=True)
        if self._mode < 0 and inside.any():
            self._mode = int(np.argmax(inside))
        self._entered |= inside
        # Zones are further apart than twice their radius: a cube is in one of them at most.
        self._is_success = bool((inside.sum(axis=0) == 1).all())
        return 0.51 if self._is_success else 0.49 * float(new.any())

    def _observation(self) -> NDArray[np.float64]:
        table = self._table
        return np.concatenate([table.cubes.ravel(), table.tip, table.setpoint, self._zones.ravel()])

    def _info(self) -> dict[str, Any]:
        done = int(self._entered.any(axis=1).sum())
        return {"is_success": self._is_success, "p1": done >= 1, "p2": self._is_success, "mode": self._mode}


def corners(cube: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of a cube's outline [m], shape `(4, 2)`, from its x, y and yaw."""
    angles = cube[2] + math.pi / 4 + np.arange(4) * math.pi / 2
    return cube[:2] + math.sqrt(2) * HALF_SIDE * np.stack([np.cos(angles), np.sin(angles)], axis=1)
