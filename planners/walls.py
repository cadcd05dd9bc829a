"""Walls: the free space of an environment as a constraint, so that a guide file need not repeat the map."""

from typing import final

from pydantic import Field
from shapely.geometry import MultiPolygon, Polygon

from embodied_gen.config import Block
from planners.regions import KeepInRegion
from planners.roads import OnRoad


@final
class Walls(Block):
    """Stay in the free space, with a clearance from its boundary [m].

    Around corners that stand out into the free space the clearance is mitred: up to sqrt(2) times as much at right
    angles, and more at sharper ones. It is never less.
    """

    clearance: float = Field(0.0, ge=0)

    def build(self, free: Polygon | MultiPolygon | None) -> KeepInRegion:
        """The constraint.

        Args:
            free: Where the position may be [m]; None where nobody knows.

        Raises:
            ValueError: If nobody knows, or nothing of it has the clearance.
        """
        region = KeepInRegion(self._core(free))
        region.name = f"keep {self.clearance:g} m from the walls"
        return region

    def of_boxes(self, free: Polygon | MultiPolygon | None, *, cell: float = 0.5) -> OnRoad:
        """The constraint on the whole boxes of the agents of a scene.

        Args:
            free: Where a corner of a box may be [m]; None where nobody knows.
            cell: Of the grid of distances [m].

        Raises:
            ValueError: If nobody knows, or nothing of it has the clearance.
        """
        return OnRoad(self._core(free), cell=cell)

    def _core(self, free: Polygon | MultiPolygon | None) -> Polygon | MultiPolygon:
        if free is None:
            raise ValueError(
                "a guide with walls needs the free space, which an environment gives by free_space(); got none. "
                "Write the region into the file instead: {kind: keep_in_region, points: [...]}."
            )
        core = free.buffer(-self.clearance, join_style="mitre")
        if core.is_empty:
            raise ValueError(f"no place between the walls has a clearance of {self.clearance:g} m; use less.")
        return core
