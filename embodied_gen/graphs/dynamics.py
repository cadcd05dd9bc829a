r"""Dynamics: which actions a state has and where they lead, apart from what they cost.

A batch of B rows (maps, or goals on one map) has values V of shape `(B, *S)`, one for each state, and numbers q of
shape `(B, *Q)`, one for each action of each state: S is (H, W) and Q is (A, H, W) for a grid, (N,) and (E,) for a graph
with N nodes and E edges. Everything that backups need are two linear maps and what goes the other way,

    ahead    (P V)(s, a) = sum_s' p(s' | s, a) V(s')          arrive   its adjoint: visits of actions to next states
    spread   (U V)(s, a) = V(s)                               collect  its adjoint: sums over the actions of a state

and the largest of a state's actions. Numbers of actions are log weights here: the larger the better, minus infinity
where an action is not to be had. Costs are the other way round, and infinite there.

States and actions are also numbered, 0 to prod(S) - 1 and 0 to prod(Q) - 1, in the order of their tensors.
"""

import abc
import math
from typing import final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.draws import Generator
from embodied_gen.graphs.sums import Linear, log_sums

CPU = torch.device("cpu")


class Dynamics(abc.ABC):
    """States, their actions, and where those lead.

    Attributes:
        states: S, the shape of the states.
        actions: Q, the shape of the actions.
        certain: Whether every action leads to one state.
    """

    states: tuple[int, ...]
    actions: tuple[int, ...]
    certain: bool

    @abc.abstractmethod
    def available(self, device: torch.device = CPU) -> Tensor:
        """Which actions there are, bool, shape `(*Q,)`, on a device."""

    @abc.abstractmethod
    def ahead(self, values: Tensor) -> Tensor:
        """The expected value of the next state, `(B, *S)` to `(B, *Q)`; anything where there is no action."""

    @abc.abstractmethod
    def arrive(self, visits: Tensor) -> Tensor:
        """Where visits of actions lead, `(B, *Q)` to `(B, *S)`: the adjoint of `ahead`."""

    @abc.abstractmethod
    def spread(self, values: Tensor) -> Tensor:
        """The value of the state that an action starts in, `(B, *S)` to a shape that broadcasts to `(B, *Q)`."""

    @abc.abstractmethod
    def collect(self, q: Tensor) -> Tensor:
        """Sums over the actions of each state, `(B, *Q)` to `(B, *S)`: the adjoint of `spread`."""

    @abc.abstractmethod
    def largest(self, q: Tensor) -> Tensor:
        """The largest number of each state's actions, `(B, *Q)` to `(B, *S)`."""

    @abc.abstractmethod
    def options(self, states: Tensor) -> Tensor:
        """Numbers of the actions of numbered states, `(...)` to `(..., K)`, int64; -1 fills up."""

    @abc.abstractmethod
    def tails(self, actions: Tensor) -> Tensor:
        """The states that numbered actions start in, same shape."""

    @abc.abstractmethod
    def heads(self, actions: Tensor) -> Tensor:
        """The states that numbered actions are meant to lead to, same shape; they must be available."""

    @abc.abstractmethod
    def advance(self, actions: Tensor, *, generator: Generator) -> Tensor:
        """Next states of numbered actions `(M,)` that are available, drawn, same shape."""

    @abc.abstractmethod
    def edges(self, costs: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The actions of finite cost in compressed rows, for searches.

        Args:
            costs: Of one row, shape `(*Q,)`.

        Returns:
            Where the edges of each state begin, shape `(n + 1,)` for n states; the state that each leads to; its cost
            in float64.

        Raises:
            ValueError: If actions have several outcomes.
        """

    @abc.abstractmethod
    def place(self, state: int) -> str:
        """What a message calls a numbered state."""

    @abc.abstractmethod
    def act(self, action: int) -> str:
        """What a message calls a numbered action."""

    def loops(self, like: Tensor) -> tuple[Linear, Linear]:
        """`ahead` and `arrive` for many calls without slopes: what one returns is the caller's, until the next call.

        Args:
            like: Of the rows, dtype and device of the values.
        """
        return self.ahead, self.arrive

    def log_sum(self, q: Tensor) -> Tensor:
        """The logarithm of sums of exp over the actions of each state, `(B, *Q)` to `(B, *S)`, with finite slopes."""
        return log_sums(q, largest=self.largest, spread=self.spread, collect=self.collect)

    @final
    def costs_of_states(self, costs: Tensor) -> Tensor:
        """Every action costs what the state costs that it starts in; none leads into a state of infinite cost.

        Args:
            costs: Shape `(B, *S)`.

        Returns:
            Shape `(B, *Q)`.
        """
        self.check_states(costs)
        blocked = self.ahead(costs.detach().isinf().to(costs.dtype)) > 0
        return torch.where(blocked, math.inf, self.spread(costs).expand(len(costs), *self.actions))

    @final
    def mask(self, states: Tensor) -> Tensor:
        """One state of each row as a mask, numbers `(B,)` to bool `(B, *S)`.

        Raises:
            ValueError: If a number is out of range.
        """
        self.check_numbers(states)
        mask = torch.zeros(len(states), math.prod(self.states), dtype=torch.bool, device=states.device)
        return mask.scatter_(1, states[:, None], True).view(-1, *self.states)

    @final
    def check_numbers(self, states: Tensor) -> None:
        """Raises `ValueError` unless numbers of states, `(B, ...)`, are in range."""
        count = math.prod(self.states)
        outside = ((states < 0) | (states >= count)).nonzero()
        if len(outside):
            state, row = int(states[tuple(outside[0])]), int(outside[0, 0])
            raise ValueError(f"states are numbers from 0 to {count - 1}; got {state} for map {row}, which is outside.")

    @final
    def check_states(self, numbers: Tensor) -> None:
        """Raises `ValueError` unless the shape is `(B, *S)`."""
        if numbers.ndim == 0 or tuple(numbers.shape[1:]) != self.states:
            raise ValueError(
                f"numbers of states must have shape (B, {_commas(self.states)}); got {list(numbers.shape)}."
            )

    @final
    def checked(self, costs: Tensor) -> Tensor:
        """Costs of actions `(B, *Q)`, infinite where there is no action.

        Raises:
            ValueError: If the shape is another, a cost is no number or minus infinity, or an infinite one meets actions
                of several outcomes.
        """
        if costs.ndim == 0 or tuple(costs.shape[1:]) != self.actions:
            raise ValueError(f"costs of actions must have shape (B, {_commas(self.actions)}); got {list(costs.shape)}.")
        there = self.available(costs.device)
        bad = ~(costs.detach() > -math.inf) & there
        if not self.certain:
            bad = bad | (costs.detach().isinf() & there)
        if bad.any():
            row, action = divmod(int(bad.flatten().nonzero()[0]), math.prod(self.actions))
            raise ValueError(self._complaint(float(costs[row].flatten()[action]), row, action))
        if (costs.detach()[:, ~there] == math.inf).all():
            return costs  # a copy of a large map takes as long as much of a search
        return torch.where(there, costs, math.inf)

    def _complaint(self, cost: float, row: int, action: int) -> str:
        where = f"the cost of map {row}, {self.act(action)} is {cost}"
        if cost == math.inf:
            return f"{where}, but where moves may slip nothing can be blocked; give a large finite cost."
        return f"{where}; costs must be numbers above minus infinity, and infinite for what is blocked."


def _commas(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
