"""Transitions: the action between two neighbouring states, as inverse dynamics learn it."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Examples, Spans


@final
class Transitions(Examples):
    """Every transition of some episodes.

    Args:
        episodes: Demonstrations.
        state: Channels of the observation that are the state, C of them.
        device: Where the data are kept.

    Raises:
        ValueError: If a channel does not exist, or every episode has a single step.
    """

    def __init__(self, episodes: Episodes, *, state: Sequence[int], device: torch.device | str = "cpu"):
        channels = episodes.observations.shape[1]
        if not state or not all(0 <= channel < channels for channel in state):
            raise ValueError(f"state must name channels of the {channels} of an observation; got {list(state)}.")
        self.episodes = episodes
        self._states = episodes.observations[:, list(state)].to(device)
        self._actions = episodes.actions.to(device)
        self._spans = Spans(episodes, [1], device)

    def __len__(self) -> int:
        """The number of transitions."""
        return len(self._spans)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._states.device

    def batch(self, index: Tensor) -> Batch:
        """Transitions: observations `(B, 2, C)` of both states, values `(B, 1, A)` of the action between."""
        first, _ = self._spans.find(index)
        value = self._actions[first].unsqueeze(1)
        valid = torch.ones(value.shape[:2], dtype=torch.bool, device=value.device)
        return Batch(torch.stack([self._states[first], self._states[first + 1]], 1), value, valid)

    def values(self) -> Tensor:
        """All actions."""
        return self._actions.unsqueeze(1).cpu()

    def observations(self) -> Tensor:
        """All states."""
        return self._states.cpu()

    def place(self, example: int) -> tuple[int, int]:
        """The episode and first step of a transition."""
        first, _ = self._spans.find(torch.tensor([example], device=self.device))
        return self.episodes.place(int(first))
