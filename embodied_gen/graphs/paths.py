"""Paths of policies: drawn, or by the best action of each step; and what paths cost.

M paths on each of B maps run side by side, one step of all at a time.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import final

import torch
from torch import Tensor

from embodied_gen import draws
from embodied_gen.graphs.dynamics import Dynamics
from embodied_gen.graphs.horizon import Horizon, no_path
from embodied_gen.graphs.horizons import LIMIT
from embodied_gen.graphs.rules import Rule

Pick = Callable[[Tensor], Tensor]
Policies = Iterator[tuple[Tensor, Tensor]]


@final
@dataclass(frozen=True)
class Paths:
    """M numbered paths on each of B maps.

    Attributes:
        states: Shape `(B, M, T + 1)`, int64; -1 after the last.
        actions: Shape `(B, M, T)`, int64; -1 after the last.
    """

    states: Tensor
    actions: Tensor

    @property
    def lengths(self) -> Tensor:
        """Numbers of actions, shape `(B, M)`."""
        return (self.actions >= 0).sum(-1)

    def costs(self, costs: Tensor) -> Tensor:
        """What the paths cost, of costs of actions `(B, *Q)`, shape `(B, M)`; differentiable in the costs."""
        flat = costs.flatten(1).expand(len(self.actions), -1)
        taken = flat.gather(1, self.actions.clamp(min=0).flatten(1)).view(self.actions.shape)
        return torch.where(self.actions >= 0, taken, 0).sum(-1)

    def visits(self, dynamics: Dynamics) -> Tensor:
        """Mean number of times that the M paths of a map take each action, shape `(B, *Q)`, in the default dtype."""
        rows, paths = self.actions.shape[:2]
        counts = torch.zeros(rows, math.prod(dynamics.actions) + 1, device=self.actions.device)
        taken = torch.where(self.actions >= 0, self.actions, counts.shape[1] - 1).flatten(1)
        counts.scatter_add_(1, taken, torch.ones_like(taken, dtype=counts.dtype))
        return counts[:, :-1].unflatten(1, dynamics.actions) / paths


def sampled(
    horizon: Horizon,
    dynamics: Dynamics,
    costs: Tensor,
    starts: Tensor,
    rule: Rule,
    *,
    generator: draws.Generator,
    limit: int = LIMIT,
) -> Paths:
    """Paths drawn from the policies of a horizon; where moves may slip, they do.

    Args:
        horizon: How long paths are.
        dynamics: States and actions.
        costs: Of actions, shape `(B, *Q)`.
        starts: Numbers of states, int64, shape `(B, M)`.
        rule: Of choice.
        generator: Draws; one, or one for each map.
        limit: Steps after which paths without end are cut, and others must have ended.

    Raises:
        ValueError: As `horizon.values`; or if a path starts where none does, or has not ended within the limit.
    """
    policies = horizon.policies(dynamics, costs, rule)

    def drawn(shares: Tensor) -> Tensor:
        return draws.categorical(shares.log(), generator=generator)

    def moved(actions: Tensor) -> Tensor:
        return dynamics.advance(actions, generator=generator)

    return _followed(horizon, dynamics, policies, starts, drawn, moved, limit)


def greedy(
    horizon: Horizon, dynamics: Dynamics, costs: Tensor, starts: Tensor, rule: Rule, *, limit: int = LIMIT
) -> Paths:
    """Paths by the action of the largest share at each step, the first of several; every move is made as meant.

    Arguments and errors are those of `sampled`. With `Hard()` and one outcome an action these are paths of least cost;
    where actions cost nothing they may go round without end, which is an error too.
    """
    policies = horizon.policies(dynamics, costs, rule)
    return _followed(horizon, dynamics, policies, starts, lambda shares: shares.argmax(-1), dynamics.heads, limit)


@torch.no_grad()
def _followed(
    horizon: Horizon, dynamics: Dynamics, policies: Policies, starts: Tensor, pick: Pick, advance: Pick, limit: int
) -> Paths:
    """Paths from starts `(B, M)`; `pick` chooses of shares `(B M, K)`, `advance` moves actions `(B M,)`."""
    dynamics.check_numbers(starts)
    here, states, taken = starts, [starts], []
    for shares, under_way in islice(policies, limit):
        moving = under_way[:, None] & ~horizon.over(here)
        if not moving.any():
            break
        options = dynamics.options(here)
        share = shares.flatten(1).gather(1, options.clamp(min=0).flatten(1)).view(options.shape) * (options >= 0)
        _require_choice(dynamics, here, moving & (share.sum(-1) <= 0))
        actions = options.gather(-1, pick(share.flatten(0, 1)).view(*here.shape, 1)).squeeze(-1)
        here = torch.where(moving, advance(actions.clamp(min=0).flatten()).view(here.shape), here)
        states.append(torch.where(moving, here, -1))
        taken.append(torch.where(moving, actions, -1))
    horizon.require_over(dynamics, here, limit)
    none = starts.new_empty(*starts.shape, 0)
    return Paths(_packed(torch.stack(states, -1)), _packed(torch.stack(taken, -1) if taken else none))


def _packed(numbers: Tensor) -> Tensor:
    """Numbers `(B, M, T)` in their order, what is -1 behind them."""
    return numbers.gather(-1, (numbers < 0).to(torch.uint8).argsort(dim=-1, stable=True))


def _require_choice(dynamics: Dynamics, here: Tensor, stuck: Tensor) -> None:
    if stuck.any():
        row, path = stuck.nonzero()[0].tolist()
        raise no_path(dynamics, row, int(here[row, path]))
