r"""Planning by sampling on a model, receding horizon: what MPPI and the cross-entropy method share.

A plan is a sequence of K knots u_k, each held for `hold` control steps, so T = K hold actions; holding also keeps
neighbouring actions alike, which is all the smoothing that is done. The model gives the states of a plan, and

    S(u) = cost(states, actions, goal) + penalty * sum_i max(0, buffer - margin_i(path))

its cost, with the margins of the constraints on the path that starts at the present state; some constraints are made
anew for every plan from what is seen, such as forecasts of others. From the last plan, shifted by what has been
executed, each of the iterations draws N plans u = m + sigma e, e ~ N(0, 1), cut to the bounds, the first of them m
itself, and moves m and sigma towards the good ones. How is what the methods differ in.

Penalties are soft. At the end the mean and the best plans of the last iteration are checked exactly, and the cheapest
that satisfies every constraint is kept; where none does, the one that misses least is kept, and counted.
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.control import Chunk, Memory
from planners.constraints import Constraint
from planners.guides import smallest_margin
from planners.replanning import Replanner
from planners.seen import Seen, nothing

Step = Callable[[Tensor, Tensor], Tensor]
"""A model: the next states `(M, C)` of states `(M, C)` under actions `(M, A)`, each row on its own."""

Cost = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Costs `(M,)` of states after each action `(M, T, C)`, actions `(M, T, A)` and goals `(M, G)`, each row on its own."""

_NEVER = 1e9  # cost of a plan whose states are not finite


@final
@dataclass(frozen=True)
class Problem:
    """What is planned, and where the observation says it.

    Attributes:
        step: The model.
        cost: What is minimised.
        state: Channels of the observation that are the model's state.
        goal: Channels of the observation that hold the goal.
        low: Lower bounds of an action, A numbers.
        high: Upper bounds of an action, A numbers, above the lower.
        constraints: On the path of states.
        buffer: Margin aimed at beyond each constraint, in its own unit, so that small errors of the model do not
            offend; checked is the constraint itself.
        seen: Further constraints for every plan, from what is observed then; see `planners.seen`.

    Raises:
        ValueError: If the bounds are not in order, or the buffer is negative.
    """

    step: Step
    cost: Cost
    state: Sequence[int]
    goal: Sequence[int]
    low: Sequence[float]
    high: Sequence[float]
    constraints: Sequence[Constraint] = ()
    buffer: float = 0.0
    seen: Seen = nothing

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"low must be below high for every action; got {list(self.low)} and {list(self.high)}.")
        if not self.buffer >= 0:
            raise ValueError(f"buffer must not be negative; got {self.buffer}.")


@final
@dataclass(frozen=True)
class Effort:
    """How much is searched.

    Attributes:
        horizon: Control steps of a plan T, a multiple of `hold`.
        hold: Control steps that an action is held for.
        actions: Control steps after which a plan is made anew, a multiple of `hold`.
        samples: Plans drawn at a time, N.
        iterations: How often plans are drawn at a replan.
        noise: Standard deviation of a drawn action at first, in half widths of its bounds, > 0.
        penalty: Cost of missing a constraint, a unit of its margin and a part of the path.
        finalists: Drawn plans that are checked exactly, of the last iteration's.

    Raises:
        ValueError: If a number is out of range.
    """

    horizon: int = 50
    hold: int = 5
    actions: int = 5
    samples: int = 256
    iterations: int = 4
    noise: float = 0.5
    penalty: float = 10.0
    finalists: int = 8

    def __post_init__(self) -> None:
        if self.hold < 1 or self.horizon % self.hold or self.actions % self.hold:
            raise ValueError(
                f"horizon and actions must be multiples of hold; got {self.horizon}, {self.actions} and {self.hold}."
            )
        if not 1 <= self.actions <= self.horizon:
            raise ValueError(f"actions must lie between 1 and the horizon {self.horizon}; got {self.actions}.")
        if self.samples < 2 or self.iterations < 1 or not 1 <= self.finalists <= self.samples:
            raise ValueError(
                "samples must be at least 2, iterations at least 1 and finalists between 1 and samples; "
                f"got {self.samples}, {self.iterations} and {self.finalists}."
            )
        if not (self.noise > 0 and self.penalty > 0):
            raise ValueError(f"noise and penalty must be positive; got {self.noise} and {self.penalty}.")


USUAL = Effort()


