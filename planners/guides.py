"""Guides from constraints and costs: two lists given by the caller, or a file.

    guide = guide_of([KeepOutDisc((0.1, 0.0), 0.05)], buffer=0.01)

and as a file (YAML or JSON):

    buffer: 0.01
    constraints:
      - {kind: keep_out_disc, centre: [0.1, 0.0], radius: 0.05}

Between the walls of the environment, for which it is asked where it can be:

    walls: {clearance: 0.1}

The same form serves paths, scenes and boxes: an entry with `agents: all`, or a list of numbers, is about agents of a
scene, one with `steps: [first, last]` about a span of steps, and one that names boxes about what a detector draws.
"""

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Self, TypeAlias, final

import torch
from pydantic import Field, model_validator
from shapely.geometry import MultiPolygon, Polygon
from torch import Tensor

from embodied_gen import config
from embodied_gen.config import Block
from embodied_gen.heads import Guide
from planners.box_entries import AboutBoxes, BoxCountEntry, BoxesApartEntry, BoxesWithinEntry
from planners.constraints import Constraint, Discs, KeepOutDisc, Period
from planners.contradictions import contradictions
from planners.cost_entries import (
    CostMapEntry,
    HeadwayEntry,
    ProgressEntry,
    SmoothnessEntry,
    TargetPointEntry,
    TargetSpeedEntry,
)
from planners.costs import Cost
from planners.entries import PlaneEntry, RegionEntry, SceneEntry
from planners.path_entries import (
    AccelerationLimitEntry,
    BicycleEntry,
    CurvatureLimitEntry,
    DoubleIntegratorEntry,
    KeepInBoxEntry,
    KeepInRegionEntry,
    KeepOutDiscEntry,
    KeepOutRegionEntry,
    ReachPointEntry,
    SpeedLimitEntry,
    UnicycleEntry,
)
from planners.scene_entries import (
    AttributeRangeEntry,
    FixedEntry,
    KeepDistanceEntry,
    NoCollisionEntry,
    OnRoadEntry,
)
from planners.walls import Walls

ConstraintEntry = Annotated[
    KeepOutDiscEntry
    | KeepInBoxEntry
    | KeepInRegionEntry
    | KeepOutRegionEntry
    | SpeedLimitEntry
    | AccelerationLimitEntry
    | CurvatureLimitEntry
    | ReachPointEntry
    | DoubleIntegratorEntry
    | UnicycleEntry
    | BicycleEntry
    | AttributeRangeEntry
    | FixedEntry
    | NoCollisionEntry
    | KeepDistanceEntry
    | OnRoadEntry
    | BoxesApartEntry
    | BoxesWithinEntry,
    Field(discriminator="kind"),
]
CostEntry = Annotated[
    SmoothnessEntry | TargetSpeedEntry | TargetPointEntry | ProgressEntry | CostMapEntry | HeadwayEntry | BoxCountEntry,
    Field(discriminator="kind"),
]
Region: TypeAlias = Polygon | MultiPolygon


def guide_of(
    constraints: Sequence[Constraint],
    costs: Sequence[Cost] = (),
    *,
    scale: float = 1.0,
    buffer: float = 0.0,
) -> Guide:
    """A guide from constraints and costs; what constraints can project is projected, in their order.

    Args:
        constraints: What has to hold; needs no scale, since a margin is measured by its own uncertainty.
        costs: What is wanted, `(B, N, T, D)`, or `(B, N, A, T, 7)` of scenes, to `(B, N)`, dimensionless.
        scale: Strength of the sum of costs.
        buffer: Margin aimed at beyond each constraint, in its own unit, so that small errors of execution do not
            offend; certified is the constraint itself.

    Raises:
        ValueError: If there is neither a constraint nor a cost.
    """
    if not constraints and not costs:
        raise ValueError("a guide needs at least one constraint or cost; got none.")

    def cost(y: Tensor) -> Tensor:
        return torch.stack([part(y) for part in costs]).sum(0)

    discs = [constraint for constraint in constraints if isinstance(constraint, KeepOutDisc)]
    others = [constraint for constraint in constraints if not isinstance(constraint, KeepOutDisc)]
    by_channels = [Discs(list(group)) for _, group in groupby(sorted(discs, key=_channels), key=_channels)]

    def certify(y: Tensor) -> Tensor:
        of_discs = [group.margins(y).amin(-1) for group in by_channels]  # exact as they are
        return torch.stack(of_discs + [constraint.margin(y) for constraint in others]).amin(0)

    def margins(y: Tensor) -> Tensor:
        parts = [group.margins(y) for group in by_channels]
        together = torch.cat(parts + [constraint.margins(y) for constraint in others], dim=-1)
        return together - buffer if buffer else together

    return Guide(
        cost=cost if costs else None,
        project=_projection([constraint for constraint in constraints if constraint.projects]),
        margins=margins if constraints else None,
        certify=certify if constraints else None,
        scale=scale,
    )


def _projection(constraints: Sequence[Constraint]) -> Callable[[Tensor], Tensor] | None:
    """The projections of all constraints in their order; None where there are none."""

    def project(y: Tensor) -> Tensor:
        for constraint in constraints:
            y = constraint.project(y)
        return y

    return project if constraints else None


def _channels(disc: KeepOutDisc) -> tuple[int, int]:
    return disc.channels


def smallest_margin(constraints: Sequence[Constraint], y: Tensor) -> Tensor:
    """The smallest margin over all constraints, `(B, N, T, D)` to `(B, N)`; infinite where there are none.

    It is not a number nowhere: such a margin is minus infinity.
    """
    if not constraints:
        return y.new_full(y.shape[:2], torch.inf)
    smallest = torch.stack([constraint.margin(y) for constraint in constraints]).amin(0)
    return smallest.nan_to_num(-math.inf, math.inf, -math.inf)


