"""Many points between two goals at once: Particle-v0 for `gymnasium.make_vec`.

The law of `envs.particle` on arrays of episodes, shape `(M, N)`: what M environments of their own would do, one after
the other, in one pass. Episode k of a seed s is that of the seed s + k, an episode that has ended starts anew at the
next step, a reset may start some of them, and all three are as Gymnasium's `SyncVectorEnv` has them.
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
        self._streams = [seeding.np_random() for _ in range(num_envs)]
        self._begun, self._every = False, np.ones(num_envs, dtype=np.bool_)
        self._position, self._velocity = np.zeros((2, num_envs, dimension))
        self.goals = np.zeros((num_envs, 2, dimension))
        self._first_reached, self._ended = np.zeros((2, num_envs), dtype=np.bool_)
        self._steps = np.zeros(num_envs, dtype=np.int64)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start episodes anew: all of them, or those of a mask, while the others stay where they are.

        Args:
            seed: Of the first episode, with the next numbers of the others; or one for each; None goes on where the
                streams are. Those of episodes that go on are not looked at.
            options: May have `reset_mask`, which episodes start anew, bool, shape `(M,)`; all where it lacks.

        Raises:
            ValueError: If there are not as many seeds as episodes, or the mask is none.
            gymnasium.error.ResetNeeded: If an episode is to go on that was never started.
        """
        anew = self._asked(options)
        if not (self._begun or anew.all()):
            raise ResetNeeded("reset must start all episodes once before it starts some of them; call it without mask.")
        if seed is None:
            seed = [None] * self.num_envs
        seeds = [seed + k for k in range(self.num_envs)] if isinstance(seed, int) else seed
        if len(seeds) != self.num_envs:
            raise ValueError(f"reset needs a seed for each of the {self.num_envs} episodes; got {len(seeds)}.")
        for k, own in enumerate(seeds):
            if anew[k] and own is not None:
                self._streams[k] = seeding.np_random(own)
        self._start(anew)
        self._ended, self._begun = self._ended & ~anew, True
        return self._observation(), self._info(anew)

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Follow the set-points `actions` for one control period; episodes that have ended start anew instead.

        Raises:
            ValueError: If `actions` are not N finite numbers for each episode.
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        check_actions(actions, self.num_envs, self._dimension, "in [0, 1]")
        if not self._begun:
            raise ResetNeeded("reset must be called before the first step.")
        self._position, self._velocity = followed(self._position, self._velocity, actions)
        self._steps = self._steps + 1
        self._first_reached = self._first_reached | is_near(self._position, self.goals[:, 0])
        self._start(self._ended)
        info, self._ended = self._info(self._every), self._steps >= self._last
        reward = (info["is_success"] & (self._steps >= STEPS)).astype(np.float64)
        return self._observation(), reward, np.zeros(self.num_envs, dtype=np.bool_), self._ended.copy(), info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A frame of each episode, as `ParticleEnv` draws it; None without a mode."""
        if self.render_mode is None:
            return None
        return tuple(frame(*episode) for episode in zip(self._position, self.goals, strict=True))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # as `SyncVectorEnv` has it
        """The seed of each episode's stream."""
        return tuple(seed for _, seed in self._streams)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The stream of each episode."""
        return tuple(stream for stream, _ in self._streams)

    def _asked(self, options: dict[str, Any] | None) -> NDArray[np.bool_]:
        """Which episodes are to start anew."""
        if options is None or "reset_mask" not in options:
            return self._every
        mask = options["reset_mask"]
        masks = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (self.num_envs,)
        if not (masks and mask.any()):
            raise ValueError(
                f"reset_mask must be a bool array of shape ({self.num_envs},) with at least one True; got {mask!r}. "
                "Leave it out to start all episodes."
            )
        return mask

    def _start(self, anew: NDArray[np.bool_]) -> None:
        """Draws starts and goals of some episodes, each from its own stream."""
        for k in np.flatnonzero(anew):
            self._position[k], self.goals[k] = drawn(self._streams[k][0], self._dimension)
        self._velocity[anew] = 0
        self._first_reached[anew], self._steps[anew] = False, 0

    def _observation(self) -> NDArray[np.float64]:
        return np.concatenate([self._position, self._velocity, self.goals[:, 0], self.goals[:, 1]], axis=1)

    def _info(self, known: NDArray[np.bool_]) -> dict[str, Any]:
        """What is told of some episodes, false of the others."""
        success = known & self._first_reached & is_near(self._position, self.goals[:, 1])
        told = {"is_success": success, "first_reached": known & self._first_reached}
        return told | {f"_{name}": known.copy() for name in told}
