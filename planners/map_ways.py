r"""Ways over a cost map: one question, from here to there, and a planner of each kind that answers it.

    CheapestWays    the cheapest way over cells, by A*                     deterministic
    SoftWays        a draw of the soft policy, p(way) ~ exp(-cost / temperature), over ways of every length
    DrivenWays      what a planner by sampling (MPPI, CEM) on a model of the body means to do next
    DrawnWays       the cheapest of a head's draws under a guide with the map's cost

All of them give way-points in metres, which one executor follows (`planners.pursuit`), so that what differs between
them in closed loop is how they plan.
"""

import abc
from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from embodied_gen.context import Context
from embodied_gen.graphs import Soft, ToGoal, sampled
from embodied_gen.heads import Guide, Head
from planners.constraints import position
from planners.cost_map import CostMap
from planners.sampling import SamplingPlanner
from planners.search import AStar, grid_estimate


class Way(NamedTuple):
    """Way-points in metres, float64 `(L, 2)`, L at least 1, and whether they satisfy what was asked of them."""

    points: np.ndarray
    good: bool


class Ways(abc.ABC):
    """A planner of ways on one map."""

    @abc.abstractmethod
    def way(self, start: np.ndarray, goal: np.ndarray, *, generator: torch.Generator) -> Way:
        """A way from a place to another, each `(2,)` [m].

        Raises:
            ValueError: If a place lies off the map or in an obstacle, or there is no way.
        """


@final
class CheapestWays(Ways):
    """The cheapest way over cells: centres of cells, from that of the start to that of the goal.

    Args:
        map: Costs of a metre, not negative.

    Raises:
        ValueError: If a cost is negative.
    """

    def __init__(self, map: CostMap):
        self.map, self._search = map, AStar(map.grid, map.moves)

    def way(self, start: np.ndarray, goal: np.ndarray, *, generator: torch.Generator) -> Way:
        """See `Ways`; nothing is drawn."""
        first, last = self.map.located(start, "start"), self.map.located(goal, "goal")
        route = self._search.route(first, last, grid_estimate(self.map.grid, self.map.moves, last))
        return Way(self.map.centres(torch.from_numpy(route.states)), True)


@final
class SoftWays(Ways):
    """A draw of the soft policy, over cells like `CheapestWays`; the lower the temperature, the nearer to it.

    Args:
        map: Costs of a metre; a move must cost more than about temperature * log 8, or there is no such policy.
        temperature: Difference of costs that counts e-fold, > 0.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self, map: CostMap, temperature: float):
        self.map, self._rule = map, Soft(temperature)

    def way(self, start: np.ndarray, goal: np.ndarray, *, generator: torch.Generator) -> Way:
        """See `Ways`; raises `ValueError` too where the sum over all ways is infinite."""
        first, last = (self.map.located(*named) for named in ((start, "start"), (goal, "goal")))
        horizon, grid = ToGoal(self.map.grid.mask(torch.tensor([last]))), self.map.grid
        costs, begin = self.map.moves.unsqueeze(0), torch.tensor([[first]])
        paths = sampled(horizon, grid, costs, begin, self._rule, generator=generator)
        return Way(self.map.centres(paths.states[0, 0]), True)


@final
class DrivenWays(Ways):
    """What a planner on a model means to do: positions of its plan, which ends where its horizon does.

    Args:
        planner: Of whole plans (`Effort.actions` equal to its horizon), for observations of x, y and the goal.

    Raises:
        ValueError: If it gives a part of its plans alone, or reads another observation.
    """

    def __init__(self, planner: SamplingPlanner):
        problem, effort = planner.problem, planner.effort
        if effort.actions != effort.horizon or [*problem.state, *problem.goal] != [0, 1, 2, 3]:
            raise ValueError(
                "a way is a whole plan from x, y to a goal: actions must equal the horizon, state be (0, 1) and goal "
                f"(2, 3); got {effort.actions}, {effort.horizon}, {list(problem.state)} and {list(problem.goal)}."
            )
        self.planner = planner

    def way(self, start: np.ndarray, goal: np.ndarray, *, generator: torch.Generator) -> Way:
        """See `Ways`; it is good if the plan satisfies the problem's constraints."""
        memory = self.planner.remember(0, np.concatenate([start, goal]))
        memory.generator = generator
        before = self.planner.infeasible
        actions = torch.from_numpy(self.planner.plan([memory])[0])
        states = [torch.from_numpy(memory.observations[-1:, :2])]
        for action in actions:
            states.append(self.planner.problem.step(states[-1], action.unsqueeze(0)))
        return Way(torch.cat(states).double().numpy(), self.planner.infeasible == before)


@final
class DrawnWays(Ways):
    """The cheapest way that holds, of a head's draws under a guide; the one nearest to holding where none does.

    Args:
        head: Of events `(T, D)`.
        context: The head's context of one start and one goal, each `(1, 2)` [m].
        guide: With a cost, of a map say.
        count: Ways that are drawn, >= 1.
        channels: The two channels that are the position.

    Raises:
        ValueError: If the guide has no cost, or nothing is drawn.
    """

    def __init__(
        self,
        head: Head,
        context: Callable[[Tensor, Tensor], Context],
        guide: Guide,
        *,
        count: int = 16,
        channels: tuple[int, int] = (0, 1),
    ):
        if guide.cost is None or count < 1:
            raise ValueError(f"the cheapest of several draws needs a guide with a cost and a draw; got {count} draws.")
        self.head, self.context, self.guide, self.count = head.eval(), context, guide, count
        self._cost, self.channels = guide.cost, channels

    def way(self, start: np.ndarray, goal: np.ndarray, *, generator: torch.Generator) -> Way:
        """See `Ways`; it is good if it satisfies the guide's constraints."""
        low = self.head.event.low
        c = self.context(*(torch.as_tensor(place).to(low).view(1, 2) for place in (start, goal)))
        told = self.head.certified(c, self.count, generator=generator, guide=self.guide)
        y = self.head.event.unscale(told.x.flatten(0, 1)).view(told.x.shape)
        cheapest = torch.where(told.feasible, self._cost(y), torch.inf).nan_to_num(torch.inf).argmin(1)
        chosen = int(torch.where(told.feasible.any(1), cheapest, told.margin.argmax(1)))
        points = position(y[0, chosen], self.channels)
        return Way(points.double().cpu().numpy(), bool(told.feasible[0, chosen]))