def feasible(constraints: Sequence[Constraint], y: Tensor) -> Tensor:
    """Whether each path satisfies every constraint, swept exactly: `(B, N, T, D)` to bool `(B, N)`."""
    return smallest_margin(constraints, y) >= 0


@final
class GuideFile(Block):
    """Constraints, how far inside of them plans aim, and costs with the strength of their sum."""

    constraints: list[ConstraintEntry] = Field(default_factory=list)
    walls: Walls | None = None
    costs: list[CostEntry] = Field(default_factory=list)
    buffer: float = Field(0.0, ge=0)
    scale: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _wants_something(self) -> Self:
        if not self.constraints and self.walls is None and not self.costs:
            raise ValueError("a guide needs at least one constraint or cost; got none.")
        return self

    def limits(self, free: Region | None = None) -> Callable[[Period], list[Constraint]]:
        """The constraints as a function of the time between way-points; regions are read off their polygons once.

        Args:
            free: The free space of the environment [m], for `walls`.

        Raises:
            ValueError: If there are walls and the free space is not given, or has no place for them.
        """
        walls = [] if self.walls is None else [self.walls.build(free)]
        made = [entry.build(1.0) if isinstance(entry, RegionEntry) else None for entry in self.constraints]

        def limits(period: Period) -> list[Constraint]:
            pairs = zip(made, self.constraints, strict=True)
            return [*walls, *(entry.build(period) if region is None else region for region, entry in pairs)]

        return limits

    def build(
        self, period: Period, *, free: Region | None = None, also: Sequence[Constraint] = ()
    ) -> tuple[Guide, list[Constraint]]:
        """The guide, and the constraints to certify with.

        Args:
            period: Time between way-points [s], one number or one for each context, shape `(B, 1, 1)`.
            free: The free space of the environment [m], for `walls`.
            also: Constraints that belong to the question and not to the file.

        Raises:
            ValueError: If there are walls and the free space is not given, or has no place for them.
        """
        constraints = [*self.limits(free)(period), *also]
        costs = [entry.build(period) for entry in self.costs]
        return guide_of(constraints, costs, buffer=self.buffer, scale=self.scale), constraints

    def of_scenes(self, period: Period, *, free: Region | None = None) -> tuple[Guide, list[Constraint]]:
        """The guide on scenes of several agents, and the constraints to certify with; see `build`.

        Raises:
            ValueError: If an entry is about paths, or walls have no free space.
        """
        self._refuse_boxes("scenes of several agents")
        for place, entry in self._entries():
            if entry.agents is None and not isinstance(entry, SceneEntry | HeadwayEntry):
                raise ValueError(
                    f"{place} of the guide, {entry.kind}, is about a path; the run draws scenes of several agents. "
                    "Say whom it is about: agents: all, or a list of numbers."
                )
        walls = [] if self.walls is None else [self.walls.of_boxes(free)]
        constraints = [*walls, *(entry.build(period) for entry in self.constraints)]
        costs = [entry.build(period) for entry in self.costs]
        return guide_of(constraints, costs, buffer=self.buffer, scale=self.scale), constraints

    def of_boxes(self) -> Guide:
        """The guide on sets of boxes.

        Raises:
            ValueError: If an entry is about something else.
        """
        others = [f"{place}, {entry.kind}" for place, entry in self._entries() if not isinstance(entry, AboutBoxes)]
        others += [] if self.walls is None else ["walls"]
        if others:
            raise ValueError(f"{others[0]} of the guide is not about boxes, which the run draws. Leave it out.")
        return self.build(1.0)[0]

    def contradictions(self, period: Period, free: Region | None = None) -> list[str]:
        """Why nothing can satisfy the constraints, as far as that is cheap to prove; see `contradictions`."""
        return contradictions(self.limits(free)(period))

    def require_channels(self, count: int) -> None:
        """Raises `ValueError` if an entry is about scenes, or a channel that way-points of so many numbers lack."""
        self._refuse_boxes("paths")
        for place, entry in self._entries():
            if entry.agents is not None or entry.last is None:
                raise ValueError(
                    f"{place} of the guide, {entry.kind}, is about agents of a scene; the run draws paths. Leave it "
                    "out, or its agents, or name a run with control.kind scene."
                )
            if isinstance(entry, PlaneEntry) and entry.last >= count:
                raise ValueError(
                    f"{place} of the guide is about the channels {list(entry.channels)}; the plans have "
                    f"{count}, counted from 0. Name two of them in channels."
                )
            if entry.last >= count:
                raise ValueError(
                    f"{place} of the guide, {entry.kind}, reads the channels 0 to {entry.last}; the plans have {count}."
                )

    def _refuse_boxes(self, drawn: str) -> None:
        for place, entry in self._entries():
            if isinstance(entry, AboutBoxes):
                raise ValueError(
                    f"{place} of the guide, {entry.kind}, is about boxes of an image; the run draws {drawn}. Leave it "
                    "out, or name the run of a detector."
                )

    def _entries(self) -> list[tuple[str, ConstraintEntry | CostEntry]]:
        """All constraints and costs, each with its place in the file."""
        constraints = [(f"constraints.{index}", entry) for index, entry in enumerate(self.constraints)]
        return [*constraints, *((f"costs.{index}", entry) for index, entry in enumerate(self.costs))]


def read_guide(path: Path) -> GuideFile:
    """Reads a guide file; see `config.read` for what is raised."""
    return config.read(path, GuideFile, "guide")
