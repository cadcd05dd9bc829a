"""Examples: what a predictor learns from, cut out of demonstrations; on the training device, gathered by index."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes


class Batch(NamedTuple):
    """B examples."""

    observations: Tensor  # (B, H, O)
    value: Tensor  # (B, T, D), what is predicted: actions, say
    valid: Tensor  # (B, T), bool: False where a part of the value is padding; or how much each part counts


def without_padding(observations: Tensor, value: Tensor) -> Batch:
    """B examples whose values `(B, T, D)` are valid as a whole."""
    return Batch(observations, value, torch.ones(value.shape[:2], dtype=torch.bool, device=value.device))


class Examples(abc.ABC):
    """All examples of some demonstrations.

    Attributes:
        source: Where the demonstrations come from, for messages.
    """

    source: str

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @property
    @abc.abstractmethod
    def device(self) -> torch.device:
        """Where the data are kept."""

    @abc.abstractmethod
    def batch(self, index: Tensor) -> Batch:
        """Examples of the given numbers, int64, shape `(B,)`, on the data's device."""

    @abc.abstractmethod
    def values(self) -> Tensor:
        """Values that hold the bounds of all, on the CPU, shape `(N, T, D)`."""

    @abc.abstractmethod
    def observations(self) -> Tensor:
        """Observations that hold the mean and deviation of all, on the CPU, shape `(N, O)`."""

    @abc.abstractmethod
    def place(self, example: int) -> tuple[int, int]:
        """The episode or recording of an example, and the number of its first step there."""


class Pairs(Examples, abc.ABC):
    """Examples that are kept as they are: N observations, each with its value.

    Args:
        seen: Observations, shape `(N, O)`.
        value: Values, which are valid as a whole, shape `(N, T, D)`.
        source: Where they come from, for messages.
        device: Where the data are kept.
    """

    def __init__(self, seen: Tensor, value: Tensor, source: str, device: torch.device | str):
        self.source = source
        self._seen, self._value = seen.unsqueeze(1).to(device), value.to(device)

    def __len__(self) -> int:
        """N."""
        return len(self._value)

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._value.device

    def batch(self, index: Tensor) -> Batch:
        """Observations `(B, 1, O)` and values `(B, T, D)`."""
        return without_padding(self._seen[index], self._value[index])

    def values(self) -> Tensor:
        """All values, on the CPU."""
        return self._value.cpu()

    def observations(self) -> Tensor:
        """All observations, on the CPU, `(N, O)`."""
        return self._seen[:, 0].cpu()


class Spans(Examples, abc.ABC):
    """Examples that are spans of states within one episode, numbered in the order of their episodes.

    Args:
        episodes: Demonstrations.
        state: Channels of the observation that are the state.
        steps: Steps from the first to the last of a span, for each kind of span.
        device: Where the data are kept.

    Raises:
        ValueError: If a channel does not exist, or no episode is long enough for any span.
    """

    def __init__(self, episodes: Episodes, state: Sequence[int], steps: Sequence[int], device: torch.device | str):
        channels = episodes.observations.shape[1]
        if not state or not all(0 <= channel < channels for channel in state):
            raise ValueError(f"state must name channels of the {channels} of an observation; got {list(state)}.")
        lengths = episodes.lengths
        counts = torch.stack([(lengths - reach).clamp(min=0) for reach in steps], 1).flatten()
        if int(counts.sum()) == 0:
            raise ValueError(
                f"{episodes.source}: the longest of {len(episodes)} episodes has {int(lengths.max())} steps; the "
                f"shortest span needs {min(steps) + 1}. Shorten control.horizon or collect longer episodes."
            )
        self.episodes, self.source = episodes, episodes.source
        self._states = episodes.observations[:, list(state)].to(device)
        self._kinds = len(steps)
        self._before = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)]).to(device)
        self._starts = episodes.starts[:-1].to(device)

    def __len__(self) -> int:
        """The number of spans."""
        return int(self._before[-1])

    @property
    def device(self) -> torch.device:
        """Where the data are kept."""
        return self._states.device

    def place(self, example: int) -> tuple[int, int]:
        """The episode and first step of a span."""
        first, _ = self._find(torch.tensor([example], device=self.device))
        return self.episodes.place(int(first))

    def _find(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """First step and kind of spans, int64, each of the shape of the index."""
        block = torch.searchsorted(self._before, index, right=True) - 1
        episode = block // self._kinds
        return self._starts[episode] + index - self._before[block], block % self._kinds

    def _beginning(self, step: Tensor) -> Tensor:
        """First step of the episode of each step, int64."""
        return self._starts[torch.searchsorted(self._starts, step, right=True) - 1]
