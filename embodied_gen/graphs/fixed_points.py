r"""Fixed points of backups: values of paths without end, with a discount or a goal.

From L = -inf beyond the goal, L after k backups holds the paths of at most k steps to it, and rises to the values of
paths of all lengths. The slopes of a fixed point solve the adjoint system, by the same iteration: the flow of
`embodied_gen.graphs.backups` goes on until it has left.

A sum over paths of all lengths may be infinite. It is if, at every state that has a value, going on without arriving is
worth L + log lambda or more, with lambda > 1: then the spectral radius of exp(w) is at least lambda.

Sources: Gao et al. 2020 (arXiv 2012.00889) on paths of variable length; Collatz 1942 and Wielandt 1950 on the radius.
"""

import math
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from embodied_gen.graphs.backups import Backup
from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.rules import Rule

_EVERY = 16  # backups between tests of convergence, which wait for the device
_SETTLED = 64  # rounding errors within which values count as settled


@final
class SettledBackups(torch.autograd.Function):
    """The fixed point of log weights `(B, *Q)`, with a discount or a goal."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, dynamics: Dynamics, rule: Rule, discount: float, goal: Tensor | None, steps: int
    ) -> Tensor:
        """L, shape `(B, *S)`."""
        exact, rest = _iterated(weights, discount)
        ctx.backup = Backup(dynamics, rule, exact, discount=discount, goal=goal)
        ctx.values, ctx.limit, ctx.dtype = settled(ctx.backup, steps, rest), steps, weights.dtype
        return ctx.values.to(weights.dtype, copy=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, flow: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        """Visits of actions until the flow has left."""
        visits = flowed(ctx.backup, ctx.backup.policy(ctx.values), flow.to(ctx.values.dtype), ctx.limit)
        return visits.to(ctx.dtype), None, None, None, None, None


def _iterated(weights: Tensor, discount: float) -> tuple[Tensor, float]:
    """Weights in the precision of the iteration, and the change of values, over their size, at which it may end.

    With a discount values that change by d are as far as d discount / (1 - discount) from the fixed point.
    """
    eps = torch.finfo(weights.dtype).eps
    if discount == 1:
        return weights, _SETTLED * eps
    return weights.double(), _SETTLED * max((1 - discount) * eps, torch.finfo(torch.float64).eps)


def settled(backup: Backup, steps: int, rest: float) -> Tensor:
    """The fixed point of backups, shape `(B, *S)`: values that change by no more than a share `rest` of their size.

    Raises:
        ValueError: If a row does not settle within the steps, or its sum over paths is found to be infinite.
    """
    values = start(backup)
    for k in range(1, steps + 1):
        new = backup(values)
        if k % _EVERY == 0 or k == steps:
            change = torch.where(new == values, 0, (new - values).abs())
            small = change <= rest * new.abs().clamp(min=1).nan_to_num(posinf=1)
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
