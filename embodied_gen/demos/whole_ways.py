"""Whole ways: one example an episode, whose single action is a way over the map of its observation.

The observation is laid flat; the action holds the way-points of the way one after another, x and y each.
"""

from typing import final

import torch

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Pairs


@final
class WholeWays(Pairs):
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
        ways = episodes.actions[first].unflatten(1, (points, 2))
        super().__init__(episodes.observations[first], ways, episodes.source, device)

    def place(self, example: int) -> tuple[int, int]:
        """The episode, and its first step."""
        return example, 0
