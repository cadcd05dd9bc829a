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

from embodied_gen.graphs.backups import Backup, FiniteBackups, SettledBackups, Steps
from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.rules import Rule

LIMIT = 10_000  # steps after which an iteration is given up


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
        return -rule.temperature * FiniteBackups.apply(weights, end, steps, dynamics, rule, None)

    @torch.no_grad()
    def policies(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Horizon`."""
        weights, end, steps = self._rows(dynamics, costs, rule)
        backup = Backup(dynamics, rule, weights)
        for k, _, after in Steps(backup, end, steps).falling():
            yield backup.policy(after), (steps >= k).to(weights.device)

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