class SamplingPlanner(Replanner, abc.ABC):
    """What planners by sampling share: plans, their costs and the choice among them.

    Args:
        problem: What is planned.
        effort: How much is searched.
        block: Episodes that are planned together, filled up; None for as many as there are.
        device: Where plans are made.
    """

    def __init__(self, problem: Problem, effort: Effort, block: int | None, device: torch.device | str):
        super().__init__(block, torch.device(device))
        self.problem, self.effort, self.actions = problem, effort, effort.actions
        self._low = torch.tensor(problem.low, dtype=torch.float32, device=self._device)
        self._high = torch.tensor(problem.high, dtype=torch.float32, device=self._device)
        self._middle = (self._low + self._high) / 2
        self._noise = effort.noise * (self._high - self._low) / 2

    @property
    def action_size(self) -> int:
        """Numbers in one action."""
        return len(self._low)

    @final
    def plan(self, memories: Sequence[Memory]) -> np.ndarray:
        """The next n actions of each episode, physical units, shape `(S, n, A)`."""
        self._plan_in_blocks(memories)
        knots = np.stack([memory.chunks[0].values[: self.actions // self.effort.hold] for memory in memories])
        return np.repeat(knots, self.effort.hold, axis=1)

    def _plan_anew(self, memories: Sequence[Memory]) -> int:
        generators, observed = self._filled(memories, self.block)
        last = torch.stack([self._shifted(memory) for memory in memories])
        mean = torch.cat([last, last[:1].expand(len(observed) - len(memories), -1, -1)])
        start, goal = observed[:, list(self.problem.state)], observed[:, list(self.problem.goal)]
        constraints = [*self.problem.constraints, *self.problem.seen(observed, generators)]
        chosen, good = self._search(start, goal, mean, constraints, generators)
        for memory, knots in zip(memories, chosen.cpu().numpy(), strict=False):  # rows that fill up follow
            memory.chunks = [Chunk(memory.step, knots)]
        return len(memories) - int(good[: len(memories)].sum())

    def _shifted(self, memory: Memory) -> Tensor:
        """What is left of the episode's last plan, then the middle of the bounds, `(K, A)`."""
        knots = self._middle.repeat(self.effort.horizon // self.effort.hold, 1)
        if memory.chunks:
            made, plan, _ = memory.chunks[0]
            left = torch.from_numpy(plan[(memory.step - made) // self.effort.hold :]).to(knots)
            knots[: len(left)] = left
        return knots

    def _search(
        self,
        start: Tensor,
        goal: Tensor,
        mean: Tensor,
        constraints: Sequence[Constraint],
        generators: list[torch.Generator],
    ) -> tuple[Tensor, Tensor]:
        """The best plans `(B, K, A)` from states `(B, C)` to goals `(B, G)`, and whether they hold."""
        spread = self._noise.expand_as(mean)
        for _ in range(self.effort.iterations):
            shape = (len(mean) * self.effort.samples, *mean.shape[1:])
            noise = draws.normal(shape, generator=generators, like=mean).view(len(mean), -1, *mean.shape[1:])
            noise[:, 0] = 0
            drawn = self._cut(mean[:, None] + spread[:, None] * noise)
            costs, _ = self._judged(start, goal, drawn, constraints)
            mean, spread = self._moved(drawn, costs, spread)
        best = costs.topk(self.effort.finalists, 1, largest=False).indices
        finalists = torch.cat([self._cut(mean)[:, None], chosen_rows(drawn, best)], 1)
        costs, paths = self._judged(start, goal, finalists, constraints)
        margin = smallest_margin(constraints, paths)
        good = margin >= 0
        cheapest = torch.where(good, costs, torch.inf).argmin(1)
        chosen = torch.where(good.any(1), cheapest, margin.argmax(1))
        return chosen_rows(finalists, chosen[:, None])[:, 0], good.any(1)

    @abc.abstractmethod
    def _moved(self, drawn: Tensor, costs: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread `(B, K, A)` to draw from next, from plans `(B, N, K, A)` and their costs `(B, N)`."""

    def _cut(self, knots: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(knots, self._low), self._high)

    def _judged(
        self, start: Tensor, goal: Tensor, knots: Tensor, constraints: Sequence[Constraint]
    ) -> tuple[Tensor, Tensor]:
        """Costs `(B, N)` of plans `(B, N, K, A)`, and their paths from the start on `(B, N, T + 1, C)`."""
        number, count = knots.shape[:2]
        actions = knots.flatten(0, 1).repeat_interleave(self.effort.hold, dim=1)
        states = [start.repeat_interleave(count, dim=0)]
        for action in actions.unbind(1):
            states.append(self.problem.step(states[-1], action))
        path = torch.stack(states, 1)
        costs = self.problem.cost(path[:, 1:], actions, goal.repeat_interleave(count, dim=0)).view(number, count)
        paths = path.view(number, count, *path.shape[1:])
        for constraint in constraints:
            lacking = (self.problem.buffer - constraint.margins(paths)).clamp(min=0)
            costs = costs + self.effort.penalty * lacking.sum(-1)
        return costs.nan_to_num(nan=_NEVER, posinf=_NEVER), paths


def chosen_rows(plans: Tensor, index: Tensor) -> Tensor:
    """Plans `(B, n, K, A)` of `(B, N, K, A)` by their numbers `(B, n)`."""
    return plans.gather(1, index[:, :, None, None].expand(-1, -1, *plans.shape[2:]))
