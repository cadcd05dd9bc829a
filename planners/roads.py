r"""The whole box of every agent stays on a region, a drivable area say, at steps and at every moment between them.

Margins for steering read the signed distance on a grid (`regions.SignedDistance`) at corners and middles of sides.

Certification is geometry. Between two poses a moving box stays within the convex hull of both, widened by

    r (1 - cos(delta / 2)),

the height of the arc that a corner at radius r draws over its chord when the box turns by delta (3 mm for a car that
turns 0.1 rad). Each step is halved first. A piece whose hull the region covers with that much to spare is proven.
Three discs cover a box, and where the grid, less its error of cell / sqrt(2), leaves room for the discs and half of
the way between the poses, no geometry is computed.
"""

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import shapely
import torch
from shapely.geometry import MultiPolygon, Polygon
from torch import Tensor

from planners.boxes import boxes_of, moves, outline, radius, with_halfway
from planners.constraints import Constraint
from planners.regions import SignedDistance, outlines
from planners.scenes import ABSENT, agents_of, checked_agents, naming

_DISCS = (-2 / 3, 0.0, 2 / 3)  # centres of the discs that cover a box, in half lengths
_STRAIGHT = 1e-9  # [m], an arc that is none


@final
class OnRoad(Constraint):
    """The oriented boxes of agents lie in a region.

    Args:
        region: Polygon or polygons, with holes or without [m]; or the grid of one that is there already.
        agents: Numbers of the agents; None for all.
        cell: Width of a cell of a new grid [m]; by default what `SignedDistance` takes.

    Raises:
        ValueError: If the region is empty or crosses itself; if a scene has no such agent.
    """

    def __init__(
        self,
        region: Polygon | MultiPolygon | SignedDistance,
        *,
        agents: Sequence[int] | None = None,
        cell: float | None = None,
    ):
        self.distance = region if isinstance(region, SignedDistance) else SignedDistance(region, cell=cell)
        self.agents = checked_agents(agents)
        self.name = f"on the road of {self.distance.region.area:g} m^2, {naming(self.agents)}"

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """Outlines of the region."""
        return outlines(self.distance.region)

    def margins(self, y: Tensor) -> Tensor:
        """Distance of each box to the border as the grid has it [m], negative off the road, `(B, N, A' (2 T - 1))`."""
        boxes, here = with_halfway(*self._boxes(y))
        return torch.where(here, self._on_grid(boxes), ABSENT).flatten(2)

    def margin(self, y: Tensor) -> Tensor:
        """Distance of the moving boxes to the border [m], `(B, N)`, of certain sign.

        Where it is positive it is that of the pose which the grid has nearest to the border, or the grid's own where
        no geometry was needed; where it is negative, how far a corner lies off the road, as the grid has it.
        """
        boxes, here = self._boxes(y.detach())
        unknown = (here & ~boxes.isfinite().all(-1)).flatten(2).any(-1)
        here = here & ~unknown[:, :, None, None]
        start, end = moves(torch.where(here.unsqueeze(-1), boxes, 0.0), here)
        on_grid, room = self._on_grid(start), self._room(start, end)
        margins = torch.where(here, torch.maximum(on_grid, room).double(), ABSENT).flatten(2)
        near = (here & (room < 0)).flatten(2)
        if near.any():
            nearest = on_grid.flatten(2).masked_fill(~near, math.inf).argmin(-1, keepdim=True)
            asked = torch.zeros_like(near).scatter(-1, nearest, True)[near].cpu().numpy()
            margins[near] = self._exact(
                start.flatten(2, 3)[near], end.flatten(2, 3)[near], on_grid.flatten(2)[near], asked
            ).to(margins)
        return torch.where(unknown, -math.inf, margins.amin(-1)).to(y)

    def _boxes(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return boxes_of(y[:, :, agents_of(y, self.agents, self.name)])

    def _on_grid(self, boxes: Tensor) -> Tensor:
        return self.distance(outline(boxes)).amin(-1)

    def _room(self, start: Tensor, end: Tensor) -> Tensor:
        """What is certainly left to the border in each step, by the grid and discs alone [m]; boxes to `(...)`."""
        size = start[..., 3:]
        grid = torch.stack([self.distance(_centres(boxes)) for boxes in (start, end)]).amin(0).amin(-1)
        way = torch.linalg.vector_norm(end[..., :2] - start[..., :2], dim=-1)
        way = way + size[..., 0] * _DISCS[-1] * (end[..., 2] - start[..., 2]).abs()
        return grid - self.distance.error(start.dtype) - torch.hypot(size[..., 0] / 3, size[..., 1]) - way / 2

    def _exact(self, start: Tensor, end: Tensor, on_grid: Tensor, asked: np.ndarray) -> Tensor:
        """Margins of K moves by geometry [m], `(K,)`; infinite for those that hold and that nobody asked for."""
        start, end = start.double().cpu(), end.double().cpu()
        poses = torch.stack([start, (start + end) / 2, end], dim=1)
        corners = outline(poses)[:, :, ::2].numpy()  # (K, 3, 4, 2)
        pairs = np.concatenate([corners[:, :-1], corners[:, 1:]], axis=2)  # (K, 2, 8, 2)
        hulls = shapely.convex_hull(shapely.linestrings(pairs.round(12)))
        turn = (end[:, 2] - start[:, 2]) / 2
        arc = (radius(poses[:, 0]) * (1 - (turn / 2).cos())).numpy()[:, None]
        tight = shapely.dwithin(self.distance.boundary, hulls, arc) & (arc > _STRAIGHT)
        holds = shapely.covers(self.distance.region, hulls) & ~tight
        margins = np.full(hulls.shape, np.inf)
        measured = holds & asked[:, None]
        spare = shapely.distance(self.distance.boundary, hulls[measured])
        margins[measured] = spare - np.broadcast_to(arc, hulls.shape)[measured]
        broken = np.minimum(on_grid.double().cpu().numpy(), -_STRAIGHT)
        return torch.from_numpy(np.where(holds.all(1), margins.min(1), broken))


def _centres(boxes: Tensor) -> Tensor:
    """Centres of the discs that cover boxes, `(..., 5)` to `(..., 3, 2)`."""
    along = torch.stack([boxes[..., 2].cos(), boxes[..., 2].sin()], dim=-1) * boxes[..., 3:4]
    return boxes[..., None, :2] + boxes.new_tensor(_DISCS).unsqueeze(-1) * along.unsqueeze(-2)
