r"""Horizons: how long paths are, and with it what the values of states, policies and visits are.

    Finite       exactly T steps, T of each row its own
    Discounted   steps without end, the k-th weighted by discount^k
    ToGoal       all lengths; a path ends when it first reaches the goal, where the value is 0

Values are costs: V(s) = -temperature log Z(s) with Z(s) the sum over paths from s of exp(-cost / temperature) for the
soft rule (where actions have several outcomes, of the policy of maximum causal entropy), and the least cost for the
hard one. So the likelihood of a path from s is exp((V(s) - cost) / temperature), and the slope of V with respect to the
cost of an action is how often paths are expected to take it.
"""

import abc
from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from embodied_gen.graphs.backups import Backup, FiniteBackups, Steps
from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.fixed_points import SettledBackups
from embodied_gen.graphs.horizon import Horizon, fitting
from embodied_gen.graphs.rules import Rule

LIMIT = 10_000  # steps after which an iteration is given up


@final
class Finite(Horizon):
    """Paths of exactly T steps.

    Args:
        steps: T, or that of each row, int64, shape `(B,)`; not negative.
        end: What the last state costs, shape `(B, *S)`, infinite where no path may end; nothing where None.

    Raises:
        ValueError: If a number is negative.
    """

    def __init__(self, steps: int | Tensor, *, end: Tensor | None = None):
        self.steps, self.end = torch.as_tensor(steps, dtype=torch.int64).reshape(-1), end
        if (self.steps < 0).any():
            raise ValueError(f"steps must not be negative; got {self.steps.tolist()}.")

    def rows(self) -> int:
        """See `Horizon`."""
        return max(len(self.steps), 1 if self.end is None else len(self.end))

    def require_over(self, dynamics: Dynamics, states: Tensor, limit: int) -> None:
        """See `Horizon`."""
        if self.steps.max() > limit:
            raise ValueError(f"paths of {int(self.steps.max())} steps need a limit as large; got {limit}.")

    def values(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Tensor:
        """See `Horizon`."""
        weights, end, steps = self._rows(dynamics, costs, rule)
        return -rule.temperature * FiniteBackups.apply(weights, end, steps, dynamics, rule)

    @torch.no_grad()
    def policies(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Horizon`."""
        weights, end, steps = self._rows(dynamics, costs, rule)
        backup, left = Backup(dynamics, rule, weights), steps.to(weights.device)
        for k, _, after in Steps(backup, end, steps).falling():
            yield backup.policy(after), left >= k

    def _rows(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, L_0 and T of all rows."""
        costs = dynamics.checked(costs)
        end = costs.new_zeros(1, *dynamics.states) if self.end is None else self.end.to(costs)
        dynamics.check_states(end)
        rows = fitting(costs, end, self.steps)
        weights = -costs.expand(rows, *dynamics.actions) / rule.temperature
        return weights, -end.expand(rows, *dynamics.states) / rule.temperature, self.steps.expand(rows)


class _Endless(Horizon, abc.ABC):
    """Values that are a fixed point, and one policy for all steps."""

    @abc.abstractmethod
    def _settings(self, dynamics: Dynamics, costs: Tensor) -> tuple[float, Tensor | None, int]:
        """Discount, goals and the limit of steps."""

    def values(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Tensor:
        """See `Horizon`."""
        weights, (discount, goal, limit) = self._rows(dynamics, costs, rule)
        return -rule.temperature * SettledBackups.apply(weights, dynamics, rule, discount, goal, limit)

    @torch.no_grad()
    def policies(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Horizon`."""
        weights, (discount, goal, limit) = self._rows(dynamics, costs, rule)
        values = SettledBackups.apply(weights, dynamics, rule, discount, goal, limit)
        shares = Backup(dynamics, rule, weights, discount=discount, goal=goal).policy(values)
        under_way = torch.ones(len(shares), dtype=torch.bool, device=shares.device)
        while True:
            yield shares, under_way

    def _rows(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> tuple[Tensor, tuple[float, Tensor | None, int]]:
        costs = dynamics.checked(costs)
        discount, goal, limit = self._settings(dynamics, costs)
        rows = len(costs) if goal is None else fitting(costs, goal)
        goal = None if goal is None else goal.expand(rows, *dynamics.states)
        return -costs.expand(rows, *dynamics.actions) / rule.temperature, (discount, goal, limit)


@final
class Discounted(_Endless):
    """Paths without end whose k-th step counts discount^k.

    Args:
        discount: In (0, 1).
        limit: Steps after which the iteration is given up.

    Raises:
        ValueError: If the discount is out of range.
    """

    def __init__(self, discount: float, *, limit: int = LIMIT):
        if not 0 < discount < 1:
            raise ValueError(f"discount must lie between 0 and 1; got {discount}.")
        self.discount, self.limit = discount, limit

    def rows(self) -> int:
        """See `Horizon`."""
        return 1

    def require_over(self, dynamics: Dynamics, states: Tensor, limit: int) -> None:
        """See `Horizon`; such paths are cut."""

    def _settings(self, dynamics: Dynamics, costs: Tensor) -> tuple[float, Tensor | None, int]:
        return self.discount, None, self.limit


@final
class ToGoal(_Endless):
    """Paths of all lengths that end when they first reach a goal.

    Args:
        goal: States that are goals, bool, shape `(B, *S)`; `dynamics.mask` makes it of numbers.
        limit: Steps after which the iteration is given up.

    Raises:
        ValueError: If a row has no goal.
    """

    def __init__(self, goal: Tensor, *, limit: int = LIMIT):
        self.goal, self.limit = goal, limit
        lacking = (~goal.flatten(1).any(1)).nonzero()
        if len(lacking):
            raise ValueError(f"every map needs a goal; map {int(lacking[0])} has none.")

    def rows(self) -> int:
        """See `Horizon`."""
        return len(self.goal)

    def over(self, states: Tensor) -> Tensor:
        """See `Horizon`."""
        return self.goal.to(states.device).flatten(1).expand(len(states), -1).gather(1, states)

    def require_over(self, dynamics: Dynamics, states: Tensor, limit: int) -> None:
        """See `Horizon`."""
        late = (~self.over(states)).nonzero()
        if len(late):
            row, path = late[0].tolist()
            raise ValueError(
                f"a path of map {row} has not reached the goal in {limit} steps and is at "
                f"{dynamics.place(int(states[row, path]))}; raise the costs of staying away or the limit."
            )

    def _settings(self, dynamics: Dynamics, costs: Tensor) -> tuple[float, Tensor | None, int]:
        dynamics.check_states(self.goal)
        return 1.0, self.goal.to(costs.device), self.limit
