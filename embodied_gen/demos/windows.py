"""Windows: what a policy sees and does around each step of the demonstrations.

The window of step t holds the observations t - H + 1 .. t and the actions t .. t + T - 1 of one episode. Before
the first step the first observation is repeated, as in closed loop after a reset; after the last step the last
action is repeated and marked as padding. Windows never cross episodes.

State data are small: they live on the training device, and a batch is three gathers there.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Examples


@final
class Windows(Examples):
    """Every window of some episodes.

    Args:
        episodes: Demonstrations.
        history: Number of observations H, >= 1.
        horizon: Number of actions T, >= 1.
        device: Where the data are kept.

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(self, episodes: Episodes, *, history: int, horizon: int, device: torch.device | str = "cpu"):
        if history < 1 or horizon < 1:
            raise ValueError(f"history and horizon must be at least 1; got {history} and {horizon}.")
        self.episodes, self.source = episodes, episodes.source
        self._first, self._last = (steps.to(device) for steps in episodes.ends())
        self._back = torch.arange(1 - history, 1, device=device)
        self._ahead = torch.arange(horizon, device=device)
        self._observations = episodes.observations.to(device)
        self._actions = episodes.actions.to(device)

    def __len__(self) -> int:
        """The number of windows, one for each step."""
        return len(self._actions)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._actions.device

    def values(self) -> Tensor:
        """The actions of every window, padding included, on the CPU, shape `(number of windows, T, A)`."""
        done = torch.minimum(torch.arange(len(self), device=self.device)[:, None] + self._ahead, self._last[:, None])
        return self._actions[done].cpu()

    def observations(self) -> Tensor:
        """All observations."""
        return self.episodes.observations

    def place(self, example: int) -> tuple[int, int]:
        """The episode of a step, and its number there."""
        return self.episodes.place(example)

    def batch(self, index: Tensor) -> Batch:
        """The windows of the given steps, int64, shape `(B,)`, on the data's device."""
        seen = torch.maximum(index[:, None] + self._back, self._first[index][:, None])
        done = index[:, None] + self._ahead
        last = self._last[index][:, None]
        return Batch(self._observations[seen], self._actions[torch.minimum(done, last)], done <= last)
