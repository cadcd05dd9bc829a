"""An agent whose single action is a whole way: what a predictor of ways over a map answers, laid flat."""

import copy
from collections.abc import Sequence
from typing import Self, final

import numpy as np
import torch

from embodied_gen.control import Agent, Memory, filled
from embodied_gen.heads import Guide
from embodied_gen.predictor import Predictor


@final
class WholeWayAgent(Agent):
    """Draws one way for each episode.

    Args:
        predictor: Of ways `(T + 1, 2)` [m].
        guide: What is wanted of ways.
        block: Rows of every prediction, filled up; None for as many as there are episodes.

    Raises:
        ValueError: If the predictor is of other events.
    """

    actions = 1

    def __init__(self, predictor: Predictor, *, guide: Guide | None = None, block: int | None = None):
        shape = predictor.head.event.shape
        if len(shape) != 2 or shape[1] != 2:
            raise ValueError(f"a way has way-points in the plane, shape (T + 1, 2); the event has {shape}.")
        self.predictor, self.guide, self.block = predictor.eval(), guide, block
        self._device = predictor.head.event.low.device

    @property
    def action_size(self) -> int:
        """Two numbers for each way-point."""
        points, channels = self.predictor.head.event.shape
        return points * channels

    def with_block(self, block: int | None) -> Self:
        """The same agent with another number of rows for every prediction."""
        other = copy.copy(self)
        other.block = block
        return other

    def remember(self, seed: int, observation: np.ndarray) -> Memory:
        """The memory of a new episode."""
        return Memory(seed, observation, 1, self._device)

    def plan(self, memories: Sequence[Memory]) -> np.ndarray:
        """The way of each episode as one action, physical units, shape `(S, 1, 2 (T + 1))`."""
        block = self.block or len(memories)
        ways = [self._predict(memories[start : start + block]) for start in range(0, len(memories), block)]
        return np.concatenate(ways)

    def _predict(self, memories: Sequence[Memory]) -> np.ndarray:
        seen = filled(np.stack([memory.observations for memory in memories]), self.block)
        spare = [torch.Generator(self._device) for _ in range(len(seen) - len(memories))]
        generators = [memory.generator for memory in memories] + spare
        ways = self.predictor.predict(torch.from_numpy(seen).to(self._device), generator=generators, guide=self.guide)
        return ways[: len(memories)].flatten(1).unsqueeze(1).cpu().numpy()
