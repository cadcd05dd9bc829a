"""What a horizon is: how long paths are, and with it what the values of states, policies and visits are."""

import abc
from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.rules import Rule


class Horizon(abc.ABC):
    """How long paths are."""

    @abc.abstractmethod
    def rows(self) -> int:
        """The rows that the horizon itself tells apart; one where it serves any number."""

    @abc.abstractmethod
    def values(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Tensor:
        """V of states, infinite where there is no path; its slope is that of `visits`, and is not differentiable again.

        Args:
            dynamics: States and actions.
            costs: Of actions, shape `(B, *Q)`, infinite for what is blocked; one row serves all goals or horizons.
            rule: Of choice.

        Returns:
            Shape `(B, *S)`.

        Raises:
            ValueError: If a cost is no number or minus infinity, rows do not fit, or no values exist.
        """

    @abc.abstractmethod
    def policies(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Iterator[tuple[Tensor, Tensor]]:
        """The policy of each step in turn, without end where the horizon has none.

        Args:
            dynamics: States and actions.
            costs: As in `values`.
            rule: Of choice.

        Yields:
            Shares of actions, shape `(B, *Q)`, zero at a goal; and the rows that are under way, bool, shape `(B,)`:
            those of a shorter horizon start later.
        """

    def over(self, states: Tensor) -> Tensor:
        """Whether paths end when they reach numbered states, `(B, M)`: nowhere, if not said otherwise."""
        return torch.zeros_like(states, dtype=torch.bool)

    @abc.abstractmethod
    def require_over(self, dynamics: Dynamics, states: Tensor, limit: int) -> None:
        """Raises `ValueError` if paths that are at numbered states, `(B, M)`, should have ended within a limit."""

    @final
    def policy(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Tensor:
        """Shares of the actions at the first step of each row, `(B, *Q)`.

        Raises:
            ValueError: As `values`, or if a row has no step.
        """
        costs = dynamics.checked(costs)
        rows = max(len(costs), self.rows())
        first = costs.new_zeros(rows, *dynamics.actions)
        begun = torch.zeros(rows, dtype=torch.bool, device=costs.device)
        for shares, under_way in self.policies(dynamics, costs, rule):
            begins = under_way & ~begun
            first[begins], begun = shares[begins], begun | under_way
            if begun.all():
                return first
        raise ValueError("a policy of the first step needs a horizon of at least one step.")

    @final
    def visits(self, dynamics: Dynamics, costs: Tensor, start: Tensor, rule: Rule) -> Tensor:
        """How often each action is expected to be taken, `(B, *Q)`, by paths from a distribution of starts.

        Sums over actions, `dynamics.collect`, are the visits of states. For a finite horizon they sum to T: the last
        state, where no action is taken, is not counted. With a discount a visit at step k counts discount^k.

        Args:
            dynamics: States and actions.
            costs: As in `values`.
            start: Weights of states, shape `(B, *S)`.
            rule: Of choice.

        Raises:
            ValueError: As `values`, or if a path starts where there is none.
        """
        dynamics.check_states(start)
        with torch.enable_grad():
            rows = max(len(costs), len(start), self.rows())
            costs = dynamics.checked(costs.detach()).expand(rows, *dynamics.actions).requires_grad_()
            values = self.values(dynamics, costs, rule)
            require_paths(dynamics, values, start != 0)
            return torch.autograd.grad(values, costs, start.to(values).expand_as(values))[0]


def fitting(*parts: Tensor) -> int:
    """The number of rows of parts that have as many or one.

    Raises:
        ValueError: If two parts have different numbers of rows, none of them one.
    """
    counts = [len(part) for part in parts]
    if any(count not in (1, max(counts)) for count in counts):
        raise ValueError(f"costs, goals, ends and horizons must have one row or equally many; got {counts} rows.")
    return max(counts)


def require_paths(dynamics: Dynamics, values: Tensor, start: Tensor) -> None:
    """Raises `ValueError` if a path starts, bool `(B, *S)`, at a state of infinite value `(B, *S)`."""
    lost = start & values.isinf()
    if lost.any():
        raise no_path(dynamics, *divmod(int(lost.flatten().nonzero()[0]), lost[0].numel()))


def no_path(dynamics: Dynamics, row: int, state: int) -> ValueError:
    """The error that no path of a map starts at a state."""
    return ValueError(
        f"no path of map {row} starts at {dynamics.place(state)}: it is blocked, or what it must reach is out of "
        "reach; open a way or start elsewhere."
    )
