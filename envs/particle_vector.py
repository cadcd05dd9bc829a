"""Many points between two goals at once: Particle-v0 for `gymnasium.make_vec`.

The law of `envs.particle` on arrays of episodes, shape `(M, N)`: what M environments of their own would do, one after
the other, in one pass. Episode k of a seed s is that of the seed s + k, an episode that has ended starts anew at the
next step, and both are as Gymnasium's `SyncVectorEnv` has them.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.actions import check_actions
from envs.drawing import check_render_mode
from envs.particle import STEPS, drawn, followed, frame, is_near, spaces


@final
class ParticleVectorEnv(VectorEnv[NDArray[np.float64], NDArray[np.float32], NDArray[Any]]):
    """M episodes of `ParticleEnv`: observations `(M, 4 N)`, actions `(M, N)`.

    Args:
        num_envs: M, >= 1.
        dimension: N, from 1 to 32.
        max_episode_steps: Steps after which an episode is cut off. None of more than 50 takes place.
        render_mode: "rgb_array" or None.

    Raises:
        ValueError: If an argument is out of range.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        dimension: int = 2,
        max_episode_steps: int = STEPS,
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1 or max_episode_steps < 1:
            raise ValueError(
                f"num_envs and max_episode_steps must be at least 1; got {num_envs} and {max_episode_steps}."
            )
        self.single_observation_space, self.single_action_space = spaces(dimension)
        check_render_mode(render_mode)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.num_envs, self.render_mode = num_envs, render_mode
        self._dimension, self._last = dimension, min(max_episode_steps, STEPS)
        self._streams: list[np.random.Generator] = []
        self._position, self._velocity = np.zeros((2, num_envs, dimension))
        self.goals = np.zeros((num_envs, 2, dimension))
        self._first_reached, self._ended = np.zeros((2, num_envs), dtype=np.bool_)
        self._steps = np.zeros(num_envs, dtype=np.int64)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start all episodes anew.

        Args:
            seed: Of the first episode, with the next numbers of the others; or one for each; None goes on where the
                streams are.
            options: Not used.

        Raises:
            ValueError: If there are not as many seeds as episodes.
        """
        if seed is None:
            seed = [None] * self.num_envs
        seeds = [seed + k for k in range(self.num_envs)] if isinstance(seed, int) else seed
        if len(seeds) != self.num_envs:
            raise ValueError(f"reset needs a seed for each of the {self.num_envs} episodes; got {len(seeds)}.")
        streams = self._streams or [seeding.np_random()[0] for _ in seeds]
        self._streams = [
            stream if own is None else seeding.np_random(own)[0] for stream, own in zip(streams, seeds, strict=True)
        ]
        self._start(np.ones(self.num_envs, dtype=np.bool_))
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        return self._observation(), self._info()

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Follow the set-points `actions` for one control period; episodes that have ended start anew instead.

        Raises:
            ValueError: If `actions` are not N finite numbers for each episode.
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        check_actions(actions, self.num_envs, self._dimension, "in [0, 1]")
        if not self._streams:
            raise ResetNeeded("reset must be called before the first step.")
        self._position, self._velocity = followed(self._position, self._velocity, actions)
        self._steps = self._steps + 1
        self._first_reached = self._first_reached | is_near(self._position, self.goals[:, 0])
        self._start(self._ended)
        info, self._ended = self._info(), self._steps >= self._last
        reward = (info["is_success"] & (self._steps >= STEPS)).astype(np.float64)
        return self._observation(), reward, np.zeros(self.num_envs, dtype=np.bool_), self._ended.copy(), info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A frame of each episode, as `ParticleEnv` draws it; None without a mode."""
        if self.render_mode is None:
            return None
        return tuple(frame(*episode) for episode in zip(self._position, self.goals, strict=True))

    def _start(self, anew: NDArray[np.bool_]) -> None:
        """Draws starts and goals of some episodes, each from its own stream."""
        for k in np.flatnonzero(anew):
            self._position[k], self.goals[k] = drawn(self._streams[k], self._dimension)
        self._velocity[anew] = 0
        self._first_reached[anew], self._steps[anew] = False, 0

    def _observation(self) -> NDArray[np.float64]:
        return np.concatenate([self._position, self._velocity, self.goals[:, 0], self.goals[:, 1]], axis=1)

    def _info(self) -> dict[str, Any]:
        success = self._first_reached & is_near(self._position, self.goals[:, 1])
        known = np.ones(self.num_envs, dtype=np.bool_)
        first = self._first_reached.copy()
        return {"is_success": success, "_is_success": known, "first_reached": first, "_first_reached": known.copy()}
