r"""What a cost map makes a path cost: the integral along its segments, as a cost of guides and of planners on models.

Both are sums over segments of their lengths times the mean of the map at the middles of their parts; see `cost_map`.
For a planner that looks T steps ahead on a model, with V the cost to go over cells,

    S = integral along the states + e (V(x_T) + mean over t of V(x_t)),        e > 1.

With e = 1 and without the mean, standing still would cost as much as the cheapest way, and less than any way that a
sampler draws at first, which wanders. An eagerness above one pays for what a plan wastes out of what it gains, and the
mean rewards to gain it early; V knows the map, so that plans still go around what is dear.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from planners.constraints import _length, _need, _plane, position
from planners.cost_map import CostMap
from planners.costs import PathCost, _require_unit
from planners.parts import parts

_FINE = 2  # parts of a cell's side
_FIELDS = 64  # goals whose costs to go are kept


@final
class CostAlong(PathCost):
    """The integral of a map along a path, over a unit.

    Args:
        map: Costs of a metre.
        unit: Cost that counts as one, > 0.
        channels: The two channels that are the position.

    Raises:
        ValueError: If the unit is not positive and finite, or the channels are not two.
    """

    def __init__(self, map: CostMap, unit: float = 1.0, *, channels: Sequence[int] = (0, 1)):
        _require_unit(unit)
        self.map, self.unit, self.channels = map, unit, _plane(channels)
        height, width = map.values.shape
        self._most = 2 * _FINE * (height + width)  # longer segments end far off the map

    def terms(self, y: Tensor) -> Tensor:
        """Costs of segments over the unit, times their number, `(B, N, T - 1)`: the mean is of the whole."""
        _need(y, 2, "a cost along a path")
        p = position(y, self.channels)
        steps = p.diff(dim=-2)
        lengths = _length(steps)
        count = (lengths.detach() * (_FINE / self.map.cell)).nan_to_num(1.0).ceil().clamp(1, self._most).long()
        points, segment = parts(p[..., :-1, :].reshape(-1, 2), steps.reshape(-1, 2), count.flatten(), 0.5)
        read = self.map(points) / count.flatten()[segment]
        means = torch.zeros_like(lengths).flatten().index_add(0, segment, read).view(lengths.shape)
        return lengths * means * (steps.shape[-2] / self.unit)


def fields_of(map: CostMap) -> Callable[[tuple[float, ...]], CostMap]:
    """`map.to_go` that keeps what it found for the last goals."""
    return functools.lru_cache(_FIELDS)(map.to_go)


@final
class DriveCost:
    """The cost S of plans on a model, a `planners.sampling.Cost`.

    The step from the present state to the first is not in it.

    Args:
        map: Costs of a metre, not negative.
        eager: e, finite and at least 1.
        channels: The two channels of a state that are the position.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, map: CostMap, *, eager: float = 4.0, channels: Sequence[int] = (0, 1)):
        if not 1 <= eager < math.inf:
            raise ValueError(f"eager must be at least 1 and finite; got {eager}.")
        self.map, self.eager, self._along = map, eager, CostAlong(map, channels=channels)
        self._field = fields_of(map)

    def __call__(self, states: Tensor, actions: Tensor, goal: Tensor) -> Tensor:
        """Costs `(M,)` of states after each action `(M, T, C)`, T at least 2, to goals `(M, 2)` [m].

        Raises:
            ValueError: If a goal lies off the map or in an obstacle.
        """
        p = position(states, self._along.channels)
        left = p.new_empty(p.shape[:-1])
        places, row = torch.unique(goal, dim=0, return_inverse=True)
        for number, place in enumerate(places.tolist()):  # one of an episode, not of a plan
            left[row == number] = self._field(tuple(place))(p[row == number])
        return self._along(states.unsqueeze(1))[:, 0] + self.eager * (left[:, -1] + left.mean(1))
