r"""Backups: values of states from values one step on, and their slopes by visits.

In log weights w = -cost / temperature one backup is

    q(s, a) = w(s, a) + discount * sum_s' p(s' | s, a) L(s')        L'(s) = best of q(s, .), and 0 at the goal,

`best` by the rule of choice. T backups of L_0 = end are the log weight of all paths of exactly T steps; the fixed point
from L_0 = -inf beyond the goal (reached from below: after k backups L holds the paths of at most k steps) is that of
paths of all lengths to the goal. Slopes are expected visits: with pi the shares of the rule, and f a flow through
states that starts as the slope with respect to L,

    visits(s, a) = f(s) pi(a | s)        f'(s') = discount * sum_{s, a} p(s' | s, a) visits(s, a).

Of T backups the flow makes exactly T steps, so that a state whose cost no path pays is not counted. Of a fixed point
the flow goes on until it has left: that is the adjoint system, solved by the same iteration.

Memory: T backups keep about `_KEPT` of their values and compute those between again when slopes are asked for.
Slopes of slopes are not available.

Sources: Ziebart 2010; Gao et al. 2020 (arXiv 2012.00889) on paths of variable length; Collatz 1942 and Wielandt 1950
for the certificate that a sum over paths diverges.
"""

import math
from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.rules import Rule

