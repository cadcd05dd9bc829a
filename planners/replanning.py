"""Replanning: what agents share that plan anew every few steps, many episodes at once.

Each episode has its own generator, and a block of episodes is always planned with the same number of rows, filled up
with copies where there are fewer, so that a plan depends on its own episode alone: sums change in the last bits with
the number of rows. A `Follower` plans states and leaves the actions to its `Execution`.
"""

import abc
import copy
from collections.abc import Sequence
from typing import Self, final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.control import Agent, Memory, filled
from planners.execution import Execution

SOON = 4  # times as often a plan is made anew that is not good


class Replanner(Agent, abc.ABC):
    """Plans in blocks, and counts its plans.

    Args:
        block: Episodes that are planned together, filled up; None for as many as there are.
        device: Where plans are made.

    Attributes:
        plans: Plans made since the planner exists.
        infeasible: Those of them that are not good.
    """

    def __init__(self, block: int | None, device: torch.device):
        self._device = device
        self._restart(block)

    def with_block(self, block: int | None) -> Self:
        """The same planner with another number of episodes planned together, and nothing counted yet."""
        other = copy.copy(self)
        other._restart(block)
        return other

    def _restart(self, block: int | None) -> None:
        self.block = block
        self.plans = self.infeasible = 0
        self._spare = [torch.Generator(self._device) for _ in range(block or 0)]

    def remember(self, seed: int, observation: np.ndarray) -> Memory:
        """The memory of a new episode; its chunk is the plan that it follows."""
        return Memory(seed, observation, 1, self._device)

    def _plan_in_blocks(self, memories: Sequence[Memory]) -> None:
        """Gives every memory a new plan."""
        block = self.block or max(len(memories), 1)
        for start in range(0, len(memories), block):
            together = memories[start : start + block]
            self.plans += len(together)
            self.infeasible += self._plan_anew(together)

    @abc.abstractmethod
    def _plan_anew(self, memories: Sequence[Memory]) -> int:
        """Puts a new plan with its first step into each memory, at most a block; how many plans are not good."""

    def _filled(self, memories: Sequence[Memory], block: int | None) -> tuple[list[torch.Generator], Tensor]:
        """Generators, and last observations `(B, O)`, of a block filled up with copies of the first.

        A block is at most the planner's own.
        """
        seen = filled(np.stack([memory.observations[-1] for memory in memories]), block)
        generators = [memory.generator for memory in memories] + self._spare[: len(seen) - len(memories)]
        return generators, torch.from_numpy(seen).to(self._device)


class Follower(Replanner, abc.ABC):
    """Plans states of the control steps to come, followed one step at a time.

    Args:
        execution: Follows a plan.
        state: Channels of the observation that are planned.
        replan: Control steps after which a plan is made anew, if it does not end before; a quarter of them where the
            plan is not good.
        block: Episodes that are planned together, filled up; None for as many as there are.
        device: Where plans are made.
    """

    actions = 1

    def __init__(
        self,
        execution: Execution,
        *,
        state: Sequence[int],
        replan: int,
        block: int | None,
        device: torch.device,
    ):
        super().__init__(block, device)
        self.execution, self.state, self.replan = execution, list(state), replan
        self._soon = max(replan // SOON, 1)

    @property
    def action_size(self) -> int:
        """Numbers in one action."""
        return self.execution.size

    @final
    def plan(self, memories: Sequence[Memory]) -> np.ndarray:
        """The next action of each episode, physical units, shape `(S, 1, A)`."""
        self._plan_in_blocks([memory for memory in memories if self._is_due(memory)])
        states = np.stack([memory.observations[-1, self.state] for memory in memories])
        wanted = np.stack([memory.chunks[0].values[memory.step - memory.chunks[0].step] for memory in memories])
        return self.execution.act(states, wanted)[:, None]

    def _is_due(self, memory: Memory) -> bool:
        if not memory.chunks:
            return True
        made, plan, good = memory.chunks[0]
        return memory.step - made >= min(self.replan if good else self._soon, len(plan))


def joined(way: np.ndarray, stride: int) -> np.ndarray:
    """The states of the control steps after the first way-point, linear in between, `(stride (T - 1), C)`."""
    share = np.arange(1, stride + 1)[None, :, None] / stride
    return (way[:-1, None] + share * (way[1:, None] - way[:-1, None])).reshape(-1, way.shape[1])
