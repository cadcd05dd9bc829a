"""Avoid-v0: bring the effector past three rows of posts; there are 24 ways to do it.

State: the planar arm of `envs.arm` at rest near (0, -0.36) m. Action a in R^2: absolute set-point [m]; the
set-point moves towards a by at most v_max T per control step. Failure: the effector (radius r_e) touches a
post (radius r_p) at any time. With p_0, ..., p_n the effector's positions at the physics times of a control
step, that is decided for the whole polyline, min_k dist(c_k, p_i p_{i+1}) < r_e + r_p, or by a contact that
MuJoCo reports. Success: y reaches FINISH_Y without a collision.

Every start state allows all routes, so a demonstration set has 24 modes, and the average of two of them
hits a post: a policy must represent the whole distribution, not its mean.
"""

from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.arm import EFFECTOR_RADIUS, WORKSPACE, Arm
from envs.drawing import check_render_mode
from envs.routes import FINISH_Y, MODES, POST_RADIUS, AvoidExpert, GapRecord, posts
from envs.view import ArmView

_START = np.array([0.0, -0.36])
_START_SPREAD = np.array([0.04, 0.015])  # half widths of the uniform start [m]
_OVERSHOOT = 0.1  # room of the observation space around the workspace [m]
_FINISH = f'<geom class="look" type="box" pos="0 {FINISH_Y} 0.001" size="0.5 0.005 0.001" rgba="0.2 0.62 0.42 1"/>'


@final
class AvoidEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """Planar arm among posts.

    Observation, shape `(4,)` [m]: effector x, y, set-point x, y. Action, shape `(2,)` [m]: absolute
    set-point. Reward 1 on success, else 0. `info`: `is_success`, `collision`, and `mode`, the route index in
    0..23 once all rows are crossed, else -1.

    Args:
        render_mode: "rgb_array" or None.
        renderer: "drawing" (default) or "mujoco".
        max_speed: Speed limit of the set-point [m/s].
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10, "modes": MODES}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, renderer: str = "drawing", max_speed: float = 0.4) -> None:
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self.posts = posts()
        self.post_radius = POST_RADIUS
        self.effector_radius = EFFECTOR_RADIUS
        self.finish_y = FINISH_Y
        self.action_space = Box(-WORKSPACE.astype(np.float32), WORKSPACE.astype(np.float32), dtype=np.float32)
        reach = np.tile(WORKSPACE + _OVERSHOOT, 2)
        self.observation_space = Box(-reach, reach, dtype=np.float64)
        self._arm = Arm(posts=self.posts, post_radius=POST_RADIUS, max_speed=max_speed, scenery=_FINISH)
        self._view = ArmView(arm=self._arm, renderer=renderer)
        self._gaps = GapRecord()
        self._collision = False
        self._is_success = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start an episode near (0, -0.36) m; `options` are not used."""
        super().reset(seed=seed)
        start = _START + self.np_random.uniform(-_START_SPREAD, _START_SPREAD)
        self._arm.place(start)
        self._gaps.clear(float(start[1]))
        self._collision = self._is_success = False
        self._view.restart()
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Move the set-point towards `action` [m] for one control period of 0.1 s.

        Raises:
            ValueError: If `action` is not two finite numbers.
        """
        motion = self._arm.drive(action)
        # A collision on the way outweighs a finish in the same step.
        self._collision = motion.touched or clearance(motion.path, self.posts) < (
            self.post_radius + self.effector_radius
        )
        self._is_success = not self._collision and float(motion.path[:, 1].max()) >= self.finish_y
        self._gaps.add(motion.path)
        if self.render_mode is not None:
            self._view.record()
        terminated = self._collision or self._is_success
        return self._observation(), float(self._is_success), terminated, False, self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """The present frame, shape `(320, 400, 3)`, or None without a render mode."""
        if self.render_mode is None:
            return None
        return self._view.frame(self.scene(), collision=self._collision)

    def close(self) -> None:
        """Release the renderer."""
        self._view.close()

    def expert(self, *, route: int | None = None) -> AvoidExpert:
        """A demonstrator that takes a random route in every episode, or always `route`."""
        return AvoidExpert(max_advance=self._arm.max_advance, route=route)

    def scene(self) -> dict[str, Any]:
        """The fixed geometry in plain numbers [m], for plots: bounds, discs and lines with their role."""
        (width, height) = WORKSPACE.tolist()
        return {
            "bounds": [[-width, width], [-height, height]],
            "discs": [{"role": "post", "centre": centre, "radius": self.post_radius} for centre in self.posts.tolist()],
            "lines": [
                {"role": "finish", "start": [-width, self.finish_y], "end": [width, self.finish_y]},
            ],
            "effector_radius": self.effector_radius,
        }

    def _observation(self) -> NDArray[np.float64]:
        return np.concatenate([self._arm.position, self._arm.setpoint])

    def _info(self) -> dict[str, Any]:
        return {"is_success": self._is_success, "collision": self._collision, "mode": self._gaps.mode}


def clearance(path: NDArray[np.float64], centres: NDArray[np.float64]) -> float:
    """Smallest distance between a polyline and any of the centres.

    Args:
        path: Corners [m], shape `(P, 2)`, P >= 2.
        centres: Points [m], shape `(K, 2)`, K >= 1.

    Returns:
        Distance [m].
    """
    start, side = path[:-1, None], np.diff(path, axis=0)[:, None]
    offset = centres - start
    length = np.einsum("pki,pki->pk", side, side)
    # A side of length zero is its start point: any foot in [0, 1] is right, so divide by something.
    foot = np.einsum("pki,pki->pk", offset, side) / np.maximum(length, 1e-18)
    gap = offset - np.minimum(np.maximum(foot, 0.0), 1.0)[..., None] * side
    return float(np.sqrt(np.einsum("pki,pki->pk", gap, gap).min()))
