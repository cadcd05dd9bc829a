r"""Lengths: how long paths are, where they end, and with it what probability they have.

    Exactly     n moves, n of each context; at the goal where the context has one
    AtMost      until the goal is first reached, within the T moves of the event
    UntilGoal   until the goal is first reached, however long that takes
    Fading      n moves of a policy that looks ahead without end, the k-th move counting discount^k

The first three are Gibbs distributions over whole paths, with Z the sum over the paths that there are,

    p(path) = exp(-cost(path)) / Z,        Z = exp(-V(start)),

and ask for moves of one outcome. `UntilGoal` has a finite sum only where costs are high enough; `AtMost` always does,
and tends to it as T grows. The last is a policy of maximum causal entropy,

    p(path) = prod_k sum_a pi(a | s_k) p(s_{k+1} | s_k, a),    pi(a | s) = exp(V(s) - cost(s, a) - discount E V(s')),

where moves may slip; a path shows where it went and not what was chosen, so that choices are summed over.

Sources: Ziebart et al. 2008 and Ziebart 2010; Gao et al. 2020 (arXiv 2012.00889) on variable length.
"""

import abc
import math
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from embodied_gen.events.grid_path import GridPath
from embodied_gen.graphs import Discounted, Finite, Hard, Horizon, Paths, Soft, ToGoal, Within, greedy, shortest
from embodied_gen.graphs.horizon import require_paths
from embodied_gen.graphs.horizons import LIMIT
from embodied_gen.heads.errand import Errand


class Length(abc.ABC):
    """How long paths are; see the module."""

    @abc.abstractmethod
    def horizon(self, event: GridPath, errand: Errand) -> Horizon:
        """The horizon of all paths that there are."""

    def fitting(self, event: GridPath, errand: Errand) -> Horizon:
        """The horizon of those that an event can hold."""
        return self.horizon(event, errand)

    def ended(self, states: Tensor, errand: Errand) -> Tensor:
        """Drawn paths as numbers of cells, `(B, M, n + 1)`, with -1 after their end."""
        return states

    @abc.abstractmethod
    def count(self, event: GridPath, states: Tensor, errand: Errand) -> Tensor:
        """How many moves demonstrations have, states `(B, T + 1)` to int64 `(B,)`.

        Raises:
            ValueError: If one is not among the paths that there are.
        """

    @abc.abstractmethod
    def log_prob(self, event: GridPath, costs: Tensor, states: Tensor, paths: Paths, errand: Errand) -> Tensor:
        """Log p of paths, nat, shape `(B,)`.

        Args:
            event: What paths are.
            costs: Of moves, shape `(B, A, H, W)`.
            states: Numbers of cells, shape `(B, T + 1)`.
            paths: The same as moves, one for each map.
            errand: What is asked.

        Raises:
            ValueError: If no path leads where it must.
        """

    @abc.abstractmethod
    def energy(self, event: GridPath, costs: Tensor, states: Tensor, paths: Paths, errand: Errand) -> Tensor:
        """-log p of paths up to a constant of the context, nat, shape `(B,)`; arguments as in `log_prob`."""


class Whole(Length, abc.ABC):
    """A Gibbs distribution over whole paths."""

    @final
    def log_prob(self, event: GridPath, costs: Tensor, states: Tensor, paths: Paths, errand: Errand) -> Tensor:
        """V(start) - cost(path)."""
        _require_certain(event)
        values = self.horizon(event, errand).values(event.grid, costs, Soft())
        require_paths(event.grid, values, event.grid.mask(errand.start))
        return values.flatten(1).gather(1, errand.start[:, None])[:, 0] - paths.costs(costs)[:, 0]

    @final
    def energy(self, event: GridPath, costs: Tensor, states: Tensor, paths: Paths, errand: Errand) -> Tensor:
        """The cost of the path."""
        return paths.costs(costs)[:, 0]

    def lowered(self, costs: Tensor, losses: Tensor) -> Tensor:
        """Costs of moves less their losses, among which `best` looks for the rival of a hinge."""
        return costs - losses

    def best(self, event: GridPath, costs: Tensor, errand: Errand) -> Paths:
        """A path of least cost among those that there are, one for each map.

        Raises:
            ValueError: If no path leads from the start to where it must end, or moves may slip.
        """
        return self.best_fitting(event, costs, errand)

    def best_fitting(self, event: GridPath, costs: Tensor, errand: Errand) -> Paths:
        """The same among those that the event can hold."""
        _require_certain(event)
        starts = errand.start[:, None]
        return greedy(self.fitting(event, errand), event.grid, costs, starts, Hard(), limit=event.moves)


