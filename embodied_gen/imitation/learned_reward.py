"""An environment whose rewards are a discriminator's, and which keeps the steps that were taken in it."""

from typing import Any, final

import gymnasium
import numpy as np
import torch
from torch import Tensor

from embodied_gen.imitation.discriminator import Discriminator, Moves


@final
class LearnedReward(gymnasium.Wrapper):
    """Rewards by a discriminator; `info["reward"]` is what the environment itself gave.

    Args:
        env: With flat observations and actions of real numbers.
        discriminator: May be trained between steps.

    Raises:
        ValueError: If observations or actions are of another kind.
    """

    def __init__(self, env: gymnasium.Env, discriminator: Discriminator):
        super().__init__(env)
        for name, space in (("observations", env.observation_space), ("actions", env.action_space)):
            if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
                raise ValueError(f"{name} must be flat vectors of real numbers for a discriminator; got {space}.")
        self._discriminator = discriminator
        self._here: np.ndarray = np.zeros(0)
        self._taken: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """See gymnasium."""
        self._here, info = self.env.reset(**options)
        return self._here, info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """See gymnasium."""
        there, own, terminated, truncated, info = self.env.step(action)
        move = (self._here, np.asarray(action), there)
        with torch.no_grad():
            reward = float(self._discriminator.reward(_stacked([move]))[0])
        if not terminated:  # demonstrations do not show where their last step led either
            self._taken.append(move)
        self._here = there
        return there, reward, terminated, truncated, {**info, "reward": own}

    def taken(self) -> Moves:
        """The steps since it was last asked, without those that ended an episode by themselves.

        Raises:
            ValueError: If there are none.
        """
        if not self._taken:
            raise ValueError("no step was taken that did not end its episode; a discriminator needs some that go on.")
        moves, self._taken = _stacked(self._taken), []
        return moves


def _stacked(moves: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Moves:
    def column(number: int) -> Tensor:
        return torch.as_tensor(np.stack([move[number] for move in moves]), dtype=torch.float32)

    return Moves(column(0), column(1), column(2))
