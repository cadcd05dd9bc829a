r"""Ways by a model of the stretch ahead that knows no map, under a guide that does.

The model draws displacements y_1 .. y_T from where the body is, given where the goal lies (`demos.ahead`). With p the
place of the body, V the cost to go over cells of the map and the cost along a way as in `cost_along`, the guide's cost
of a draw is what it wastes,

    S(y) = (integral of the map along p + y_1 .. p + y_T, plus V(p + y_T), less V(p)) / unit:

a stretch ends before the goal does, and what is left is known of every place. It is about zero along the cheapest way,
and of a stretch that stands still too, which demonstrations do not: how far a stretch leads is the model's matter. Of
several draws under the guide the cheapest is the way.
"""

from typing import final

import numpy as np
import shapely
import torch
from torch import Tensor

from embodied_gen.heads import Guide
from embodied_gen.predictor import Predictor
from planners.cost_along import CostAlong, fields_of
from planners.cost_map import CostMap
from planners.map_ways import Way, Ways


@final
class AheadWays(Ways):
    """The cheapest of a predictor's draws of the stretch ahead, under the guide of a map.

    Args:
        predictor: Of displacements `(T, 2)` [m] from the way to the goal `(1, 2)`.
        map: Costs of a metre, not negative.
        unit: Waste that counts as one, > 0: the smaller, the less the draws look like demonstrations.
        count: Stretches that are drawn, >= 1.

    Raises:
        ValueError: If a number is out of range, or the predictor is of other events.
    """

    def __init__(self, predictor: Predictor, map: CostMap, *, unit: float, count: int = 4):
        if not 0 < unit < float("inf") or count < 1:
            raise ValueError(f"unit must be positive and finite and count at least 1; got {unit} and {count}.")
        shape = predictor.head.event.shape
        if len(shape) != 2 or shape[1] != 2:
            raise ValueError(f"a stretch ahead has way-points in the plane, shape (T, 2); the event has {shape}.")
        self.predictor, self.count, self.map = predictor.eval(), count, map
        self._along, self._unit, self._free = CostAlong(map, unit), unit, map.free_space()
        self._field = fields_of(map)

    def way(self, start: np.ndarray, goal: np.ndarray, *, generator: torch.Generator) -> Way:
        """See `Ways`; it ends where its horizon does. It is good if the map is free along it."""
        here = torch.as_tensor(start).to(self.predictor.head.event.low)
        left = self._field(tuple(goal.tolist()))
        asked = (torch.as_tensor(goal).to(here) - here).view(1, 1, 2)

        def waste(y: Tensor) -> Tensor:
            """S of draws `(B, N, T, 2)`, shape `(B, N)`."""
            path = here + y
            return self._along(path) + (left(path[..., -1, :]) - left(here)) / self._unit

        y = self.predictor.sample(asked, self.count, generator=generator, guide=Guide(cost=waste))
        chosen = y[0, int(waste(y)[0].nan_to_num(torch.inf).argmin())]
        points = (here + torch.cat([torch.zeros_like(chosen[:1]), chosen])).double().cpu().numpy()
        return Way(points, bool(self._free.covers(shapely.LineString(points))))
