"""Episodes: demonstrations as flat tensors, one after another.

The i-th action was taken at the i-th observation. Episode e covers the steps starts[e] .. starts[e + 1] - 1.
"""

import hashlib
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws


@final
@dataclass(frozen=True)
class Episodes:
    """Demonstrations.

    Attributes:
        observations: Physical units, float32, shape `(S, O)`.
        actions: Physical units, float32, shape `(S, A)`.
        starts: First step of each episode and S at the end, int64, shape `(number of episodes + 1,)`.
        source: Where they come from, for messages.

    Raises:
        ValueError: If there is no step, a number is not finite, or the three do not fit each other.
    """

    observations: Tensor
    actions: Tensor
    starts: Tensor
    source: str

    def __post_init__(self) -> None:
        if len(self) < 1 or len(self.actions) == 0:
            raise ValueError(f"{self.source} holds no episodes. Collect some: embodied-gen collect CONFIG.")
        observed, steps = len(self.observations), len(self.actions)
        if observed != steps or (int(self.starts[0]), int(self.starts[-1])) != (0, steps):
            raise ValueError(
                f"{self.source} must have as many observations as actions, and starts from 0 to that number; got "
                f"{observed} observations, {steps} actions and starts from {int(self.starts[0])} to "
                f"{int(self.starts[-1])}. Repair or drop the episodes that differ."
            )
        for name, values in (("observations", self.observations), ("actions", self.actions)):
            self._check_finite(name, values)

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> Tensor:
        """Steps of each episode, int64."""
        return self.starts.diff()

    def ends(self) -> tuple[Tensor, Tensor]:
        """The first and the last step of the episode of each step, int64, each `(S,)`."""
        owner = torch.searchsorted(self.starts, torch.arange(len(self.actions)), right=True) - 1
        return self.starts[owner], self.starts[owner + 1] - 1

    def check_horizon(self, horizon: int) -> None:
        """Raises `ValueError` if every episode is shorter than a horizon: all its windows would be padded."""
        longest = int(self.lengths.max())
        if longest < horizon:
            raise ValueError(
                f"{self.source}: the longest of {len(self)} episodes has {longest} steps, fewer than the "
                f"horizon of {horizon}. Shorten control.horizon or collect longer episodes."
            )

    def place(self, step: int) -> tuple[int, int]:
        """The episode of a step, and the step's number within it."""
        episode = int(torch.searchsorted(self.starts, step, right=True)) - 1
        return episode, step - int(self.starts[episode])

    def select(self, episodes: Tensor) -> "Episodes":
        """The given episodes in the given order."""
        spans = [(int(self.starts[e]), int(self.starts[e + 1])) for e in episodes.tolist()]
        steps = torch.cat([torch.arange(a, b) for a, b in spans]) if spans else torch.zeros(0, dtype=torch.long)
        lengths = torch.tensor([0] + [b - a for a, b in spans])
        return Episodes(self.observations[steps], self.actions[steps], lengths.cumsum(0), self.source)

    def split(self, held_out: float, *, seed: int) -> tuple["Episodes", "Episodes | None"]:
        """Episodes to train on and episodes held out, chosen at random by whole episodes.

        Args:
            held_out: Share held out, in [0, 1); at least one episode where positive.
            seed: Of the choice.

        Raises:
            ValueError: If no episode is left to train on.
        """
        if held_out == 0:
            return self, None
        count = max(1, round(held_out * len(self)))
        if count >= len(self):
            raise ValueError(
                f"{self.source} has {len(self)} episodes, too few to hold out {count}. "
                "Collect more, or set data.held_out to 0."
            )
        order = draws.permutation(len(self), generator=draws.generator(seed))
        return self.select(order[count:].sort().values), self.select(order[:count].sort().values)

    def digest(self) -> str:
        """A hash of the data, which tells whether a run can go on with them."""
        parts = (self.observations, self.actions, self.starts)
        content = b"".join(part.contiguous().numpy().tobytes() for part in parts)
        return hashlib.sha256(content).hexdigest()

    def _check_finite(self, name: str, values: Tensor) -> None:
        finite = values.isfinite().all(1)
        if not bool(finite.all()):
            step = int((~finite).nonzero()[0])
            episode, within = self.place(step)
            channel = int((~values[step].isfinite()).nonzero()[0])
            raise ValueError(
                f"{self.source}: {name} must be finite; got {float(values[step, channel])} in episode {episode}, "
                f"step {within}, channel {channel}. Repair or drop that episode."
            )
