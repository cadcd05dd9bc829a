"""Scenes: what the agents of a simulation see and do around each of its steps, as a scene model learns them.

An observation begins with the states of A agents (see `events.scene`). The example of step t holds the observations
t - (H - 1) s .. t and the motions of all agents over the steps t + s .. t + T s of one episode, with stride s. Before
the first step the first observation is repeated. An agent that goes away repeats its last step, and what it repeats is
marked as padding.
"""

from typing import final

import torch
from torch import Tensor

from embodied_gen.demos.episodes import Episodes
from embodied_gen.demos.examples import Batch, Spans
from embodied_gen.events.scene import STATE, motions_of


@final
class Scenes(Spans):
    """Every example of some episodes whose whole future is known.

    Args:
        episodes: Simulations.
        agents: A, the states that an observation begins with.
        history: Observations H, >= 1.
        horizon: Steps T of a motion, >= 1.
        stride: Control steps s of each of them, >= 1.
        device: Where the data are kept.

    Raises:
        ValueError: If a size is not positive, an observation is too short, or no episode is long enough.
    """

    def __init__(
        self,
        episodes: Episodes,
        *,
        agents: int,
        history: int,
        horizon: int,
        stride: int,
        device: torch.device | str = "cpu",
    ):
        if min(agents, history, horizon, stride) < 1:
            raise ValueError(
                "agents, history, horizon and stride must be at least 1; "
                f"got {agents}, {history}, {horizon} and {stride}."
            )
        if episodes.observations.shape[1] < agents * STATE:
            raise ValueError(
                f"{episodes.source}: observations must begin with {agents} states of {STATE} numbers; got "
                f"{episodes.observations.shape[1]} numbers. Set control.agents to that of the environment."
            )
        super().__init__(episodes, range(episodes.observations.shape[1]), [horizon * stride], device)
        self.agents = agents
        self._back = stride * torch.arange(1 - history, 1, device=device)
        self._ahead = stride * torch.arange(horizon + 1, device=device)

    def batch(self, index: Tensor) -> Batch:
        """Histories `(B, H, O)`, motions `(B, A, T, 4)`, and which of their steps were seen, `(B, A, T)`."""
        step, _ = self._find(index)
        seen = self._states[torch.maximum(step[:, None] + self._back, self._beginning(step)[:, None])]
        states = self._states[step[:, None] + self._ahead, : self.agents * STATE]
        scenes = states.unflatten(-1, (self.agents, STATE)).transpose(1, 2)
        present = scenes[..., 6] > 0.5
        valid = present.cumprod(-1).bool()[..., 1:] & present[..., :1]
        return Batch(seen, motions_of(_carried_on(scenes, valid.sum(-1))), valid)

    def values(self) -> Tensor:
        """Motions of examples that cover all steps, without padding."""
        batch = self._some()
        kept = batch.valid.all(-1, keepdim=True).unsqueeze(-1)
        return (batch.value * kept).cpu()

    def observations(self) -> Tensor:
        """All observations."""
        return self.episodes.observations

    def _some(self) -> Batch:
        return self.batch(torch.arange(0, len(self), len(self._ahead) - 1, device=self.device))


def _carried_on(scenes: Tensor, last: Tensor) -> Tensor:
    """Scenes `(B, A, 1 + T, 7)` whose agents repeat their step to the last at which they are there, `(B, A)`."""
    steps = torch.arange(scenes.shape[2], device=scenes.device)
    at = torch.minimum(steps, last.unsqueeze(-1)).unsqueeze(-1).expand(scenes.shape)
    held = scenes.gather(2, at)
    before = scenes.gather(2, (at[:, :, -1:] - 1).clamp(min=0))
    step = (held[:, :, -1:] - before)[..., :2] * (steps - last.unsqueeze(-1)).clamp(min=0).unsqueeze(-1)
    return torch.cat([held[..., :2] + step, held[..., 2:]], -1)
