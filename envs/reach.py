"""Reach-v0: bring the effector to a goal and stop there.

The planar arm of `envs.arm` without posts. Action a in R^2: absolute set-point [m], speed-limited. Success:
|p - g| < 2 cm and |dp/dt| < 5 cm/s at the end of a control step, with p the effector's position and g the
goal. The task has one mode and is solvable by a linear policy; it is the smallest closed loop there is.
"""

import math
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.arm import EFFECTOR_RADIUS, TIMESTEP, WORKSPACE, Arm
from envs.drawing import check_render_mode
from envs.view import ArmView

GOAL_RADIUS = 0.02
"""Largest distance from the goal at success [m]."""
GOAL_SPEED = 0.05
"""Largest speed at success [m/s]."""

_START = np.array([0.0, -0.36])
_START_SPREAD = np.array([0.04, 0.015])  # half widths of the uniform start [m]
_OVERSHOOT = 0.1  # room of the observation space around the workspace [m]
_GOAL = f'<site name="goal" type="cylinder" size="{GOAL_RADIUS} 0.002" rgba="0.2 0.62 0.42 0.8"/>'


@final
class ReachEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """Planar arm with a random goal.

    Observation, shape `(6,)` [m]: effector x, y, set-point x, y, goal x, y. Action, shape `(2,)` [m]:
    absolute set-point. Reward 1 on success, else 0. `info`: `is_success`.

    Args:
        render_mode: "rgb_array" or None.
        renderer: "drawing" (default) or "mujoco".
        max_speed: Speed limit of the set-point [m/s].
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, renderer: str = "drawing", max_speed: float = 0.4) -> None:
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self.goal = np.zeros(2)
        self.effector_radius = EFFECTOR_RADIUS
        self.action_space = Box(-WORKSPACE.astype(np.float32), WORKSPACE.astype(np.float32), dtype=np.float32)
        reach = np.tile(WORKSPACE + _OVERSHOOT, 3)
        self.observation_space = Box(-reach, reach, dtype=np.float64)
        self._arm = Arm(posts=np.empty((0, 2)), post_radius=0.0, max_speed=max_speed, scenery=_GOAL)
        self._view = ArmView(arm=self._arm, renderer=renderer)
        self._is_success = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start near (0, -0.36) m with a goal anywhere in the workspace; `options` are not used."""
        super().reset(seed=seed)
        start = _START + self.np_random.uniform(-_START_SPREAD, _START_SPREAD)
        self.goal = self.np_random.uniform(-WORKSPACE, WORKSPACE)
        # An episode must need at least one action.
        while math.dist(start, self.goal) < 3 * GOAL_RADIUS:
            self.goal = self.np_random.uniform(-WORKSPACE, WORKSPACE)
        self._arm.model.site("goal").pos[:2] = self.goal
        self._arm.place(start)
        self._is_success = False
        self._view.restart()
        return self._observation(), {"is_success": False}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Move the set-point towards `action` [m] for one control period of 0.1 s.

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        path = self._arm.drive(action).path
        speed = math.dist(path[-1], path[-2]) / TIMESTEP
        self._is_success = math.dist(path[-1], self.goal) < GOAL_RADIUS and speed < GOAL_SPEED
        if self.render_mode is not None:
            self._view.record()
        info = {"is_success": self._is_success}
        return self._observation(), float(self._is_success), self._is_success, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """The present frame, shape `(320, 400, 3)`, or None without a render mode."""
        return None if self.render_mode is None else self._view.frame(self.scene())

    def close(self) -> None:
        """Release the renderer."""
        self._view.close()

    def expert(self) -> "ReachExpert":
        """A demonstrator that goes straight to the goal."""
        return ReachExpert(max_advance=self._arm.max_advance)

    def scene(self) -> dict[str, Any]:
        """The geometry of this episode in plain numbers [m], for plots."""
        (width, height) = WORKSPACE.tolist()
        return {
            "bounds": [[-width, width], [-height, height]],
            "discs": [{"role": "goal", "centre": self.goal.tolist(), "radius": GOAL_RADIUS}],
            "lines": [],
            "effector_radius": self.effector_radius,
        }

    def _observation(self) -> NDArray[np.float64]:
        return np.concatenate([self._arm.position, self._arm.setpoint, self.goal])


@final
class ReachExpert:
    """Moves the set-point straight towards the goal, with a random speed per episode.

    Args:
        max_advance: Largest advance of the set-point per control step [m].
    """

    def __init__(self, *, max_advance: float) -> None:
        self.max_advance = max_advance
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Draw the speed of the next episode from `seed`."""
        self._advance = self.max_advance * float(np.random.default_rng(seed).uniform(0.7, 1.0))

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Next set-point [m], shape `(2,)`; `observation` is that of Reach-v0, shape `(6,)`."""
        setpoint, goal = observation[2:4], observation[4:6]
        share = self._advance / max(float(np.linalg.norm(goal - setpoint)), self._advance)
        command = setpoint + share * (goal - setpoint)
        return np.asarray(command, dtype=np.float32)