@final
class Exactly(Whole):
    """Paths of n moves, those of the leaf `steps` or T; free at their end where the context has no goal."""

    def horizon(self, event: GridPath, errand: Errand) -> Horizon:
        """See `Length`."""
        steps = torch.full_like(errand.start, event.moves) if errand.steps is None else errand.steps
        if errand.goal is None:
            return Finite(steps)
        return Finite(steps, end=torch.where(event.grid.mask(errand.goal), 0.0, math.inf))

    def count(self, event: GridPath, states: Tensor, errand: Errand) -> Tensor:
        """See `Length`."""
        count = _settled(event, states, errand)
        if errand.goal is not None:
            _require_end(event, states, errand.goal)
        return count


class _AtGoal(Whole, abc.ABC):
    """Paths that end when they first reach the goal."""

    def count(self, event: GridPath, states: Tensor, errand: Errand) -> Tensor:
        """See `Length`."""
        goal = errand.wanted(type(self).__name__)
        _require_end(event, states, goal)
        count = (states == goal[:, None]).int().argmax(1)
        _require_rest(event, states, count, "has reached its goal")
        return count

    def fitting(self, event: GridPath, errand: Errand) -> Horizon:
        """Those within the moves of the event."""
        return Within(event.grid.mask(errand.wanted(type(self).__name__)), event.moves)


@final
class AtMost(_AtGoal):
    """Paths that first reach the goal within the T moves of the event; costs of any sign."""

    def horizon(self, event: GridPath, errand: Errand) -> Horizon:
        """See `Length`."""
        return self.fitting(event, errand)


@final
class UntilGoal(_AtGoal):
    """Paths that first reach the goal, of all lengths; costs must be high enough. Draws are those that fit the event.

    Args:
        limit: Steps after which the iteration for V is given up.
    """

    def __init__(self, *, limit: int = LIMIT):
        self.limit = limit

    def horizon(self, event: GridPath, errand: Errand) -> Horizon:
        """See `Length`."""
        return ToGoal(event.grid.mask(errand.wanted("UntilGoal")), limit=self.limit)

    def lowered(self, costs: Tensor, losses: Tensor) -> Tensor:
        """See `Whole`; not below zero where costs are not, as there would be no shortest path."""
        return costs - torch.minimum(losses, costs.clamp(min=0))

    def best(self, event: GridPath, costs: Tensor, errand: Errand) -> Paths:
        """See `Whole`; by Dijkstra's search where no cost is negative, which is the quicker way on large maps."""
        _require_certain(event)
        return shortest(event.grid, costs.detach(), errand.start, errand.wanted("UntilGoal"))

    def best_fitting(self, event: GridPath, costs: Tensor, errand: Errand) -> Paths:
        """See `Whole`; maps whose shortest path is too long are planned anew, and those where costs are negative.

        Among paths that fit there is a cheapest one even where cycles pay. Other maps keep the path that they have.
        """
        paths = self.best(event, costs.clamp(min=0), errand)
        pays = (costs < 0).flatten(1).any(1)
        anew = (pays.unsqueeze(-1) | (paths.lengths > event.moves)).unsqueeze(-1)
        if not anew.any():
            return paths
        # Of all maps, so that one without such a path is named by its own number.
        short = super().best_fitting(event, costs, errand)

        def chosen(new: Tensor, old: Tensor, length: int) -> Tensor:
            return torch.where(anew, _of_length(new, length), _of_length(old, length))

        states = chosen(short.states, paths.states, event.moves + 1)
        return Paths(states, chosen(short.actions, paths.actions, event.moves))


