"""What lies ahead: the stretch that follows each step of the demonstrations, seen from where it begins.

The example of step t has T way-points: how far the positions of the steps t, t + s, .., t + s (T - 1) of its episode
lie from that of step t, the goal standing for positions after the end. What is known of it is how far the goal lies
from the position of step t, and nothing else: not where on a map the step is, nor what the map is like. A model of them
knows how one moves, and leaves to a guide whereto.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Examples


@final
class Ahead(Examples):
    """The stretch ahead of every step of some episodes.

    Args:
        episodes: Demonstrations.
        position: Channels of the observation that are the position, D of them.
        goal: Those that are the goal, as many.
        horizon: Way-points T, >= 2.
        stride: Control steps s from one to the next, >= 1.
        device: Where the data are kept.

    Raises:
        ValueError: If a size is out of range or a channel does not exist.
    """

    def __init__(
        self,
        episodes: Episodes,
        *,
        position: Sequence[int],
        goal: Sequence[int],
        horizon: int,
        stride: int,
        device: torch.device | str = "cpu",
    ):
        if horizon < 2 or stride < 1:
            raise ValueError(f"horizon must be at least 2 and stride at least 1; got {horizon} and {stride}.")
        channels = episodes.observations.shape[1]
        named = [*position, *goal]
        if len(position) != len(goal) or not named or not all(0 <= channel < channels for channel in named):
            raise ValueError(
                f"position and goal must name as many channels of the {channels} of an observation; got "
                f"{list(position)} and {list(goal)}."
            )
        self.episodes, self.source = episodes, episodes.source
        self._positions = episodes.observations[:, list(position)].to(device)
        self._goals = episodes.observations[:, list(goal)].to(device)
        self._last = episodes.ends()[1].to(device)
        self._ahead = stride * torch.arange(horizon, device=device)

    def __len__(self) -> int:
        """The number of stretches, one for each step."""
        return len(self._positions)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._positions.device

    def batch(self, index: Tensor) -> Batch:
        """Ways to the goal `(B, 1, D)` and stretches `(B, T, D)`; nothing is marked as padding."""
        steps, last = index[:, None] + self._ahead, self._last[index][:, None]
        here, goal = self._positions[index], self._goals[index]
        there = torch.where((steps <= last)[..., None], self._positions[torch.minimum(steps, last)], goal[:, None])
        valid = torch.ones_like(steps, dtype=torch.bool)
        return Batch((goal - here)[:, None], there - here[:, None], valid)

    def values(self) -> Tensor:
        """All stretches."""
        return self.batch(torch.arange(len(self), device=self.device)).value.cpu()

    def observations(self) -> Tensor:
        """Ways to the goal from all positions."""
        return (self._goals - self._positions).cpu()

    def place(self, example: int) -> tuple[int, int]:
        """The episode of a step, and its number there."""
        return self.episodes.place(example)
