r"""Backups: values of states from values one step on, and their slopes by visits.

In log weights w = -cost / temperature one backup is

    q(s, a) = w(s, a) + discount * sum_s' p(s' | s, a) L(s')        L'(s) = best of q(s, .), and 0 at the goal,

`best` by the rule of choice. T backups of L_0 = end are the log weight of all paths of exactly T steps. Slopes are
expected visits: with pi the shares of the rule, and f a flow through states that starts as the slope in L,

    visits(s, a) = f(s) pi(a | s)        f'(s') = discount * sum_{s, a} p(s' | s, a) visits(s, a).

The flow of T backups makes exactly T steps, so that a state whose cost no path pays is not counted.

Finite sums of the soft rule go by products where numbers can hold them, which is several times quicker
(`embodied_gen.graphs.products`).

Memory: from T backups `_KEPT` of their values, at most twice as many, are kept, and those between are computed again
when slopes are asked for. Slopes of slopes are not available.

Source: Ziebart 2010, Modeling purposeful adaptive behavior with the principle of maximum causal entropy.
"""

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from embodied_gen.graphs.counts import Counts
from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.products import products
from embodied_gen.graphs.rules import Rule, Soft

_KEPT = 128  # values of T backups that are kept


@final
class Backup:
    """One backup of log weights, and the flow that goes the other way.

    Args:
        dynamics: States and actions.
        rule: Of choice.
        weights: w, shape `(B, *Q)`.
        discount: In (0, 1].
        goal: States whose value stays 0, bool, shape `(B, *S)`; none where None.
    """

    def __init__(
        self, dynamics: Dynamics, rule: Rule, weights: Tensor, *, discount: float = 1.0, goal: Tensor | None = None
    ):
        self.dynamics, self.rule, self.weights, self.discount, self.goal = dynamics, rule, weights, discount, goal
        # Without slopes memory is used again, which more than halves the time on small grids.
        self._sloped = torch.is_grad_enabled()
        self._ahead, self._arrive = (dynamics.ahead, dynamics.arrive) if self._sloped else dynamics.loops(weights)

    def __call__(self, values: Tensor) -> Tensor:
        """L' of L, `(B, *S)`."""
        return self.pinned(self.rule.best(self.dynamics, self.q(values)), 0.0)

    def q(self, values: Tensor) -> Tensor:
        """What actions are worth before values L: q, `(B, *S)` to `(B, *Q)`; without slopes, until the next call."""
        ahead = self._ahead(values)
        return torch.add(self.weights, ahead, alpha=self.discount, out=None if self._sloped else ahead)

    def pinned(self, values: Tensor, number: float) -> Tensor:
        """Numbers of states with another number at the goal."""
        return values if self.goal is None else values.masked_fill(self.goal, number)

    def policy(self, values: Tensor) -> Tensor:
        """Shares of the actions before values L, `(B, *S)` to `(B, *Q)`; none at the goal."""
        q = self.q(values)
        return self.shares(q, self.rule.best(self.dynamics, q))

    def shares(self, q: Tensor, best: Tensor) -> Tensor:
        """The same of q and its L', of which the goal's is not read."""
        shares = self.rule.shares(self.dynamics, q, best)
        return shares if self.goal is None else shares.masked_fill(self.dynamics.spread(self.goal), 0)

    def moved(self, flow: Tensor, policy: Tensor) -> tuple[Tensor, Tensor]:
        """Visits of actions `(B, *Q)` of a flow through states `(B, *S)`, and the flow one step on."""
        visits = policy * self.dynamics.spread(flow)
        return visits, self.pinned(self.discount * self._arrive(visits), 0.0)


@final
class Steps:
    """The values of T backups from the last to the first, of which few are kept; rows may have fewer than T.

    Args:
        backup: Of weights.
        end: L_0, shape `(B, *S)`.
        steps: T of each row, int64, shape `(B,)`.
    """

    def __init__(self, backup: Backup, end: Tensor, steps: Tensor):
        self._backup, self._counts = backup, Counts(steps, end)
        self._stride = max(1, self._counts.most // _KEPT)
        self._kept = [end]
        values = end
        for k in range(1, self._counts.most + 1):
            values = self._next(values, k)
            if k % self._stride == 0:
                self._kept.append(values)
        self.values = values  # L_T

    def falling(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """k, L_k and L_(k - 1) for k = T, ..., 1."""
        for number in reversed(range(len(self._kept))):
            first = number * self._stride
            last = min(first + self._stride, self._counts.most)
            segment = [self._kept[number]]
            for k in range(first + 1, last + 1):
                is_kept = k == first + self._stride and number + 1 < len(self._kept)
                segment.append(self._kept[number + 1] if is_kept else self._next(segment[-1], k))
            for k in range(last, first, -1):
                yield k, segment[k - first], segment[k - first - 1]

    def _next(self, values: Tensor, k: int) -> Tensor:
        return self._counts.after(k, self._backup(values), values)

    def sent(self, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Visits of actions `(B, *Q)` of a flow that starts at states `(B, *S)`; the flow at the end."""
        backup = self._backup
        flow = backup.pinned(flow, 0.0)
        total = torch.zeros_like(backup.weights)
        for k, values, after in self.falling():
            running = self._counts.running(k)
            visits, moved = backup.moved(flow, backup.shares(backup.q(after), values))
            if running is not None:
                visits = torch.where(backup.dynamics.spread(running.expand_as(flow)), visits, 0)
                moved = torch.where(running, moved, flow)
            total += visits
            flow = moved
        return total, flow


@final
class FiniteBackups(torch.autograd.Function):
    """L_T of log weights `(B, *Q)`, L_0 `(B, *S)` and T `(B,)`, with a goal or None."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, end: Tensor, steps: Tensor, dynamics: Dynamics, rule: Rule, goal: Tensor | None
    ) -> Tensor:
        """L_T, shape `(B, *S)`."""
        ctx.steps = products(dynamics, weights, goal, end, steps) if isinstance(rule, Soft) else None
        if ctx.steps is None:
            ctx.steps = Steps(Backup(dynamics, rule, weights, goal=goal), end, steps)
        return ctx.steps.values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, flow: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        """Visits of actions, and the flow that arrives at the end."""
        return *ctx.steps.sent(flow), None, None, None, None
