r"""A horizon between the finite one and that to a goal: paths that first reach the goal within T steps.

The value of the goal stays 0, and T backups from minus infinity elsewhere hold the paths of at most T steps,

    L_0 = 0 at the goal, -inf elsewhere        L_k(s) = best of w(s, a) + L_(k - 1)(s'), and 0 at the goal.

There are finitely many such paths, so that costs of any sign are allowed: nothing diverges, and for the hard rule a
cycle of negative cost is gone round as often as the steps allow. As T grows values tend to those of `ToGoal`, where
these exist. A path that arrives early stops; this is the sum over paths of variable length that padding with an
absorbing end computes (Gao et al. 2020, arXiv 2012.00889).
"""

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from embodied_gen.graphs.backups import Backup, FiniteBackups, Steps
from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.fixed_points import start
from embodied_gen.graphs.horizon import Horizon, fitting
from embodied_gen.graphs.horizons import ToGoal
from embodied_gen.graphs.rules import Rule


@final
class Within(Horizon):
    """Paths that end when they first reach a goal, after at most T steps.

    Args:
        goal: States that are goals, bool, shape `(B, *S)`.
        steps: T, or that of each row, int64, shape `(B,)`; not negative.

    Raises:
        ValueError: If a row has no goal or a number is negative.
    """

    def __init__(self, goal: Tensor, steps: int | Tensor):
        self._to_goal, self.steps = ToGoal(goal), torch.as_tensor(steps, dtype=torch.int64).reshape(-1)
        if (self.steps < 0).any():
            raise ValueError(f"steps must not be negative; got {self.steps.tolist()}.")

    def rows(self) -> int:
        """See `Horizon`."""
        return max(len(self._to_goal.goal), len(self.steps))

    def over(self, states: Tensor) -> Tensor:
        """See `Horizon`."""
        return self._to_goal.over(states)

    def require_over(self, dynamics: Dynamics, states: Tensor, limit: int) -> None:
        """See `Horizon`."""
        self._to_goal.require_over(dynamics, states, limit)

    def values(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Tensor:
        """See `Horizon`."""
        backup, steps = self._rows(dynamics, costs, rule)
        values = FiniteBackups.apply(backup.weights, start(backup), steps, dynamics, rule, backup.goal)
        return -rule.temperature * values

    @torch.no_grad()
    def policies(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Horizon`."""
        backup, steps = self._rows(dynamics, costs, rule)
        for k, _, after in Steps(backup, start(backup), steps).falling():
            yield backup.policy(after), (steps >= k).to(after.device)

    def _rows(self, dynamics: Dynamics, costs: Tensor, rule: Rule) -> tuple[Backup, Tensor]:
        """The backup of all rows, and T of each."""
        if not dynamics.certain:
            raise ValueError("paths within a number of steps need moves of one outcome; got moves that may slip.")
        costs, goal = dynamics.checked(costs), self._to_goal.goal
        dynamics.check_states(goal)
        rows = fitting(costs, goal, self.steps)
        weights = -costs.expand(rows, *dynamics.actions) / rule.temperature
        pinned = goal.to(costs.device).expand(rows, *dynamics.states)
        return Backup(dynamics, rule, weights, goal=pinned), self.steps.expand(rows)
