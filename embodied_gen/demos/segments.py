"""Segments: ways from a state to a place, of several durations, as a planner learns them.

The segment of step t and stride s has T way-points, the states of the steps t, t + s, .., t + s (T - 1) of one episode.
What is known of it is the state it starts from, the place where it ends, and its duration s: the place that happened to
be reached stands for a goal. Every stride 1 .. S of every step is an example.

Source: hindsight goals, Andrychowicz et al. 2017 (arXiv:1707.01495).
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Spans, without_padding


@final
class Segments(Spans):
    """Every segment of some episodes.

    Args:
        episodes: Demonstrations.
        state: Channels of the observation that are planned, C of them.
        reaches: Which of the state's channels, counted within the state, a goal is about, G of them.
        horizon: Way-points T, >= 2.
        strides: Longest stride S, >= 1.
        device: Where the data are kept.

    Raises:
        ValueError: If a size is out of range, a channel does not exist, or no episode holds a segment.
    """

    def __init__(
        self,
        episodes: Episodes,
        *,
        state: Sequence[int],
        reaches: Sequence[int],
        horizon: int,
        strides: int,
        device: torch.device | str = "cpu",
    ):
        if horizon < 2 or strides < 1:
            raise ValueError(f"horizon must be at least 2 and strides at least 1; got {horizon} and {strides}.")
        super().__init__(episodes, state, [stride * (horizon - 1) for stride in range(1, strides + 1)], device)
        if not reaches or not all(0 <= channel < len(state) for channel in reaches):
            raise ValueError(f"reaches must name channels of the {len(state)} of the state; got {list(reaches)}.")
        self.strides = strides
        self._reaches = list(reaches)
        self._ahead = torch.arange(horizon, device=device)

    def batch(self, index: Tensor) -> Batch:
        """Segments: observations `(B, 1, C + G + 1)` of start, goal and duration, values `(B, T, C)` of states."""
        first, kind = self._find(index)
        value = self._states[first[:, None] + (kind + 1)[:, None] * self._ahead]
        known = question(value[:, 0], value[:, -1, self._reaches], (kind + 1) / self.strides)
        return without_padding(known, value)

    def values(self) -> Tensor:
        """Segments one after another, which cover all steps at every stride: few, with nearly the bounds of all."""
        return self._some().value.cpu()

    def observations(self) -> Tensor:
        """What is known of the same segments."""
        return self._some().observations[:, 0].cpu()

    def _some(self) -> Batch:
        return self.batch(torch.arange(0, len(self), len(self._ahead) - 1, device=self.device))


def question(start: Tensor, goal: Tensor, duration: Tensor) -> Tensor:
    """What a planner is asked: start `(B, C)`, goal `(B, G)` and duration `(B,)` in (0, 1]; `(B, 1, C + G + 1)`."""
    return torch.cat([start, goal, duration[:, None].to(start)], dim=1).unsqueeze(1)
