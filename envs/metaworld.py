"""MetaWorld-v0: one of the 50 Meta-World V3 manipulation tasks, as a seeded, terminating environment.

A Sawyer arm with a gripper; control at 80 Hz. Observation o in R^39: hand position (3) [m], gripper opening
(1) in 0..1, poses of up to two objects (14, positions [m] and quaternions, zero-padded), the same 18 numbers
one step earlier, and the goal position (3) [m]. Action a in [-1, 1]^4: hand displacement in units of 1 cm
per step, gripper effort. Physics, reward and success test are Meta-World's own; this class adds only

- seeds: Meta-World draws initial states from NumPy's global generator or freezes the first draw; here
  `reset(seed)` draws a fresh initial state and goal from the environment's own generator;
- an end: the episode terminates at the first success, which is what the usual success rate counts;
- finite bounds of the observation space, equal for all tasks; Meta-World's own are infinite for objects.

Scores are comparable only at equal versions of Meta-World and MuJoCo.

Source: Yu et al. 2020, Meta-World (arXiv:1910.10897); McLean et al. 2025, Meta-World+ (arXiv:2505.11289).
"""

import difflib
import warnings
from typing import Any, final

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from envs.actions import check_action

_HAND_LOW, _HAND_HIGH = [-0.525, 0.348, -0.0525], [0.525, 1.025, 0.7]  # [m], Meta-World's own
_OBJECT = 10.0  # [m]; an object that falls off the table stays far inside
_GOAL = 1.0  # [m]


@final
class MetaWorldEnv(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """A Meta-World V3 task with observable goal.

    Observation, shape `(39,)`, and action, shape `(4,)`: see the module. Reward: Meta-World's dense reward
    in 0..10. `info`: `is_success`. Truncated after 500 steps.

    Args:
        task: Name of the task, such as "reach-v3".
        render_mode: "rgb_array" (needs off-screen OpenGL: set MUJOCO_GL=egl) or None.

    Raises:
        ImportError: If Meta-World is not installed.
        ValueError: If there is no such task.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 80}  # noqa: RUF012

    def __init__(self, *, task: str = "reach-v3", render_mode: str | None = None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f'render_mode must be "rgb_array" or None; got {render_mode!r}.')
        self.task = task
        self.render_mode = render_mode
        # A seed at construction keeps Meta-World from advancing NumPy's global generator.
        self._inner = _task_class(task)(seed=0, render_mode=render_mode)
        self._inner._freeze_rand_vec = False
        self._inner.seeded_rand_vec = True
        frame_low = [*_HAND_LOW, -1.0, *[-_OBJECT] * 14]
        frame_high = [*_HAND_HIGH, 1.0, *[_OBJECT] * 14]
        self.observation_space = Box(
            np.array([*frame_low, *frame_low, *[-_GOAL] * 3]),
            np.array([*frame_high, *frame_high, *[_GOAL] * 3]),
            dtype=np.float64,
        )
        self.action_space = Box(-1.0, 1.0, (4,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Draw a fresh initial state and goal; `options` are not used."""
        super().reset(seed=seed)
        self._inner.np_random = self.np_random
        # Meta-World settles the arm before it clears the simulator; what was there must not matter.
        mujoco.mj_resetData(self._inner.model, self._inner.data)
        observation, _ = self._inner.reset()
        return self._bounded(observation), {"is_success": False}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Move the hand by `action` [cm] and the gripper, for one control period of 12.5 ms.

        Raises:
            ValueError: If `action` is not four finite numbers.
        """
        check_action(action, 4, "in [-1, 1]")
        observation, reward, _, truncated, info = self._inner.step(action)
        success = bool(info["success"])
        return self._bounded(observation), float(reward), success, bool(truncated), {"is_success": success}

    def render(self) -> NDArray[np.uint8] | None:
        """The present frame, shape `(480, 480, 3)`, or None without a render mode."""
        if self.render_mode is None:
            return None
        try:
            return np.asarray(self._inner.render(), dtype=np.uint8)
        except Exception as error:  # the GL back ends raise anything from AttributeError to GLError
            raise RuntimeError(
                f"Meta-World frames need off-screen OpenGL, which could not be started ({error}). Set "
                "MUJOCO_GL=egl before Python starts."
            ) from error

    def close(self) -> None:
        """Release the renderer."""
        self._inner.close()

    def expert(self) -> "MetaWorldExpert":
        """Meta-World's scripted policy for this task."""
        return MetaWorldExpert(task=self.task)

    def _bounded(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(observation, self.observation_space.low, self.observation_space.high)  # type: ignore[attr-defined]


@final
class MetaWorldExpert:
    """Meta-World's own scripted policy; it is deterministic, all variety comes from the initial states.

    Args:
        task: Name of the task.
    """

    def __init__(self, *, task: str) -> None:
        _task_class(task)
        from metaworld.policies import ENV_POLICY_MAP

        self.task = task
        self._policy = ENV_POLICY_MAP[task]()

    def reset(self, seed: int) -> None:
        """Nothing to draw and nothing to forget: the policies have no state."""

    def act(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Action, shape `(4,)`, for an observation, shape `(39,)`."""
        with warnings.catch_warnings():
            # Every large step warns that it will be clipped; clipping is what is wanted.
            warnings.filterwarnings("ignore", message="Constant")
            action = self._policy.get_action(observation)
        return np.clip(action, -1.0, 1.0).astype(np.float32)


def _task_class(task: str) -> Any:
    try:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE as classes
    except ImportError as error:
        raise ImportError(
            "Meta-World environments need the 'robotics' extra: pip install 'embodied-gen[robotics]'"
        ) from error
    suffix = "-goal-observable"
    names = [name.removesuffix(suffix) for name in classes]
    if task not in names:
        close = difflib.get_close_matches(str(task), names, n=3, cutoff=0.3) or names[:3]
        raise ValueError(
            f"task must be one of the {len(names)} Meta-World V3 tasks; got {task!r}. Close names: {', '.join(close)}."
        )
    return classes[task + suffix]