@final
class Fading(Length):
    """Paths of a policy that looks ahead without end; a goal is not looked at, and moves may slip.

    Args:
        discount: In (0, 1).

    Raises:
        ValueError: If the discount is out of range.
    """

    def __init__(self, discount: float):
        self._horizon = Discounted(discount)

    def horizon(self, event: GridPath, errand: Errand) -> Horizon:
        """See `Length`."""
        return self._horizon

    def ended(self, states: Tensor, errand: Errand) -> Tensor:
        """See `Length`."""
        if errand.steps is None:
            return states
        late = torch.arange(states.shape[-1], device=states.device) > errand.steps[:, None]
        return states.masked_fill(late.unsqueeze(1), -1)

    def count(self, event: GridPath, states: Tensor, errand: Errand) -> Tensor:
        """See `Length`."""
        return _settled(event, states, errand)

    def log_prob(self, event: GridPath, costs: Tensor, states: Tensor, paths: Paths, errand: Errand) -> Tensor:
        """The sum over moves of log p(next cell | cell)."""
        grid, made = event.grid, paths.actions[:, 0] >= 0
        values = self._horizon.values(grid, costs, Soft())
        q = -costs - self._horizon.discount * grid.ahead(values)
        # Values are sums of many costs: shares are taken of what is left without them, and add up to one.
        q = q - grid.spread(grid.largest(q.detach()).clamp(min=torch.finfo(q.dtype).min))
        policy = q - grid.spread(grid.log_sum(q))
        options, leads = event.transitions(states)
        leads = leads | ~made.unsqueeze(-1)  # padding leads nowhere, and is not counted
        log_share = policy.flatten(1).gather(1, options.clamp(min=0).flatten(1)).view(options.shape)
        chosen = log_share.masked_fill(~leads, -math.inf).logsumexp(-1)
        if not grid.certain:
            chance = (grid.slip / len(grid.moves) * leads.sum(-1)).log()
            chosen = torch.logaddexp(chosen + math.log1p(-grid.slip), chance.to(chosen))
        return torch.where(made, chosen, 0).sum(1)

    def energy(self, event: GridPath, costs: Tensor, states: Tensor, paths: Paths, errand: Errand) -> Tensor:
        """-log p itself: such paths have no simpler one."""
        return -self.log_prob(event, costs, states, paths, errand)


def _of_length(numbers: Tensor, length: int) -> Tensor:
    """Numbers `(B, M, n)` cut to a length, or with -1 after the last up to it."""
    return functional.pad(numbers, (0, length - numbers.shape[-1]), value=-1)


def _require_certain(event: GridPath) -> None:
    if not event.grid.certain:
        raise ValueError(
            f"whole paths need moves of one outcome; the grid has a slip of {event.grid.slip:g}. Take the length "
            "Fading of a max-ent head."
        )


def _settled(event: GridPath, states: Tensor, errand: Errand) -> Tensor:
    """The numbers of moves that are asked for, of paths that stand still after them."""
    count = torch.full_like(errand.start, event.moves) if errand.steps is None else errand.steps
    _require_rest(event, states, count, "has made the moves that its steps allow")
    return count


def _require_rest(event: GridPath, states: Tensor, count: Tensor, why: str) -> None:
    """Raises `ValueError` unless states `(B, T + 1)` are all the same from the given steps `(B,)` on."""
    last = states.gather(1, count[:, None])
    later = torch.arange(states.shape[1], device=states.device) > count[:, None]
    moved = (later & (states != last)).nonzero()
    if len(moved):
        number, step = moved[0].tolist()
        raise ValueError(
            f"demonstration {number} {why} at {event.grid.place(int(last[number]))} and goes on at step {step}; "
            "cut it there."
        )


def _require_end(event: GridPath, states: Tensor, goal: Tensor) -> None:
    lost = (states[:, -1] != goal).nonzero()
    if len(lost):
        number = int(lost[0])
        ends, wanted = (event.grid.place(int(cells[number])) for cells in (states[:, -1], goal))
        moves = states[number].diff().nonzero()
        step = int(moves[-1]) + 1 if len(moves) else 0
        raise ValueError(
            f"demonstration {number} ends at step {step} in {ends}, elsewhere than at its goal {wanted}; give it the "
            "goal that it has."
        )
