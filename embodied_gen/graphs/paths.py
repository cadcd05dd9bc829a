"""Paths of policies: drawn, or by the best action of each step; and what paths cost.

M paths on each of B maps run side by side, one step of all at a time. Maps whose paths have not begun or have all ended
draw nothing, so that neither draws nor what is left of a map's generator depend on the other maps.
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
from embodied_gen.graphs.horizon import Horizon, fitting, no_path
from embodied_gen.graphs.horizons import LIMIT
from embodied_gen.graphs.rules import Rule

Pick = Callable[[Tensor, Tensor], Tensor]
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
        starts: Numbers of states, int64, shape `(B, M)`; one row serves all maps.
        rule: Of choice.
        generator: Draws; one, or one for each map.
        limit: Steps after which paths without end are cut, and others must have ended.

    Raises:
        ValueError: As `horizon.values`; or if a path starts where none does, or has not ended within the limit.
    """
    starts, policies = _begun(horizon, dynamics, costs, starts), horizon.policies(dynamics, costs, rule)

    def choice(shares: Tensor, streams: draws.Generator) -> Tensor:
        return draws.categorical(shares.log(), generator=streams)

    def drawn(shares: Tensor, moving: Tensor) -> Tensor:
        return _of_moving(choice, shares, moving, generator)

    def moved(actions: Tensor, moving: Tensor) -> Tensor:
        return _of_moving(lambda some, own: dynamics.advance(some, generator=own), actions, moving, generator)

    return _followed(horizon, dynamics, policies, starts, drawn, moved, limit)


def greedy(
    horizon: Horizon, dynamics: Dynamics, costs: Tensor, starts: Tensor, rule: Rule, *, limit: int = LIMIT
) -> Paths:
    """Paths by the action of the largest share at each step, the first of several; every move is made as meant.

    Arguments and errors are those of `sampled`. With `Hard()` and one outcome an action these are paths of least cost;
    where actions cost nothing they may go round without end, which is an error too.
    """
    starts, policies = _begun(horizon, dynamics, costs, starts), horizon.policies(dynamics, costs, rule)

    def best(shares: Tensor, _: Tensor) -> Tensor:
        return shares.argmax(-1)

    def moved(actions: Tensor, _: Tensor) -> Tensor:
        return dynamics.heads(actions)

    return _followed(horizon, dynamics, policies, starts, best, moved, limit)


def _begun(horizon: Horizon, dynamics: Dynamics, costs: Tensor, starts: Tensor) -> Tensor:
    """Starts of all rows, `(B, M)`."""
    dynamics.check_numbers(starts)
    return starts.expand(fitting(costs, starts, range(horizon.rows())), -1)


@torch.no_grad()
def _followed(
    horizon: Horizon, dynamics: Dynamics, policies: Policies, starts: Tensor, pick: Pick, advance: Pick, limit: int
) -> Paths:
    """Paths from starts `(B, M)`; of those that move, bool `(B M,)`, `pick` chooses and `advance` makes the action.

    Shares are `(B M, K)` and actions `(B M,)`; what is said of paths that do not move is not read.
    """
    here, states, taken = starts, [starts], []
    for shares, under_way in islice(policies, limit):
        over = horizon.over(here)
        moving = under_way[:, None] & ~over
        if over.all():
            break
        if not moving.any():
            continue  # the paths that are left begin later
        options = dynamics.options(here)
        share = shares.flatten(1).expand(len(here), -1).gather(1, options.clamp(min=0).flatten(1)).view(
            options.shape
        ) * (options >= 0)
        _require_choice(dynamics, here, moving & (share.sum(-1) <= 0))
        actions = options.gather(-1, pick(share.flatten(0, 1), moving.flatten()).view(*here.shape, 1)).squeeze(-1)
        there = advance(actions.clamp(min=0).flatten(), moving.flatten()).view(here.shape)
        here = torch.where(moving, there, here)
        states.append(torch.where(moving, here, -1))
        taken.append(torch.where(moving, actions, -1))
    horizon.require_over(dynamics, here, limit)
    none = starts.new_empty(*starts.shape, 0)
    return Paths(_packed(torch.stack(states, -1)), _packed(torch.stack(taken, -1) if taken else none))


def _of_moving(
    draw: Callable[[Tensor, draws.Generator], Tensor], numbers: Tensor, moving: Tensor, generator: draws.Generator
) -> Tensor:
    """Draws `(M,)` of numbers `(M, ...)` by the generators of paths that move, bool `(M,)`; 0 for those of others."""
    streams = [generator] if isinstance(generator, torch.Generator) else list(generator)
    each, rest = divmod(len(moving), len(streams))
    needed = moving.view(-1, each).any(1) if rest == 0 else moving  # a draw refuses the rest
    if rest or bool(needed.all()):
        return draw(numbers, generator)
    own, rows = [streams[number] for number in needed.nonzero()[:, 0].tolist()], needed.repeat_interleave(each)
    drawn = moving.new_zeros(len(moving), dtype=torch.int64)
    drawn[rows] = draw(numbers[rows], own)
    return drawn


def _packed(numbers: Tensor) -> Tensor:
    """Numbers `(B, M, T)` in their order, what is -1 behind them."""
    return numbers.gather(-1, (numbers < 0).to(torch.uint8).argsort(dim=-1, stable=True))


def _require_choice(dynamics: Dynamics, here: Tensor, stuck: Tensor) -> None:
    if stuck.any():
        row, path = stuck.nonzero()[0].tolist()
        raise no_path(dynamics, row, int(here[row, path]))
