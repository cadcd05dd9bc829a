"""Whole ways: one example an episode, whose single action is a way over the map of its observation.

The observation is laid flat; the action holds the way-points of the way one after another, x and y each.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Examples


@final
class WholeWays(Examples):
    """The first action of every episode, as way-points.

    Args:
        episodes: Demonstrations.
        points: Way-points of a way, >= 1.
        device: Where the data are kept.

    Raises:
        ValueError: If an action is no such way.
    """

    def __init__(self, episodes: Episodes, *, points: int, device: torch.device | str = "cpu"):
        if points < 1 or episodes.actions.shape[1] != 2 * points:
            raise ValueError(
                f"{episodes.source}: an action must hold {points} way-points of 2 numbers; got "
                f"{episodes.actions.shape[1]} numbers. Set control.moves to the environment's."
            )
        first = episodes.starts[:-1]
        self.source = episodes.source
        self._seen = episodes.observations[first].unsqueeze(1).to(device)
        self._ways = episodes.actions[first].unflatten(1, (points, 2)).to(device)

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self._ways)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._ways.device

    def batch(self, index: Tensor) -> Batch:
        """Observations `(B, 1, O)` and ways `(B, T + 1, 2)`."""
        value = self._ways[index]
        return Batch(self._seen[index], value, torch.ones(value.shape[:2], dtype=torch.bool, device=self.device))

    def values(self) -> Tensor:
        """All ways."""
        return self._ways.cpu()

    def observations(self) -> Tensor:
        """All observations."""
        return self._seen[:, 0].cpu()

    def place(self, example: int) -> tuple[int, int]:
        """The episode, and its first step."""
        return example, 0
