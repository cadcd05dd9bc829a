"""Transitions: the action between two neighbouring states, as inverse dynamics learn it."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Spans, without_padding


@final
class Transitions(Spans):
    """Every transition of some episodes.

    Args:
        episodes: Demonstrations.
        state: Channels of the observation that are the state, C of them.
        device: Where the data are kept.

    Raises:
        ValueError: If a channel does not exist, or every episode has a single step.
    """

    def __init__(self, episodes: Episodes, *, state: Sequence[int], device: torch.device | str = "cpu"):
        super().__init__(episodes, state, [1], device)
        self._actions = episodes.actions.to(device)

    def batch(self, index: Tensor) -> Batch:
        """Transitions: observations `(B, 2, C)` of both states, values `(B, 1, A)` of the action between."""
        first, _ = self._find(index)
        value = self._actions[first].unsqueeze(1)
        return without_padding(torch.stack([self._states[first], self._states[first + 1]], 1), value)

    def values(self) -> Tensor:
        """All actions."""
        return self._actions.unsqueeze(1).cpu()

    def observations(self) -> Tensor:
        """All states."""
        return self._states.cpu()