_KEPT = 128  # values of T backups that are kept
_EVERY = 16  # backups between tests of convergence, which wait for the device
_SETTLED = 64  # rounding errors within which values count as settled


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
        self._backup, self._steps = backup, steps.view(-1, *[1] * (end.ndim - 1)).to(end.device)
        self._all, self._longest = int(steps.min()), int(steps.max())
        self._stride = max(1, self._longest // _KEPT)
        self._kept = [end]
        values = end
        for k in range(1, self._longest + 1):
            values = self._next(values, k)
            if k % self._stride == 0:
                self._kept.append(values)
        self.values = values  # L_T

    def running(self, k: int) -> Tensor | None:
        """Rows that have a k-th backup, bool, `(B, 1, ...)`; None where all have."""
        return None if k <= self._all else self._steps >= k

    def falling(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """k, L_k and L_(k - 1) for k = T, ..., 1."""
        for number in reversed(range(len(self._kept))):
            first = number * self._stride
            last = min(first + self._stride, self._longest)
            segment = [self._kept[number]]
            for k in range(first + 1, last + 1):
                is_kept = k == first + self._stride and number + 1 < len(self._kept)
                segment.append(self._kept[number + 1] if is_kept else self._next(segment[-1], k))
            for k in range(last, first, -1):
                yield k, segment[k - first], segment[k - first - 1]

    def _next(self, values: Tensor, k: int) -> Tensor:
        new, running = self._backup(values), self.running(k)
        return new if running is None else torch.where(running, new, values)


@final
class FiniteBackups(torch.autograd.Function):
    """L_T of log weights `(B, *Q)`, L_0 `(B, *S)` and T `(B,)`, with a goal or None."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, end: Tensor, steps: Tensor, dynamics: Dynamics, rule: Rule, goal: Tensor | None
    ) -> Tensor:
        """L_T, shape `(B, *S)`."""
        ctx.backup = Backup(dynamics, rule, weights, goal=goal)
        ctx.steps = Steps(ctx.backup, end, steps)
        return ctx.steps.values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, flow: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        """Visits of actions, and the flow that arrives at the end."""
        backup: Backup = ctx.backup
        flow = backup.pinned(flow, 0.0)
        total = torch.zeros_like(backup.weights)
        for k, values, after in ctx.steps.falling():
            running = ctx.steps.running(k)
            visits, moved = backup.moved(flow, backup.shares(backup.q(after), values))
            if running is not None:
                visits = torch.where(backup.dynamics.spread(running.expand_as(flow)), visits, 0)
                moved = torch.where(running, moved, flow)
            total += visits
            flow = moved
        return total, flow, None, None, None, None


@final
class SettledBackups(torch.autograd.Function):
    """The fixed point of log weights `(B, *Q)`, with a discount or a goal."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, dynamics: Dynamics, rule: Rule, discount: float, goal: Tensor | None, steps: int
    ) -> Tensor:
        """L, shape `(B, *S)`."""
        ctx.backup = Backup(dynamics, rule, weights, discount=discount, goal=goal)
        ctx.values, ctx.limit = settled(ctx.backup, steps), steps
        return ctx.values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, flow: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """Visits of actions until the flow has left."""
        return flowed(ctx.backup, ctx.backup.policy(ctx.values), flow, ctx.limit), None, None, None, None, None


def settled(backup: Backup, steps: int) -> Tensor:
    """The fixed point of backups, shape `(B, *S)`.

    Raises:
        ValueError: If a row does not settle within the steps, or its sum over paths is found to be infinite.
    """
    values = start(backup)
    for k in range(1, steps + 1):
        new = backup(values)
        if k % _EVERY == 0 or k == steps:
            change = torch.where(new == values, 0, (new - values).abs())
            small = change <= _SETTLED * torch.finfo(new.dtype).eps * new.abs().clamp(min=1).nan_to_num(posinf=1)
            if small.all():
                return new
            _refuse_divergent(backup, new)
        values = new
    row, state = divmod(int((~small).flatten().nonzero()[0]), change[0].numel())
    raise ValueError(
        f"the values of map {row} had not settled at {backup.dynamics.place(state)} after {steps} steps: its costs are "
        "too low for paths of all lengths, or nearly so; raise the costs, lower the temperature, take a finite horizon "
        "or allow more steps."
    )


def start(backup: Backup) -> Tensor:
    """L before the first backup: minus infinity beyond the goal where every action has one outcome, else zero."""
    weights, shape = backup.weights, backup.dynamics.states
    low = -math.inf if backup.goal is not None and backup.dynamics.certain else 0.0
    return backup.pinned(weights.new_full((len(weights), *shape), low), 0.0)


def flowed(backup: Backup, policy: Tensor, flow: Tensor, steps: int) -> Tensor:
    """Visits `(B, *Q)` of a flow that starts at states `(B, *S)` and follows a policy until it has left.

    Raises:
        ValueError: If it does not leave within the steps.
    """
    flow = backup.pinned(flow, 0.0)
    first = flow.abs().flatten(1).sum(1)
    total = torch.zeros_like(policy)
    for k in range(1, steps + 1):
        visits, flow = backup.moved(flow, policy)
        total += visits
        if k % _EVERY == 0 or k == steps:
            left = flow.abs().flatten(1).sum(1)
            if (left <= torch.finfo(flow.dtype).eps * first).all():
                return total
    row = int((left - torch.finfo(flow.dtype).eps * first).argmax())
    raise ValueError(
        f"paths of map {row} had not ended after {steps} steps; raise its costs, lower the temperature or allow more "
        "steps."
    )


def _refuse_divergent(backup: Backup, values: Tensor) -> None:
    """Raises `ValueError` if going on without arriving is worth more than the values, at every state that has one.

    It is asked of two steps, as states may take turns: moves to the four neighbours change the colour of a chess board.
    """
    if backup.goal is None:
        return
    onward = values
    for _ in range(2):
        onward = backup.rule.best(backup.dynamics, backup.q(backup.pinned(onward, -math.inf)))
    live = (values > -math.inf) & ~backup.goal
    gain = torch.where(live, onward - values, math.inf).flatten(1).amin(1)
    rows = ((gain > 1e-9) & live.flatten(1).any(1)).nonzero()
    if len(rows):
        raise ValueError(
            f"the sum over paths of all lengths is infinite for map {int(rows[0])}: its costs are too low, so that "
            "longer paths weigh more; raise the costs, lower the temperature or take a finite horizon."
        )
